//! What is shown while rows are loaded and sent: a bar on a terminal, else a line every half minute.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::tell::{Terminal, tell};
use super::text::{count, counted, duration, rate, share, visible};
use crate::domain::response::verdict::Trouble;
use crate::domain::schedule::Outage;

/// Where no terminal is, a line in so long: a log of a night stays readable.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Rates are those of the last so long: short enough to show a slow-down, long enough to be calm.
const WINDOW: Duration = Duration::from_secs(10);

/// No more pictures of the bar than this.
const DRAWN_A_SECOND: u8 = 20;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The input is read and checked.
    Loading,
    /// Requests are sent.
    Running,
}

/// Where things stand at one moment; all counts are sums since the start of the phase, but for the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Time since the start of the phase.
    pub elapsed: Duration,
    /// Rows with an outcome, those of earlier sessions included; while loading, rows read.
    pub rows_done: u64,
    /// All rows; none while it is not known.
    pub rows_total: Option<u64>,
    /// Items with an outcome; while loading, rows read.
    pub items: u64,
    /// HTTP exchanges begun.
    pub calls: u64,
    /// Rows that failed, are in doubt or, while loading, rejected.
    pub failed: u64,
    /// Requests on their way.
    pub in_flight: u64,
    /// Why it is not faster, if not for the limits of the job.
    pub hindrance: Option<Hindrance>,
}

/// Why it is not faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// The API answered that it is too fast; so many calls a second are sent now.
    Throttled {
        /// Calls a second.
        calls_per_second: u32,
    },
    /// Nothing works: the server is only probed.
    Outage(Outage),
    /// What is left writes to accounts that are being written.
    BusyAccounts,
    /// What is left waits for its next attempt.
    Backoff,
    /// What is on its way is finished, nothing new is begun.
    Draining,
}

/// How a run goes, as the runner notes it in the queue for `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Items that got their outcome in a second.
    pub items_per_second: f64,
    /// HTTP exchanges begun in a second.
    pub calls_per_second: f64,
    /// Requests on their way.
    pub in_flight: u64,
    /// Why it is not faster, if not for the limits of the job.
    pub hindrance: Option<String>,
}

impl Pulse {
    /// What a snapshot and the rates of the last seconds say.
    pub fn of(now: &Snapshot, rates: Rates, at: i64) -> Self {
        Self {
            at,
            items_per_second: rates.items,
            calls_per_second: rates.calls,
            in_flight: now.in_flight,
            hindrance: now.hindrance.as_ref().map(Hindrance::words),
        }
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        let pace = format!(
            "{} items/s, {} calls/s, {} in flight",
            rate(self.items_per_second),
            rate(self.calls_per_second),
            count(self.in_flight)
        );
        match &self.hindrance {
            Some(why) => format!("{pace}; {}", visible(why)),
            None => format!("{pace}; as fast as its limits allow"),
        }
    }
}

/// Things a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Items.
    pub items: f64,
    /// Calls.
    pub calls: f64,
}

/// Shows progress on standard error.
#[derive(Debug)]
pub struct Progress {
    phase: Phase,
    meter: Meter,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    /// The next line is due at this time of the phase.
    Lines(Duration),
}

impl Progress {
    /// Shows a bar if standard error is a terminal, else lines.
    pub fn new(phase: Phase) -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let terminal = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWN_A_SECOND);
            Shown::Bar(ProgressBar::with_draw_target(None, terminal).with_style(style(None)))
        } else {
            Shown::Lines(LINE_EVERY)
        };
        Self { phase, meter: Meter::default(), shown }
    }

    /// Shows where things stand. Cheap: call it as often as something changes, or some times a second.
    pub fn update(&mut self, now: &Snapshot) {
        let rates = self.meter.rates(now);
        match &mut self.shown {
            Shown::Bar(bar) => {
                if let Some(total) = now.rows_total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_style(style(now.rows_total));
                    bar.set_length(total);
                }
                bar.set_position(now.rows_done);
                bar.set_message(line(self.phase, now, rates));
            }
            Shown::Lines(due) => {
                if now.elapsed >= *due {
                    *due = now.elapsed + LINE_EVERY;
                    tell(line(self.phase, now, rates));
                }
            }
        }
    }

    /// Takes the bar away, so that what follows starts on a clean line.
    pub fn finish(self) {
        match self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(_) => {}
        }
    }
}

