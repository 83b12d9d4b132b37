//! The facts that are shown while rows are loaded and sent: what is done, how fast, and what limits the speed.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

use super::bottleneck::Bottleneck;
use super::heartbeat::Rates;
use super::session_state::SessionState;

/// The rate of units is a mean over this time: short enough to show a slow-down, long enough not to jump.
const UNIT_WINDOW: Duration = Duration::from_secs(10);
/// The rate of calls is a mean over this time, so that it is 0 soon after the network stops.
const CALL_WINDOW: Duration = Duration::from_secs(2);
/// The time after which a rate counts 1/e of the present one for the time left.
const RATE_WEIGHT_DECAY: Duration = Duration::from_secs(30);
/// No time left is shown before this time.
const TOO_EARLY: Duration = Duration::from_secs(5);
/// The number of calls of which the median duration is taken.
const LATENCIES: usize = 63;

/// The phase of a session that a snapshot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The bytes of the input are compared with those of earlier runs.
    Comparing,
    /// The input is read and checked.
    Loading,
    /// The rows are packed into requests, which the queue stores. The end of loading.
    Packing,
    /// Requests are sent.
    Sending,
    /// The sums of the queue are checked.
    FinalCheck,
    /// The results are written.
    Export,
    /// The rows of old runs are removed, and their space is freed.
    Forget,
}

impl Phase {
    /// The name in the log. Scripts depend on it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Comparing => "comparing",
            Self::Loading => "loading",
            Self::Packing => "packing",
            Self::Sending => "sending",
            Self::FinalCheck => "final_check",
            Self::Export => "export",
            Self::Forget => "forget",
        }
    }
}

/// The counts at one moment. All but those of rows are sums since the start of the phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressSnapshot {
    /// Time since the start of the phase.
    pub elapsed: Duration,
    /// Rows with an outcome, those of earlier sessions included; while loading, rows read.
    pub rows_done: u64,
    /// All rows; none while their number is unknown.
    pub rows_total: Option<u64>,
    /// The bytes of the input, while they are read and their number is known.
    pub bytes: Option<BytesDone>,
    /// What the rate counts: rows that got their outcome in this session; while loading, rows read; while comparing,
    /// bytes read.
    pub units: u64,
    /// HTTP calls begun.
    pub calls: u64,
    /// Rows that failed or are in doubt.
    pub failed: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// The highest number of calls per second that the limits allow.
    pub cap: u32,
    /// What limits the speed; none while rows are loaded or requests are fetched. Of several apps, that of the app with
    /// the most rows left.
    pub bottleneck: Option<Bottleneck>,
    /// This app, if the session has several and something else limits another one.
    pub slowest_app: Option<NonZeroU64>,
    /// The state of which changes are reported. While loading, nothing of it changes.
    pub state: SessionState,
}

/// Bytes of the input as they are stored, compressed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesDone {
    /// Those that were read.
    pub done: u64,
    /// All of them.
    pub total: u64,
}

impl ProgressSnapshot {
    /// What is done, and all there is to do; none while that is unknown. Counted in rows or in bytes.
    pub fn parts(&self) -> Option<(u64, u64)> {
        let rows = self.rows_total.map(|total| (self.rows_done, total));
        rows.or(self.bytes.map(|bytes| (bytes.done, bytes.total)))
    }
}

/// Computes rates over the last seconds from sums.
#[derive(Debug, Default)]
pub struct RateMeter {
    /// Time, units and calls, oldest first.
    samples: VecDeque<(Duration, u64, u64)>,
    /// When the number of calls changed last, and the time before that change, if both are known.
    last_call: Option<(Duration, Option<Duration>)>,
}

impl RateMeter {
    /// Adds a sample and returns the rates up to it.
    pub fn rates(&mut self, now: &ProgressSnapshot) -> Rates {
        if self.samples.back().is_some_and(|(_, _, calls)| now.calls > *calls) {
            let gap = self.last_call.map(|(at, _)| now.elapsed.saturating_sub(at));
            self.last_call = Some((now.elapsed, gap));
        }
        self.samples.push_back((now.elapsed, now.units, now.calls));
        while self.samples.get(1).is_some_and(|(at, _, _)| *at + UNIT_WINDOW <= now.elapsed) {
            self.samples.pop_front();
        }
        let (units, _) = self.since(now, UNIT_WINDOW);
        let (_, calls) = self.since(now, CALL_WINDOW);
        // Two calls in the window: it is long enough to show the rate.
        let shows_calls = calls * CALL_WINDOW.as_secs_f64() >= 1.5;
        Rates { units, calls: if shows_calls { calls } else { self.slow_calls(now.elapsed) } }
    }

