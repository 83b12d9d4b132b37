//! Shows progress: a bar on a terminal, and a line of the log every half minute.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::clock;
use crate::domain::progress::{Phase, ProgressSnapshot, RateMeter, TimeLeft};
use crate::report::progress::{ProgressView, Subject, bar_width};
use crate::stderr::{self, RUN};

/// The time between two lines of the log, so that the log of a whole night stays short.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The time between two pictures of a step.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// Shows the progress of loading or sending.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    screen: ProgressScreen,
}

impl ProgressDisplay {
    /// Shows a bar if standard error is a terminal, and logs a line at an interval.
    pub(super) fn new(subject: Subject) -> Self {
        Self { screen: ProgressScreen::new(subject, ProgressLayout::Bar) }
    }

    /// Shows a snapshot. It is cheap enough to be called several times per second.
    pub(super) fn show(&mut self, phase: Phase, now: &ProgressSnapshot) {
        self.screen.show(phase, now);
    }
}

/// The next message starts on a clean line.
impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        stderr::remove_bar();
    }
}

/// Shows what the process does instead of sending, until it is dropped.
#[derive(Debug)]
pub(crate) struct StepDisplay {
    ticking: JoinHandle<()>,
}

impl StepDisplay {
    /// `now` returns the progress after this time.
    pub(crate) fn new(phase: Phase, now: impl Fn(Duration) -> ProgressSnapshot + Send + 'static) -> Self {
        let mut screen = ProgressScreen::new(Subject::default(), ProgressLayout::Line);
        let began = Instant::now();
        let ticking = tokio::spawn(async move {
            let mut ticker = interval(STEP_EVERY);
            loop {
                ticker.tick().await;
                screen.show(phase, &now(began.elapsed()));
            }
        });
        Self { ticking }
    }
}

impl Drop for StepDisplay {
    fn drop(&mut self) {
        self.ticking.abort();
        stderr::remove_bar();
    }
}

/// The progress of a step of which only the time is known.
pub(crate) fn only_time(elapsed: Duration) -> ProgressSnapshot {
    ProgressSnapshot { elapsed, ..ProgressSnapshot::default() }
}

/// How the progress looks on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressLayout {
    /// Three lines, one of them with a bar.
    Bar,
    /// One line.
    Line,
}

/// The place where progress is shown.
#[derive(Debug)]
struct ProgressScreen {
    subject: Subject,
    layout: ProgressLayout,
    phase: Option<Phase>,
    meter: RateMeter,
    left: TimeLeft,
    bar: Option<ProgressBar>,
    /// The columns of the terminal for which the bar was made, and whether the whole was known.
    made_for: Option<(usize, bool)>,
    /// The time of the phase at which the next line of the log is due.
    line_due: Duration,
}

impl ProgressScreen {
    fn new(subject: Subject, layout: ProgressLayout) -> Self {
        Self {
            subject,
            layout,
            phase: None,
            meter: RateMeter::default(),
            left: TimeLeft::default(),
            bar: stderr::show_bar(),
            made_for: None,
            line_due: LINE_EVERY,
        }
    }

    fn show(&mut self, phase: Phase, now: &ProgressSnapshot) {
        if self.phase.replace(phase) != Some(phase) {
            (self.meter, self.left) = (RateMeter::default(), TimeLeft::default());
        }
        let rates = self.meter.rates(now);
        let left = self.left.update(now, rates);
        let is_due = now.elapsed >= self.line_due;
        if self.bar.is_none() && !is_due {
            return;
        }
        let view = ProgressView { phase, subject: &self.subject, now, rates, left, clock: &clock::local_now() };
        if let Some(bar) = &self.bar {
            let width = stderr::columns();
            let made_for = Some((width, now.parts().is_some()));
            let is_made = std::mem::replace(&mut self.made_for, made_for) == made_for;
            match self.layout {
                ProgressLayout::Bar => draw(bar, &view, width, is_made),
                ProgressLayout::Line => draw_step(bar, &view, width, is_made),
            }
        }
        if is_due {
            self.line_due = now.elapsed + LINE_EVERY;
            log_progress(&view);
        }
    }
}

