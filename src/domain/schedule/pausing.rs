//! Pauses: no new call of a paused job begins, and its calls in flight end.
//!
//! Requests that wait for a slot are withdrawn. They keep their leases, because they were admitted before other
//! requests of the same accounts.

use super::job::JobState;
use super::stage::Stage;
use super::time::ScheduleTime;
use super::{Action, JobNo, Schedule};
use crate::domain::ids::RequestId;

impl Schedule {
    /// Whether every job that is not over is paused.
    pub fn is_paused(&self) -> bool {
        self.all_paused_since.is_some()
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

    /// Keeps the time in which every job is paused out of `stop.outage`.
    pub(super) fn watch_pauses(&mut self, now: ScheduleTime) {
        let mut left = self.jobs.iter().filter(|job| !job.is_over()).peekable();
        let all_paused = left.peek().is_some() && left.all(JobState::is_paused);
        match self.all_paused_since {
            None if all_paused => self.all_paused_since = Some(now),
            Some(since) if !all_paused => {
                self.breaker.skip(since, now);
                self.all_paused_since = None;
            }
            None | Some(_) => {}
        }
    }
}