    /// Items and calls per second since the newest sample that is at least `window` old.
    fn since(&self, now: &ProgressSnapshot, window: Duration) -> (f64, f64) {
        let first = self.samples.iter().rev().find(|(at, _, _)| *at + window <= now.elapsed);
        let Some((at, units, calls)) = first.or(self.samples.front()) else { return (0.0, 0.0) };
        let seconds = now.elapsed.saturating_sub(*at).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
        let per_second = |later: u64, earlier: u64| later.saturating_sub(earlier) as f64 / seconds;
        (per_second(now.units, *units), per_second(now.calls, *calls))
    }

    /// The rate of calls that are further apart than the window: that of the last two, until the next one is overdue.
    fn slow_calls(&self, elapsed: Duration) -> f64 {
        match self.last_call {
            Some((at, Some(gap))) if gap * 2 >= CALL_WINDOW && elapsed <= at + gap * 2 => gap.as_secs_f64().recip(),
            Some(_) | None => 0.0,
        }
    }
}

/// Estimates the time left from the recent rate.
#[derive(Debug, Default)]
pub struct TimeLeft {
    /// Time of the last snapshot, and the rows or bytes that were done.
    last: Option<(Duration, u64)>,
    /// The mean of the rows or bytes per second, with weights that fall to 1/e in [`RATE_WEIGHT_DECAY`].
    mean: f64,
    /// The sum of these weights: near 0 at first, then 1.
    weight: f64,
    observed: Duration,
}