/// Draws the three lines. No line may have more columns than the terminal, or the bar would move down.
fn draw(bar: &ProgressBar, view: &ProgressView<'_>, width: usize, is_made: bool) {
    let parts = view.now.parts();
    if !is_made {
        bar.set_style(style(width, parts.is_some()));
    }
    let beside = if parts.is_some() { bar_width(width) + 1 } else { 2 };
    let (done, total) = parts.unwrap_or_default();
    // Each of these may draw. The head comes first, so that no picture lacks it.
    bar.set_prefix(view.head(width));
    bar.set_message(format!("{}\n{}", view.figures(width.saturating_sub(beside)), view.pace(width)));
    bar.set_length(total);
    bar.set_position(done);
    bar.tick();
}

fn draw_step(bar: &ProgressBar, view: &ProgressView<'_>, width: usize, is_made: bool) {
    if !is_made {
        bar.set_style(template("{spinner} {msg}"));
    }
    bar.set_message(view.step(width.saturating_sub(2)));
    bar.tick();
}

fn log_progress(view: &ProgressView<'_>) {
    let ProgressSnapshot { rows_done, rows_total, calls, failed, in_flight, .. } = view.now;
    let phase_name = view.phase.name();
    tracing::info!(
        target: RUN,
        event = "progress",
        phase = phase_name,
        rows_done,
        rows_total,
        calls,
        failed,
        in_flight,
        "{}",
        view.line()
    );
}

/// A bar if the whole is known, else a spinner.
fn style(width: usize, is_known: bool) -> ProgressStyle {
    let drawn = if is_known { format!("{{bar:{}}}", bar_width(width)) } else { "{spinner}".to_owned() };
    template(&format!("{{prefix}}\n{drawn} {{msg}}")).progress_chars("━╸─")
}

fn template(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressDrawTarget};
    use jiff::Zoned;
    use rstest::rstest;

    use super::*;
    use crate::domain::bottleneck::{Bottleneck, ThrottledRate};
    use crate::domain::heartbeat::Rates;

    #[test]
    fn a_line_is_due_every_half_minute() {
        let mut display = ProgressDisplay::new(Subject::default());
        let mut lines = 0;
        for second in 0..=90 {
            let before = display.screen.line_due;
            display.show(Phase::Sending, &only_time(Duration::from_secs(second)));
            lines += u32::from(display.screen.line_due != before);
        }
        assert_eq!(lines, 3);
    }

    fn screen_on(terminal: &InMemoryTerm, width: u16) -> String {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let subject = Subject {
            jobs: vec!["purge".to_owned()],
            operation: Some("account_delete"),
            target: "app 1400000001".to_owned(),
            runs: vec!["0190e8b0-0000-7000-8000-000000000001".to_owned()],
        };
        let rate = ThrottledRate { calls_per_second: 40, resumes_in: None };
        let now = ProgressSnapshot {
            rows_done: 123_456,
            rows_total: Some(1_000_000),
            failed: 1_234,
            in_flight: 12,
            cap: 100,
            bottleneck: Some(Bottleneck::Throttle { rate, cap: 100 }),
            ..ProgressSnapshot::default()
        };
        let clock: Zoned = "2026-11-30T14:00:00+08:00[Asia/Shanghai]".parse().expect("a moment");
        let rates = Rates { units: 3_980.0, calls: 39.8 };
        let left = Some(Duration::from_secs(220));
        let view = ProgressView { phase: Phase::Sending, subject: &subject, now: &now, rates, left, clock: &clock };
        draw(&bar, &view, width.into(), false);
        terminal.contents()
    }

    #[rstest]
    #[case(60)]
    #[case(80)]
    #[case(120)]
    fn the_screen_has_three_lines_at_every_width(#[case] width: u16) {
        let screen = screen_on(&InMemoryTerm::new(12, width), width);
        assert_eq!(screen.lines().count(), 3, "{screen}");
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("screen_{width}"), screen);
        });
    }
}
