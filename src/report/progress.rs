//! The text of progress: three lines on a terminal, and one line for the log.

use std::time::Duration;

use jiff::Zoned;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::bottleneck::{bottleneck_in_short, bottleneck_text};
use super::text::{call_rate, count, counted, duration, rate, share, visible};
use crate::domain::guard::Bytes;
use crate::domain::heartbeat::Rates;
use crate::domain::progress::{BytesDone, Phase, ProgressSnapshot};

/// Between two facts of a line.
const SEPARATOR: &str = " · ";

/// What is sent, and where to.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The jobs that are sent together.
    pub jobs: Vec<String>,
    /// The operation, if all jobs have the same.
    pub operation: Option<&'static str>,
    /// The app or the sandbox.
    pub target: String,
    /// The ids of the runs; none while they are being loaded.
    pub runs: Vec<String>,
}

/// What is shown of a phase at one moment.
#[derive(Debug)]
pub struct ProgressView<'a> {
    /// The phase.
    pub phase: Phase,
    /// What is sent.
    pub subject: &'a Subject,
    /// The counts.
    pub now: &'a ProgressSnapshot,
    /// The rates of the last seconds.
    pub rates: Rates,
    /// The time left, if it means something.
    pub left: Option<Duration>,
    /// The clock of the user.
    pub clock: &'a Zoned,
}

/// The columns of the bar on a terminal of this width. It depends on nothing else, so that the figures do not move.
pub const fn bar_width(width: usize) -> usize {
    match width {
        0..72 => 8,
        72..110 => 20,
        _ => 40,
    }
}

