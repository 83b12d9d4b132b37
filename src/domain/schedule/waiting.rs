//! What the requests of a session wait for, as figures.

use super::Schedule;
use super::app::AppNo;
use super::job::JobState;
use super::stage::Stage;
use crate::domain::bottleneck::{CanaryProgress, WaitingRequests};

impl Schedule {
    /// What the requests of an app wait for.
    pub fn waiting(&self, app: AppNo) -> WaitingRequests {
        let jobs = || self.states_of(app).filter(|job| job.is_active());
        let count = |stage| jobs().map(|job| job.counts().requests(stage) as u64).sum::<u64>();
        WaitingRequests {
            may_be_sent: count(Stage::Ready) + jobs().map(|job| job.counts().before_sent() as u64).sum::<u64>(),
            for_accounts: count(Stage::AwaitingLease) + count(Stage::Parked),
            for_delays: count(Stage::BackingOff),
            recovered: count(Stage::Recovered),
            none_are_stored: jobs().all(JobState::is_exhausted),
        }
    }

    /// The `max_in_flight` of the jobs of an app with requests that could be sent, if all of these jobs have reached
    /// it.
    pub fn reached_max_in_flight(&self, app: AppNo) -> Option<u64> {
        let mut ready = self.states_of(app).filter(|job| job.is_active() && !job.ready().is_empty()).peekable();
        ready.peek()?;
        ready.map(|job| job.scheduled.max_in_flight.filter(|_| job.is_at_max_in_flight()).map(|max| max as u64)).sum()
    }

    /// The progress of the open canaries of an app that withhold other requests.
    pub fn canary_progress(&self, app: AppNo) -> Option<CanaryProgress> {
        let open = self.states_of(app).filter(|job| job.is_active() && job.canary.is_full());
        let progress = open.map(|job| CanaryProgress { ended: job.outcomes().ended, wanted: job.scheduled.canary });
        progress.reduce(|all, one| CanaryProgress { ended: all.ended + one.ended, wanted: all.wanted + one.wanted })
    }
}
