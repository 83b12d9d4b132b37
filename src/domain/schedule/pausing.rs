//! Pauses: no new call of a paused job begins, and its calls in flight end.
//!
//! Requests that wait for a slot are withdrawn. They keep their leases, because they were admitted before other
//! requests of the same accounts.

use super::app::{AppNo, AppState};
use super::job::JobState;
use super::stage::Stage;
use super::time::ScheduleTime;
use super::{Action, JobNo, Schedule};
use crate::domain::ids::RequestId;

impl Schedule {
    /// Whether every job of an app that is not over is paused.
    pub fn is_paused(&self, app: AppNo) -> bool {
        self.apps[app].all_paused_since.is_some()
    }

    /// Whether no request of the job is between its intent and its first byte, so that the calls in flight are all
    /// that there will be while the job is paused.
    pub fn is_held_back(&self, job: JobNo) -> bool {
        self.jobs[job].counts().before_sent() == 0
    }

    pub(super) fn pause(&mut self, job: JobNo, out: &mut Vec<Action>) {
        if self.jobs[job].pause() {
            out.push(Action::HoldBack(job));
        }
    }

    /// The intent of a request was taken back: the request is ready again.
    pub(super) fn ready_again(&mut self, id: RequestId) {
        let (job, _) = self.advance(id, Stage::Withdrawing, Stage::Ready);
        self.requests.entry(id).and_modify(|state| state.request.calls -= 1);
        self.jobs[job].push_ready(id);
    }

    fn are_paused(&self, app: AppNo) -> bool {
        let mut left = self.states_of(app).filter(|job| !job.is_over()).peekable();
        left.peek().is_some() && left.all(JobState::is_paused)
    }

    /// Keeps the time in which every job of an app is paused out of `stop.outage`.
    pub(super) fn watch_pauses(&mut self, now: ScheduleTime) {
        for app in self.app_numbers() {
            let all_paused = self.are_paused(app);
            let AppState { all_paused_since, breaker, .. } = &mut self.apps[app];
            match *all_paused_since {
                None if all_paused => *all_paused_since = Some(now),
                Some(since) if !all_paused => {
                    breaker.skip(since, now);
                    *all_paused_since = None;
                }
                None | Some(_) => {}
            }
        }
    }
}
