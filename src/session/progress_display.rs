//! Shows progress: a bar on a terminal, and a line of the log every half minute.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::domain::progress::{Phase, ProgressSnapshot, RateMeter, TimeLeft};
use crate::report::progress::{ProgressView, Subject, bar_width};
use crate::stderr::{self, RUN};

/// The time between two lines of the log, so that the log of a whole night stays short.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The time between two pictures of a step whose progress is not known.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// Shows the progress of one phase.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    phase: Phase,
    subject: Subject,
    meter: RateMeter,
    left: TimeLeft,
    bar: Option<ProgressBar>,
    /// The columns of the terminal for which the bar was made, and whether the number of rows was known.
    made_for: Option<(usize, bool)>,
    /// The time of the phase at which the next line of the log is due.
    line_due: Duration,
}

impl ProgressDisplay {
    /// Shows a bar if standard error is a terminal, and logs a line at an interval.
    pub(super) fn new(phase: Phase, subject: Subject) -> Self {
        Self {
            phase,
            subject,
            meter: RateMeter::default(),
            left: TimeLeft::default(),
            bar: stderr::show_bar(),
            made_for: None,
            line_due: LINE_EVERY,
        }
    }

    /// Shows a snapshot. It is cheap enough to be called several times per second.
    pub(super) fn update(&mut self, now: &ProgressSnapshot) {
        let rates = self.meter.rates(now);
        let left = self.left.update(now, rates);
        let is_due = now.elapsed >= self.line_due;
        if self.bar.is_none() && !is_due {
            return;
        }
        let view =
            ProgressView { phase: self.phase, subject: &self.subject, now, rates, left, clock: &clock::local_now() };
        if let Some(bar) = &self.bar {
            let made_for = Some((stderr::columns(), now.rows_total.is_some()));
            let is_made = std::mem::replace(&mut self.made_for, made_for) == made_for;
            draw(bar, &view, stderr::columns(), is_made);
        }
        if is_due {
            self.line_due = now.elapsed + LINE_EVERY;
            log_progress(&view);
        }
    }
}

/// The next message starts on a clean line.
impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        stderr::remove_bar();
    }
}

/// Shows that a step goes on whose progress is not known, until it is dropped.
#[derive(Debug)]
pub(crate) struct Spinner;

impl Spinner {
    pub(crate) fn new(doing: &'static str) -> Self {
        if let Some(bar) = stderr::show_bar() {
            bar.set_style(template("{spinner} {wide_msg}"));
            bar.set_message(doing);
            bar.enable_steady_tick(TURN_EVERY);
        }
        Self
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        stderr::remove_bar();
    }
}

/// Draws the three lines. No line may have more columns than the terminal, or the bar would move down.
fn draw(bar: &ProgressBar, view: &ProgressView<'_>, width: usize, is_made: bool) {
    let total = view.now.rows_total;
    if !is_made {
        bar.set_style(style(width, total.is_some()));
    }
    let beside = if total.is_some() { bar_width(width) + 1 } else { 2 };
    bar.set_length(total.unwrap_or_default());
    bar.set_position(view.now.rows_done);
    bar.set_prefix(view.head(width));
    bar.set_message(format!("{}\n{}", view.figures(width.saturating_sub(beside)), view.pace(width)));
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

/// A bar if the number of rows is known, else a spinner.
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
    use crate::domain::progress::Rates;

    #[test]
    fn a_line_is_due_every_half_minute() {
        let mut display = ProgressDisplay::new(Phase::Sending, Subject::default());
        let mut lines = 0;
        for second in 0..=90 {
            let before = display.line_due;
            display.update(&ProgressSnapshot { elapsed: Duration::from_secs(second), ..ProgressSnapshot::default() });
            lines += u32::from(display.line_due != before);
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
        let rates = Rates { items: 3_980.0, calls: 39.8 };
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
