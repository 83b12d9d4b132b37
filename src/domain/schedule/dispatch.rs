//! Which ready requests are sent next, and how the retry budget pays for them.

use super::app::AppNo;
use super::job::JobState;
use super::request_state::{Blame, Payment, PreviousCall, RequestState};
use super::retry_budget::RetryCost;
use super::stage::Stage;
use super::time::ScheduleTime;
use super::{Action, JobNo, Schedule};
use crate::domain::change::Change;
use crate::domain::ids::RequestId;
use crate::domain::response::verdict::Charge;

impl Schedule {
    /// Sends ready requests, one of each job in turn. During an outage it sends a probe.
    pub(super) fn dispatch(&mut self, now: ScheduleTime, out: &mut Vec<Action>) {
        let mut batch = Vec::new();
        let mut jobs: Vec<JobNo> = (0..self.jobs.len()).filter(|job| self.jobs[*job].needs_intents()).collect();
        while !jobs.is_empty() {
            jobs.retain(|job| {
                let next = if self.jobs[*job].may_send_more() { self.send_next(now, *job) } else { None };
                batch.extend(next);
                next.is_some()
            });
        }
        for app in self.app_numbers() {
            if self.apps[app].breaker.may_probe(now) {
                batch.extend(self.probe(now, app));
            }
        }
        let only_reads = |id: &RequestId| self.requests[id].request.purpose.call_kind().only_reads();
        let (reading, changing): (Vec<RequestId>, Vec<RequestId>) = batch.into_iter().partition(only_reads);
        let intents = [Change::IntendToRead(reading), Change::Intend(changing)];
        let is_empty =
            |change: &Change| matches!(change, Change::Intend(ids) | Change::IntendToRead(ids) if ids.is_empty());
        out.extend(intents.into_iter().filter(|change| !is_empty(change)).map(Action::commit_now));
    }

    /// Sends a ready request of a job: the first one, if the retry budget pays for it.
    ///
    /// If no job of the app has new requests left, no call can show whether the server works. Then `max_attempts` alone
    /// bounds a request that fails by itself.
    fn send_next(&mut self, now: ScheduleTime, job: JobNo) -> Option<RequestId> {
        let ready = self.jobs[job].ready();
        let app = self.app_of(job);
        let none_are_new = || self.states_of(app).all(JobState::has_no_new_requests);
        if self.apps[app].breaker.is_open() {
            let index = none_are_new().then(|| ready.iter().position(|id| self.fails_by_itself(*id))).flatten()?;
            return self.begin_sending(now, job, index, Payment::Exempt);
        }
        let id = *ready.front()?;
        if self.fails_by_itself(id) && none_are_new() {
            return self.begin_sending(now, job, 0, Payment::Exempt);
        }
        let (allowed, cost) = match self.requests[&id].previous {
            Some(previous) => (self.apps[app].breaker.pay(now, previous.cost), previous.cost),
            None => {
                let patience = self.patience(app);
                (self.apps[app].breaker.allows_new(now, patience), RetryCost::FREE)
            }
        };
        allowed.then(|| self.begin_sending(now, job, 0, Payment::Paid(cost))).flatten()
    }

    /// Whether its last call failed in a way that counts as an attempt, while others did not fail.
    fn fails_by_itself(&self, id: RequestId) -> bool {
        let RequestState { job, previous, .. } = self.requests[&id];
        let fails =
            |previous: PreviousCall| previous.charge == Charge::Attempt && self.blame(job, previous) == Blame::Request;
        previous.is_some_and(fails)
    }

    pub(super) fn blame(&self, job: JobNo, previous: PreviousCall) -> Blame {
        let breaker = &self.apps[self.app_of(job)].breaker;
        if breaker.succeeded_after(previous.sent_at) { Blame::Request } else { previous.blame }
    }

    /// Sends one request to see whether the server of an app works again: a new one if there is one, each time of
    /// another job. After a preparation, which shows nothing about changes, its next call goes first.
    fn probe(&mut self, now: ScheduleTime, app: AppNo) -> Option<RequestId> {
        let all = self.jobs_of(app);
        let first = self.apps[app].breaker.probes();
        let jobs = (0..all.len()).map(|offset| all[(first + offset) % all.len()]);
        let jobs: Vec<JobNo> = jobs.filter(|job| self.jobs[*job].may_send_more()).collect();
        let is_new = |id: &RequestId| self.requests[id].previous.is_none();
        let new = jobs.iter().find_map(|job| Some((*job, self.jobs[*job].ready().iter().position(is_new)?)));
        let is_prepared = |id: &RequestId| self.requests[id].follows_preparation;
        let is_first_prepared = |job: &JobNo| self.jobs[*job].ready().front().is_some_and(is_prepared);
        let prepared = jobs.iter().find(|job| is_first_prepared(job)).map(|job| (*job, 0));
        let any = || jobs.iter().find(|job| !self.jobs[**job].ready().is_empty()).map(|job| (*job, 0));
        let (job, index) = prepared.or(new).or_else(any)?;
        let id = self.begin_sending(now, job, index, Payment::Paid(RetryCost::FREE))?;
        self.apps[app].breaker.probe(id);
        Some(id)
    }

    fn begin_sending(&mut self, now: ScheduleTime, job: JobNo, index: usize, payment: Payment) -> Option<RequestId> {
        let id = self.jobs[job].take_ready(index)?;
        self.advance(id, Stage::Ready, Stage::Intending);
        let preparations = self.jobs[job].scheduled.preparations;
        let state = self.requests.get_mut(&id).expect("the request is in memory");
        state.request.calls += 1;
        state.payment = payment;
        state.prepare_again_if_old(preparations, now);
        Some(id)
    }
}