impl ProgressView<'_> {
    /// The first line: what is sent, and where to.
    pub fn head(&self, width: usize) -> String {
        let Subject { jobs, operation, target, runs } = self.subject;
        let names: Vec<&str> = jobs.iter().map(String::as_str).collect();
        let (jobs, target) = (visible(&names.join(", ")).into_owned(), visible(target).into_owned());
        let ids = |length: usize| {
            let ids: Vec<&str> = runs.iter().map(|id| id.get(..length).unwrap_or(id)).collect();
            (!ids.is_empty()).then(|| format!("run {}", ids.join(", ")))
        };
        let phase = Some(phase_text(self.phase).to_owned()).filter(|_| self.phase != Phase::Sending);
        let all = |ids| {
            let parts = [Some(jobs.clone()), operation.map(str::to_owned), Some(target.clone()), ids, phase.clone()];
            parts.into_iter().flatten().collect()
        };
        first_that_fits(width, [all(ids(usize::MAX)), all(ids(8)), all(None)])
    }

    /// Behind the bar: the share that is done, the time left, and how many rows failed.
    pub fn figures(&self, width: usize) -> String {
        let now = self.now;
        let done = now.parts().map(|(done, total)| share(done, total));
        let failed = match self.phase {
            Phase::Comparing | Phase::Loading | Phase::Packing | Phase::FinalCheck | Phase::Export | Phase::Forget => {
                None
            }
            Phase::Sending => Some(format!("{} failed", count(now.failed))),
        };
        let left = self.left.map(calm);
        let ends = left.map(|left| ends_at(self.clock, left));
        let left = left.map(|left| format!("{} left", duration(left)));
        let in_flight = Some(format!("{} in flight", count(now.in_flight))).filter(|_| self.phase == Phase::Sending);
        let all = |ends: Option<String>, in_flight: Option<String>| {
            [done.clone(), left.clone(), ends, failed.clone(), in_flight].into_iter().flatten().collect()
        };
        first_that_fits(width, [all(ends.clone(), in_flight), all(ends, None), all(None, None)])
    }

    /// The last line: the rates against their limit, the rows, and what limits the speed.
    pub fn pace(&self, width: usize) -> String {
        let Self { now, rates, .. } = self;
        let (rows, rows_of_all) = self.rows();
        let items = match self.phase {
            Phase::Comparing => format!("{}/s", bytes(rates.units)),
            Phase::Loading | Phase::Packing | Phase::FinalCheck | Phase::Export | Phase::Forget => {
                format!("{} rows/s", rate(rates.units))
            }
            Phase::Sending => format!("{} rows/s", rate(rates.units)),
        };
        let calls = match self.phase {
            Phase::Comparing | Phase::Loading | Phase::Packing | Phase::FinalCheck | Phase::Export | Phase::Forget => {
                None
            }
            Phase::Sending => Some(calls_of_cap(*rates, now.cap)),
        };
        let of_app = |text: String| now.slowest_app.map_or_else(|| text.clone(), |app| format!("{app}: {text}"));
        let long = now.bottleneck.as_ref().map(bottleneck_text).map(of_app);
        let short = now.bottleneck.as_ref().map(bottleneck_in_short).map(of_app);
        let all = |rows: &str, items: Option<&str>, bottleneck: &Option<String>| {
            let parts = [calls.clone(), Some(rows.to_owned()), items.map(str::to_owned), bottleneck.clone()];
            parts.into_iter().flatten().collect()
        };
        let only_calls = calls.clone().map_or(Some(items.as_str()), |_| None);
        first_that_fits(
            width,
            [
                all(&rows_of_all, Some(&items), &long),
                all(&rows_of_all, Some(&items), &short),
                all(&rows_of_all, only_calls, &long),
                all(&rows_of_all, only_calls, &short),
                all(&rows, only_calls, &short),
            ],
        )
    }

    /// All of it in one line, for the log. The most wanted facts come first.
    pub fn line(&self) -> String {
        let unlimited = usize::MAX;
        match self.phase {
            Phase::Sending => [self.figures(unlimited), self.pace(unlimited)].join(SEPARATOR),
            Phase::Comparing | Phase::Loading | Phase::Packing | Phase::FinalCheck | Phase::Export | Phase::Forget => {
                self.step(unlimited)
            }
        }
    }

    /// What the process does instead of sending, in one line. If it is not known how much is left, how long it took.
    pub fn step(&self, width: usize) -> String {
        let took = duration(Duration::from_secs(self.now.elapsed.as_secs()));
        let shown = |facts: &[String]| {
            let facts = facts.iter().filter(|fact| !fact.is_empty()).cloned();
            std::iter::once(phase_text(self.phase).to_owned()).chain(facts).collect::<Vec<_>>()
        };
        if self.now.parts().is_none() && self.now.rows_done == 0 {
            return first_that_fits(width, [shown(&[took])]);
        }
        let (figures, pace) = (self.figures(usize::MAX), self.pace(usize::MAX));
        let done = self.now.parts().map(|(done, total)| share(done, total)).unwrap_or_default();
        first_that_fits(width, [shown(&[figures.clone(), pace]), shown(&[figures]), shown(&[done])])
    }

    /// The rows that are done, without and with the number of all rows.
    fn rows(&self) -> (String, String) {
        if let (Phase::Comparing, Some(BytesDone { done, total })) = (self.phase, self.now.bytes) {
            let done = Bytes(done);
            return (done.to_string(), format!("{done} of {}", Bytes(total)));
        }
        let done = counted(self.now.rows_done, "row", "rows");
        let what = if self.phase == Phase::Loading { " loaded" } else { " done" };
        let of_all = match self.now.rows_total {
            Some(total) => format!("{} of {}", count(self.now.rows_done), counted(total, "row", "rows")),
            None => format!("{done}{what}"),
        };
        (done, of_all)
    }
}

/// The calls per second, and how many the limits allow. In a pause they allow none, and the reason is shown instead.
fn calls_of_cap(rates: Rates, cap: u32) -> String {
    if rates.calls > 0.0 && rates.calls < 1.0 {
        return call_rate(rates.calls);
    }
    if cap == 0 {
        return format!("{} calls/s", rate(rates.calls));
    }
    format!("{} of {} calls/s", rate(rates.calls), count(cap.into()))
}

/// A phase, for people.
pub(super) const fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Comparing => "comparing the input with earlier runs",
        Phase::Loading => "loading the input",
        Phase::Packing => "packing requests",
        Phase::Sending => "sending",
        Phase::FinalCheck => "checking the sums",
        Phase::Export => "writing the results",
        Phase::Forget => "removing the rows and freeing the space",
    }
}

