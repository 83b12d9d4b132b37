//! What the jobs of one app share: the health of its server, its UserSig, and its pauses.

use std::num::NonZeroU64;
use std::ops::Range;

use super::breaker::CircuitBreaker;
use super::job::JobState;
use super::time::ScheduleTime;
use super::usersig_state::UserSigState;
use super::{JobNo, Schedule, ScheduledJob};

/// Index of an app among those of the jobs that run together.
pub type AppNo = usize;

/// An app whose jobs run together.
#[derive(Debug)]
pub(super) struct AppState {
    sdkappid: Option<NonZeroU64>,
    pub(super) breaker: CircuitBreaker,
    pub(super) usersig: UserSigState,
    /// From when every job that is not over is paused.
    pub(super) all_paused_since: Option<ScheduleTime>,
    /// Whether the jobs end without waiting for calls in flight.
    pub(super) abandons_calls: bool,
}

impl AppState {
    /// The apps of these jobs, in the order of their first jobs.
    pub(super) fn of(jobs: &[ScheduledJob]) -> Vec<Self> {
        let mut apps: Vec<Self> = Vec::new();
        for job in jobs {
            if apps.iter().all(|app| app.sdkappid != job.sdkappid) {
                apps.push(Self::new(job.sdkappid));
            }
        }
        apps
    }

    fn new(sdkappid: Option<NonZeroU64>) -> Self {
        let (breaker, usersig) = (CircuitBreaker::default(), UserSigState::default());
        Self { sdkappid, breaker, usersig, all_paused_since: None, abandons_calls: false }
    }
}

impl Schedule {
    /// The numbers of the apps.
    pub fn app_numbers(&self) -> Range<AppNo> {
        0..self.apps.len()
    }

    /// The app of a job.
    pub fn app_of(&self, job: JobNo) -> AppNo {
        let sdkappid = self.jobs[job].scheduled.sdkappid;
        let place = self.apps.iter().position(|app| app.sdkappid == sdkappid);
        place.unwrap_or_else(|| unreachable!("the apps are those of the jobs"))
    }

    /// The SDKAppID of an app, if the jobs are of several apps.
    pub fn named_app(&self, app: AppNo) -> Option<NonZeroU64> {
        self.apps[app].sdkappid.filter(|_| self.apps.len() > 1)
    }

    /// The numbers of the jobs of an app.
    pub(super) fn jobs_of(&self, app: AppNo) -> Vec<JobNo> {
        (0..self.jobs.len()).filter(|job| self.app_of(*job) == app).collect()
    }

    /// The jobs of an app.
    pub(super) fn states_of(&self, app: AppNo) -> impl Iterator<Item = &JobState> + Clone {
        let sdkappid = self.apps[app].sdkappid;
        self.jobs.iter().filter(move |job| job.scheduled.sdkappid == sdkappid)
    }

    pub(super) fn breaker_of(&mut self, job: JobNo) -> &mut CircuitBreaker {
        let app = self.app_of(job);
        &mut self.apps[app].breaker
    }
}
