//! The facts that are shown while rows are loaded and sent: what is done, how fast, and what limits the speed.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control::RunPause;
use super::schedule::Outage;
use super::session_state::SessionState;

/// Rates are means over this time: short enough to show a slow-down, long enough not to jump.
const WINDOW: Duration = Duration::from_secs(10);

/// The phase of a session that a snapshot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The input is read and checked.
    Loading,
    /// Requests are sent.
    Sending,
    /// The sums of the queue are checked.
    FinalCheck,
}

impl Phase {
    /// The name in the log. Scripts depend on it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Sending => "sending",
            Self::FinalCheck => "final_check",
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
    /// Items with an outcome; while loading, rows read.
    pub items: u64,
    /// HTTP calls begun.
    pub calls: u64,
    /// Rows that failed or are in doubt; while loading, rejected rows.
    pub failed: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// What limits the speed, unless it is the limits of the job.
    pub bottleneck: Option<Bottleneck>,
    /// The state of which changes are reported. While loading, nothing of it changes.
    pub state: SessionState,
}

/// What limits the speed of a run, other than the limits of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bottleneck {
    /// The API answered that calls come too fast.
    Throttled {
        /// The calls per second that are sent now.
        calls_per_second: u32,
    },
    /// Every call fails: the server is only probed.
    Outage(Outage),
    /// The requests that are left write to accounts that requests in flight lease.
    BusyAccounts,
    /// The requests that are left wait for their next attempt.
    Backoff,
    /// A person paused the run.
    Paused(RunPause),
    /// The session is stopping: calls in flight end, and no new ones are sent.
    Draining,
}

/// The progress of a run as the runner writes it to the queue every few seconds, for `imbulk status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// Items that got their outcome, and calls begun.
    pub rates: Rates,
    /// Requests in flight.
    pub in_flight: u64,
    /// What limits the speed, unless it is the limits of the job.
    pub bottleneck: Option<Bottleneck>,
}

impl Heartbeat {
    /// The heartbeat of a snapshot that was taken at `at`.
    pub fn new(now: &ProgressSnapshot, rates: Rates, at: i64) -> Self {
        Self { at, rates, in_flight: now.in_flight, bottleneck: now.bottleneck.clone() }
    }
}

/// Numbers per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Items that got their outcome.
    pub items: f64,
    /// Calls begun.
    pub calls: f64,
}

/// Computes rates over the last seconds from sums.
#[derive(Debug, Default)]
pub struct RateMeter {
    /// Time, items and calls.
    samples: VecDeque<(Duration, u64, u64)>,
}

impl RateMeter {
    /// Adds a sample and returns the rates up to it.
    pub fn rates(&mut self, now: &ProgressSnapshot) -> Rates {
        // Ten samples per window are enough, however often this is called.
        let is_due = self.samples.back().is_none_or(|(at, _, _)| now.elapsed >= *at + WINDOW / 10);
        if is_due {
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

    #[test]
    fn rates_are_those_of_the_last_seconds_not_of_the_whole_run() {
        let mut meter = RateMeter::default();
        let mut sums = ProgressSnapshot::default();
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
}
