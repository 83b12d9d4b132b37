//! Records the time series of a run while a session sends it.

use std::time::Duration;

use super::{FullestSecond, SpanEnd, TimeSeries};
use crate::domain::bottleneck::BottleneckKind;
use crate::domain::call_counts::CallCounter;
use crate::domain::request::CallKind;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::schedule::{DeadlineKey, StopReason};

/// Records the time series of a run in one session.
#[derive(Debug)]
pub struct SeriesRecorder {
    pub(super) series: TimeSeries,
    /// When the session began, in milliseconds since 1970. All other times follow the monotonic clock, so that a clock
    /// that is set moves nothing within a session.
    began_at: i64,
    /// The time of the last observation, since the start of the session.
    observed: Duration,
    is_over: bool,
    /// The rows at the last observation.
    rows: Tally,
    calls: CallCounter,
}

/// The state of a run at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// The time since the start of the session.
    pub elapsed: Duration,
    /// What has limited the speed since the last observation.
    pub limited_by: BottleneckKind,
    /// Whether nothing more is sent. The time after this observation does not count.
    pub is_over: bool,
    /// The cap of the command that makes the change.
    pub cap: u32,
    /// Rows by outcome.
    pub rows: Tally,
}

impl SeriesRecorder {
    /// Goes on with the series of earlier sessions, if there were any.
    pub fn begin(earlier: Option<TimeSeries>, began_at: i64, rows: Tally) -> Self {
        let mut series = earlier.unwrap_or_default();
        series.begin_session(began_at);
        Self { series, began_at, observed: Duration::ZERO, is_over: false, rows, calls: CallCounter::default() }
    }

    /// A call began at this time after the start of the session.
    pub fn call_begun(&mut self, elapsed: Duration, kind: CallKind) {
        let at = self.at(elapsed);
        if kind.only_reads() {
            self.series.bucket(at).reads += 1;
            return;
        }
        self.calls.begun(elapsed);
        let in_second = self.calls.in_last_second();
        let bucket = self.series.bucket(at);
        bucket.calls += 1;
        bucket.fullest_second = bucket.fullest_second.max(in_second);
        if self.series.fullest.is_none_or(|fullest| in_second > fullest.calls) {
            self.series.fullest = Some(FullestSecond { calls: in_second, at });
        }
    }

    /// A call ended at this time after the start of the session.
    pub fn call_ended(&mut self, elapsed: Duration, took: Duration) {
        let at = self.at(elapsed);
        self.series.bucket(at).latencies.add(took);
    }

    /// Adds what happened since the last observation.
    pub fn observe(&mut self, now: Observation) {
        let (from, at) = (self.at(self.observed), self.at(now.elapsed));
        if !self.is_over {
            self.series.add_time((from, at), now.limited_by, now.cap);
            if let Some(session) = self.series.sessions.last_mut() {
                session.seen_at = at;
            }
        }
        let ended =
            now.rows.iter().filter(|(outcome, rows)| *outcome != Outcome::Pending && *rows > self.rows[*outcome]);
        let ended: Tally = ended.map(|(outcome, rows)| (outcome, rows - self.rows[outcome])).collect();
        if ended.total() > 0 {
            self.series.bucket(from.max(at - 1)).rows += ended;
        }
        self.observed = now.elapsed;
        self.is_over = now.is_over;
        self.rows = now.rows;
    }

    /// The session ends, for this reason if rows are left. Without one, it is left open as after a kill.
    pub fn end(&mut self, reason: Option<&StopReason>) {
        let end = match reason {
            _ if self.rows[Outcome::Pending] == 0 => SpanEnd::Finished,
            Some(reason) => SpanEnd::Stopped(end_name(reason).to_owned()),
            None => SpanEnd::Open,
        };
        if let Some(session) = self.series.sessions.last_mut() {
            session.end = end;
        }
    }

    /// The text to store.
    pub fn to_json(&mut self) -> String {
        self.series.to_json()
    }

    /// Milliseconds since 1970.
    fn at(&self, elapsed: Duration) -> i64 {
        self.began_at.saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The end of `stop.window` has a name of its own, because the next session begins when the window opens.
const fn end_name(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::Deadline(DeadlineKey::Window) => "window",
        StopReason::Deadline(DeadlineKey::Until | DeadlineKey::MaxRuntime)
        | StopReason::ItemLimit
        | StopReason::CallsPerDay(_)
        | StopReason::Signal(_)
        | StopReason::Drain { .. }
        | StopReason::Outage(_)
        | StopReason::DiskFull { .. }
        | StopReason::AlreadyDone { .. }
        | StopReason::Canary { .. }
        | StopReason::Fuse { .. }
        | StopReason::Fatal { .. }
        | StopReason::BackupFailed(_)
        | StopReason::QueueLost
        | StopReason::LedgerLost(_) => reason.name(),
    }
}