/// A number of bytes per second.
fn bytes(per_second: f64) -> Bytes {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
    let whole = per_second as u64;
    Bytes(whole)
}

/// The first of these lists of facts that has at most `width` columns. The last one is cut where it has more.
fn first_that_fits<const N: usize>(width: usize, lines: [Vec<String>; N]) -> String {
    let mut last = String::new();
    for facts in lines {
        last = facts.join(SEPARATOR);
        if last.width() <= width {
            return last;
        }
    }
    cut(&last, width)
}

/// The beginning of a text, with a mark where it was cut.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut columns = 0;
    let fits = |character: &char| {
        columns += character.width().unwrap_or_default();
        columns < width
    };
    text.chars().take_while(fits).chain(std::iter::once('…')).collect()
}

/// Rounded up, so that it does not change several times per second and no more is shown than is known.
fn calm(left: Duration) -> Duration {
    let step = match left.as_secs() {
        0..120 => 1,
        120..3_600 => 10,
        _ => 60,
    };
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Duration::from_secs(seconds.div_ceil(step) * step)
}

/// The expected end, by the clock of the user.
fn ends_at(now: &Zoned, left: Duration) -> String {
    match now.checked_add(left) {
        Ok(end) if end.date() == now.date() => format!("ends {}", end.strftime("%H:%M")),
        Ok(end) => format!("ends {}", end.strftime("%a %H:%M")),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::bottleneck::{Bottleneck, ThrottledRate};
    use crate::domain::session_state::SessionState;

    fn snapshot() -> ProgressSnapshot {
        ProgressSnapshot {
            elapsed: Duration::from_secs(10),
            rows_done: 10_500,
            rows_total: Some(1_000_000),
            bytes: None,
            units: 10_000,
            calls: 100,
            failed: 12,
            in_flight: 8,
            cap: 100,
            bottleneck: Some(Bottleneck::Cap { calls_per_second: 100 }),
            slowest_app: None,
            state: SessionState::default(),
        }
    }

    fn subject() -> Subject {
        Subject {
            jobs: vec!["purge".to_owned()],
            operation: Some("account_delete"),
            target: "app 1400000001".to_owned(),
            runs: vec!["0190e8b0-0000-7000-8000-000000000001".to_owned()],
        }
    }

    fn lines(width: usize, phase: Phase, now: &ProgressSnapshot) -> [String; 3] {
        let clock: Zoned = "2026-11-30T14:00:00+08:00[Asia/Shanghai]".parse().unwrap();
        let rates = Rates { units: 9_876.4, calls: 98.76 };
        let left = Some(Duration::from_millis(983_200));
        let view = ProgressView { phase, subject: &subject(), now, rates, left, clock: &clock };
        [view.head(width), view.figures(width - bar_width(width) - 1), view.pace(width)]
    }

    #[test]
    fn the_most_wanted_facts_survive_60_columns() {
        insta::assert_snapshot!(lines(60, Phase::Sending, &snapshot()).join("\n"), @r"
        purge · account_delete · app 1400000001 · run 0190e8b0
        1.1 % · 16 min 30 s left · ends 14:16 · 12 failed
        98.8 of 100 calls/s · 10,500 rows · at the limit
        ");
        insta::assert_snapshot!(lines(80, Phase::Sending, &snapshot()).join("\n"), @r"
        purge · account_delete · app 1400000001 · run 0190e8b0
        1.1 % · 16 min 30 s left · ends 14:16 · 12 failed
        98.8 of 100 calls/s · 10,500 of 1,000,000 rows · 9,876 rows/s · at the limit
        ");
        insta::assert_snapshot!(lines(120, Phase::Sending, &snapshot()).join("\n"), @r"
        purge · account_delete · app 1400000001 · run 0190e8b0-0000-7000-8000-000000000001
        1.1 % · 16 min 30 s left · ends 14:16 · 12 failed · 8 in flight
        98.8 of 100 calls/s · 10,500 of 1,000,000 rows · 9,876 rows/s · at the limit of 100 calls/s
        ");
    }

    #[test]
    fn while_loading_rows_are_counted_and_no_calls() {
        let now = ProgressSnapshot { rows_total: None, bottleneck: None, ..snapshot() };
        insta::assert_snapshot!(lines(80, Phase::Loading, &now).join("\n"), @r"
        purge · account_delete · app 1400000001 · run 0190e8b0 · loading the input
        16 min 30 s left · ends 14:16
        10,500 rows loaded · 9,876 rows/s
        ");
        let now = ProgressSnapshot { bytes: Some(BytesDone { done: 1, total: 4 }), ..now };
        insta::assert_snapshot!(lines(80, Phase::Loading, &now).join("\n"), @r"
        purge · account_delete · app 1400000001 · run 0190e8b0 · loading the input
        25.0 % · 16 min 30 s left · ends 14:16
        10,500 rows loaded · 9,876 rows/s
        ");
    }

    #[test]
    fn a_step_is_one_line_with_its_share_or_how_long_it_took() {
        let clock: Zoned = "2026-11-30T14:00:00+08:00[Asia/Shanghai]".parse().unwrap();
        let step = |phase, now: &ProgressSnapshot, width| {
            let rates = Rates { units: 3_400_000.0, calls: 0.0 };
            let left = now.parts().map(|_| Duration::from_secs(4));
            ProgressView { phase, subject: &subject(), now, rates, left, clock: &clock }.step(width)
        };
        let elapsed = Duration::from_millis(30_200);
        let unknown = ProgressSnapshot { elapsed, ..ProgressSnapshot::default() };
        assert_eq!(step(Phase::FinalCheck, &unknown, 80), "checking the sums · 30 s");
        let bytes = Some(BytesDone { done: 5 << 20, total: 20 << 20 });
        let hashing = ProgressSnapshot { bytes, units: 5 << 20, ..unknown.clone() };
        assert_eq!(
            step(Phase::Comparing, &hashing, 120),
            "comparing the input with earlier runs · 25.0 % · 4 s left · ends 14:00 · 5.0 MiB of 20.0 MiB · 3.2 MiB/s"
        );
        assert_eq!(step(Phase::Comparing, &hashing, 60), "comparing the input with earlier runs · 25.0 %");
        let written = ProgressSnapshot { rows_done: 500, rows_total: Some(1_000), ..unknown };
        let text = "writing the results · 50.0 % · 4 s left · ends 14:00 · 500 of 1,000 rows · 3,400,000 rows/s";
        assert_eq!(step(Phase::Export, &written, 120), text);
    }

    #[rstest]
    fn no_line_is_wider_than_the_terminal(#[values(40, 60, 80, 120)] width: usize) {
        let rate = ThrottledRate { calls_per_second: 40, resumes_in: None };
        let now = ProgressSnapshot {
            rows_done: 123_456_789,
            rows_total: Some(1_234_567_890),
            bottleneck: Some(Bottleneck::Throttle { rate, cap: 200 }),
            ..snapshot()
        };
        for line in lines(width, Phase::Sending, &now) {
            assert!(line.width() <= width, "{line}");
        }
    }

    #[test]
    fn a_wide_name_is_cut_by_its_columns() {
        assert_eq!(cut("用户用户", 8), "用户用户");
        assert_eq!(cut("用户用户", 7), "用户用…");
        assert_eq!(cut("用户用户", 6), "用户…");
    }

    #[test]
    fn the_end_names_the_day_only_if_it_is_another_one() {
        let now: Zoned = "2026-11-30T23:50:00+08:00[Asia/Shanghai]".parse().unwrap();
        assert_eq!(ends_at(&now, Duration::from_mins(5)), "ends 23:55");
        assert_eq!(ends_at(&now, Duration::from_mins(15)), "ends Tue 00:05");
    }

    #[test]
    fn the_time_left_is_rounded_up() {
        let text = |millis| duration(calm(Duration::from_millis(millis)));
        assert_eq!([90_100, 983_200, 3_700_000].map(text), ["1 min 31 s", "16 min 30 s", "1 h 2 min"]);
    }
}