/// A bar where the total is known, else a sign of life.
fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => "{bar:20} {wide_msg}",
        None => "{spinner} {wide_msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Where things stand, in one line.
pub fn line(phase: Phase, now: &Snapshot, rates: Rates) -> String {
    let mut parts = vec![rows(phase, now)];
    match phase {
        Phase::Loading => {
            parts.push(format!("{} rows/s", rate(rates.items)));
            parts.extend((now.failed > 0).then(|| format!("{} rejected", count(now.failed))));
        }
        Phase::Running => {
            parts.push(format!("{} items/s, {} calls/s", rate(rates.items), rate(rates.calls)));
            parts.push(format!("{} failed", count(now.failed)));
            parts.push(format!("{} in flight", count(now.in_flight)));
        }
    }
    parts.extend(time_left(now).map(|left| format!("{} left", duration(left))));
    parts.extend(now.hindrance.as_ref().map(Hindrance::words));
    parts.join(" · ")
}

fn rows(phase: Phase, now: &Snapshot) -> String {
    let what = match phase {
        Phase::Loading => "loaded",
        Phase::Running => "done",
    };
    let done = count(now.rows_done);
    match now.rows_total {
        Some(total) => format!("{done} of {} {what} ({})", counted(total, "row", "rows"), share(now.rows_done, total)),
        None => format!("{} {what}", counted(now.rows_done, "row", "rows")),
    }
}