impl TimeLeft {
    /// Adds a snapshot and returns the time left; none where it would mean nothing: too early, without a rate, and
    /// while something else than the rate decides when the phase ends.
    pub fn update(&mut self, now: &ProgressSnapshot, rates: Rates) -> Option<Duration> {
        let (done, total) = now.parts()?;
        let (then, done_then) = self.last.replace((now.elapsed, done)).unwrap_or((now.elapsed, done));
        if now.bottleneck.as_ref().is_some_and(Bottleneck::hides_time_left) {
            return None;
        }
        let passed = now.elapsed.saturating_sub(then);
        if !passed.is_zero() {
            let rate = as_float(done.saturating_sub(done_then)) / passed.as_secs_f64();
            let kept = (-passed.as_secs_f64() / RATE_WEIGHT_DECAY.as_secs_f64()).exp();
            self.mean = self.mean.mul_add(kept, rate * (1.0 - kept));
            self.weight = self.weight.mul_add(kept, 1.0 - kept);
            self.observed += passed;
        }
        let left = total.saturating_sub(done);
        let moves = rates.calls > 0.0 || (now.calls == 0 && rates.units > 0.0);
        if left == 0 || !moves || self.observed < TOO_EARLY || self.mean <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(as_float(left) * self.weight / self.mean).ok()
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

/// The durations of the last calls.
#[derive(Debug, Default)]
pub struct LatencyMeter {
    last: VecDeque<Duration>,
}

impl LatencyMeter {
    /// A call has ended.
    pub fn add(&mut self, took: Duration) {
        if self.last.len() == LATENCIES {
            self.last.pop_front();
        }
        self.last.push_back(took);
    }

    /// The median of the last calls; none before the first one.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The rates after samples every 200 ms; `calls` returns the number of calls begun by a time in milliseconds.
    fn rates_at(end: u64, calls: impl Fn(u64) -> u64) -> Rates {
        let mut meter = RateMeter::default();
        let sample = |at| ProgressSnapshot {
            elapsed: Duration::from_millis(at),
            calls: calls(at),
            units: calls(at) * 100,
            ..ProgressSnapshot::default()
        };
        let rates = (0..=end).step_by(200).map(|at| meter.rates(&sample(at))).last().unwrap_or_default();
        assert!(meter.samples.len() <= 52, "the memory is bounded");
        rates
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_not_of_the_whole_run() {
        // 10 calls per second for half a minute, then 2.
        let calls = |at: u64| if at <= 30_000 { at / 100 } else { 300 + (at - 30_000) / 500 };
        assert_eq!(rates_at(30_000, calls), Rates { units: 1_000.0, calls: 10.0 });
        assert_eq!(rates_at(42_000, calls), Rates { units: 200.0, calls: 2.0 });
        assert!((200.0..1_000.0).contains(&rates_at(35_000, calls).units), "units are smoothed");
    }

    #[test]
    fn calls_drop_to_0_within_two_seconds_of_the_last_one() {
        let calls = |at: u64| at.min(30_000) / 10;
        assert_eq!(rates_at(30_000, calls), Rates { units: 10_000.0, calls: 100.0 });
        assert!(rates_at(32_000, calls).calls <= 0.0);
    }

    #[rstest]
    #[case::between_two_calls(23_000, 0.2)]
    #[case::at_a_call(25_000, 0.2)]
    #[case::before_the_second_call(9_000, 0.0)]
    fn a_call_every_five_seconds_is_a_fifth_of_a_call_per_second(#[case] end: u64, #[case] expected: f64) {
        let rates = rates_at(end, |at| at / 5_000);
        assert!((rates.calls - expected).abs() < 0.01, "{rates:?}");
    }

    #[test]
    fn a_slow_call_that_is_overdue_is_no_rate() {
        let calls = |at: u64| at.min(20_000) / 5_000;
        assert!(rates_at(29_000, calls).calls > 0.0);
        assert!(rates_at(31_000, calls).calls <= 0.0);
    }

    /// The time left after samples every 200 ms, of 100,000 rows; `rows` returns the rows that are done by a time in
    /// milliseconds.
    fn left_at(end: u64, bottleneck: Option<&Bottleneck>, rows: impl Fn(u64) -> u64) -> Option<u64> {
        let (mut meter, mut left) = (RateMeter::default(), TimeLeft::default());
        let update = |at| {
            let now = ProgressSnapshot {
                elapsed: Duration::from_millis(at),
                rows_done: rows(at),
                rows_total: Some(100_000),
                units: rows(at),
                calls: rows(at) / 10,
                bottleneck: bottleneck.cloned(),
                ..ProgressSnapshot::default()
            };
            let rates = meter.rates(&now);
            left.update(&now, rates)
        };
        (0..=end).step_by(200).map(update).last().flatten().map(|left| left.as_secs())
    }

    #[test]
    fn the_time_left_follows_the_recent_rate() {
        assert_eq!(left_at(10_000, None, |at| at), Some(90), "1,000 rows per second, and 90,000 left");
        // Fast for a minute, then a tenth: after another minute the mean of the whole run would say 27 s.
        let slower = |at: u64| if at <= 60_000 { at } else { 60_000 + (at - 60_000) / 10 };
        let left = left_at(120_000, None, slower).unwrap_or_default();
        assert!(
            (150..=340).contains(&left),
            "34,000 rows are left at 100 per second, and the rate is smoothed: {left}"
        );
    }

    #[test]
    fn the_time_left_is_hidden_when_it_would_mean_nothing() {
        assert_eq!(left_at(4_800, None, |at| at), None, "too early");
        assert_eq!(left_at(60_000, None, |_| 0), None, "without a rate");
        assert_eq!(left_at(62_200, None, |at| at.min(60_000)), None, "after the last call");
        assert_eq!(left_at(200_000, None, |at| at.min(100_000)), None, "after the end");
        assert_eq!(left_at(10_000, Some(&Bottleneck::Draining { in_flight: 1 }), |at| at), None, "while stopping");
        assert!(left_at(10_000, Some(&Bottleneck::Cap { calls_per_second: 1 }), |at| at).is_some());
    }

    #[test]
    fn the_median_latency_is_that_of_the_last_calls() {
        let mut meter = LatencyMeter::default();
        assert_eq!(meter.median(), None);
        for took in (1..=1_000).chain([9_000, 5, 7_000]) {
            meter.add(Duration::from_millis(took));
        }
        assert!((970..=1_000).contains(&meter.median().unwrap_or_default().as_millis()), "{:?}", meter.median());
        assert_eq!(meter.last.len(), LATENCIES);
    }
}
