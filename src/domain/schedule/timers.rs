//! What happens at a later moment.

use std::collections::BTreeMap;

use super::app::AppNo;
use super::leases::LeaseId;
use super::request_state::{PreviousCall, RequestState};
use super::scheduled_job::JobNo;
use super::time::ScheduleTime;
use crate::domain::ids::RequestId;
use crate::domain::request::Request;
use crate::domain::response::settlement::Settlement;

/// What a timer does.
#[derive(Debug)]
pub(super) enum Timer {
    /// Returns a lease.
    Release(LeaseId),
    /// Lets a request wait for its lease again, after its delay.
    Rejoin(JobNo, Request, PreviousCall),
    /// Makes a preparation again after its delay, under the lease that the request has kept.
    PrepareAgain(RequestState),
    /// Records the result of a call, once the server cannot be writing any more.
    Record(JobNo, Settlement),
    /// Makes a recovered request pending again.
    Reopen(RequestId),
    /// Ends the jobs of an app without waiting for calls in flight any longer.
    AbandonCalls(AppNo),
}

/// The timers, by due moment. Timers that are due at the same moment fire in the order in which they were started.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeMap<(ScheduleTime, u64), Timer>,
    started: u64,
}

impl Timers {
    pub(super) fn start(&mut self, due: ScheduleTime, timer: Timer) {
        self.queue.insert((due, self.started), timer);
        self.started += 1;
    }

    /// When the next timer is due.
    pub(super) fn next_due(&self) -> Option<ScheduleTime> {
        self.queue.keys().next().map(|(due, _)| *due)
    }

    /// Takes the next timer that is due.
    pub(super) fn pop_due(&mut self, now: ScheduleTime) -> Option<Timer> {
        let first = self.queue.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}