/// At the mean speed since the start of the phase: calmer than the last seconds. None until there is one to speak of.
fn time_left(now: &Snapshot) -> Option<Duration> {
    let left = now.rows_total?.saturating_sub(now.rows_done);
    if left == 0 || now.items == 0 || now.elapsed < Duration::from_secs(2) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = left as f64 * now.elapsed.as_secs_f64() / now.items as f64;
    // Whole seconds: more would be made up.
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

impl Hindrance {
    fn words(&self) -> String {
        match self {
            Self::Throttled { calls_per_second } => {
                format!("throttled by the API to {} calls/s", count((*calls_per_second).into()))
            }
            Self::Outage(outage) => outage_words(outage),
            Self::BusyAccounts => "waits for busy accounts".to_owned(),
            Self::Backoff => "waits before the next attempts".to_owned(),
            Self::Draining => "stopping: waits for what is on its way".to_owned(),
        }
    }
}

fn outage_words(Outage { lasts, probes, trouble }: &Outage) -> String {
    let (what, reason) = match trouble {
        Trouble::Unreachable(reason) => ("cannot connect", reason),
        Trouble::Failing(reason) => ("every call fails", reason),
    };
    // Whole seconds: it is told a few times in each.
    let lasts = duration(Duration::from_secs(lasts.as_secs()));
    format!("{what}: {} (for {lasts}; only probes are sent, {} so far)", visible(reason), count((*probes).into()))
}

/// Speeds over the last seconds, out of sums.
#[derive(Debug, Default)]
pub struct Meter {
    samples: VecDeque<(Duration, u64, u64)>,
}

impl Meter {
    /// The rates up to this moment, which is remembered.
    pub fn rates(&mut self, now: &Snapshot) -> Rates {
        // A sample a tenth of the window is fine enough, however often this is called.
        let fresh = self.samples.back().is_none_or(|(at, _, _)| now.elapsed >= *at + WINDOW / 10);
        if fresh {
            self.samples.push_back((now.elapsed, now.items, now.calls));
        }
        while self.samples.get(1).is_some_and(|(at, _, _)| *at + WINDOW <= now.elapsed) {
            self.samples.pop_front();
        }
        let (since, items, calls) = self.samples.front().copied().unwrap_or_default();
        let seconds = now.elapsed.saturating_sub(since).as_secs_f64();
        if seconds <= 0.0 {
            return Rates::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
        let per_second = |later: u64, earlier: u64| later.saturating_sub(earlier) as f64 / seconds;
        Rates { items: per_second(now.items, items), calls: per_second(now.calls, calls) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Snapshot {
        Snapshot {
            elapsed: Duration::from_secs(seconds),
            rows_done: 10_500,
            rows_total: Some(1_000_000),
            items: 10_000,
            calls: 100,
            failed: 12,
            in_flight: 8,
            hindrance: None,
        }
    }

    #[test]
    fn a_line_tells_rows_speed_failures_time_left_and_what_hinders() {
        let rates = Rates { items: 9_876.4, calls: 98.76 };
        let mut now = at(10);
        assert_eq!(
            line(Phase::Running, &now, rates),
            "10,500 of 1,000,000 rows done (1.1 %) · 9,876 items/s, 98.8 calls/s · 12 failed · 8 in flight · 16 min 30 s \
             left"
        );
        let lasts = Duration::from_millis(42_300);
        let refused = Trouble::Unreachable("refused\n\u{1b}[2J".to_owned());
        now.hindrance = Some(Hindrance::Outage(Outage { lasts, probes: 9, trouble: refused }));
        let why = r"cannot connect: refused\n\u{1b}[2J (for 42 s; only probes are sent, 9 so far)";
        assert!(line(Phase::Running, &now, rates).ends_with(&format!(" left · {why}")));
        now.rows_total = None;
        assert_eq!(
            line(Phase::Loading, &now, rates),
            format!("10,500 rows loaded · 9,876 rows/s · 12 rejected · {why}")
        );
        let failing = Trouble::Failing("code 70500: x".to_owned());
        let failing = Hindrance::Outage(Outage { lasts, probes: 9, trouble: failing }).words();
        assert_eq!(failing, "every call fails: code 70500: x (for 42 s; only probes are sent, 9 so far)");
    }

    #[test]
    fn no_time_left_is_told_before_anything_is_known_or_after_the_end() {
        let nothing_yet = Snapshot { items: 0, ..at(10) };
        let too_early = at(1);
        let over = Snapshot { rows_done: 1_000_000, ..at(10) };
        let unknown = Snapshot { rows_total: None, ..at(10) };
        for now in [nothing_yet, too_early, over, unknown] {
            assert_eq!(time_left(&now), None, "{now:?}");
        }
        assert_eq!(time_left(&at(10)), Some(Duration::from_secs(990)));
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_not_of_the_whole_run() {
        let mut meter = Meter::default();
        let mut sums = Snapshot::default();
        for second in 0..=60 {
            sums.elapsed = Duration::from_secs(second);
            // Fast for half a minute, then ten times slower.
            sums.items += if second <= 30 { 1_000 } else { 100 };
            sums.calls += 2;
            let rates = meter.rates(&sums);
            match second {
                0 => assert_eq!(rates, Rates::default()),
                1..=30 => assert!((rates.items - 1_000.0).abs() < 1.0, "{rates:?}"),
                41.. => assert!((rates.items - 100.0).abs() < 1.0 && (rates.calls - 2.0).abs() < 0.1, "{rates:?}"),
                31..=40 => assert!((99.0..1_000.0).contains(&rates.items)),
            }
        }
        assert!(meter.samples.len() <= 12);
    }

    #[test]
    fn without_a_terminal_a_line_is_due_every_half_minute() {
        let mut progress = Progress { phase: Phase::Running, meter: Meter::default(), shown: Shown::Lines(LINE_EVERY) };
        let mut lines = 0;
        for second in 0..=90 {
            let before = due(&progress);
            progress.update(&at(second));
            lines += u32::from(due(&progress) != before);
        }
        assert_eq!(lines, 3);
    }

    fn due(progress: &Progress) -> Duration {
        match &progress.shown {
            Shown::Lines(due) => *due,
            Shown::Bar(_) => panic!("no bar here"),
        }
    }
}
