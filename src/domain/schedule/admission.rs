//! How requests come into memory, and which are parked instead.

use super::job::JobState;
use super::leases::{LeaseId, LeaseState, Released};
use super::parking::MAX_QUEUED_PER_ACCOUNT;
use super::recovered::RecoveredRequest;
use super::request_state::{Payment, PreviousCall, RequestState};
use super::retry_budget::RetryCost;
use super::stage::Stage;
use super::time::{QUARANTINE, ScheduleTime};
use super::timers::Timer;
use super::{Action, JobNo, REQUESTS_PER_PAGE, Schedule};
use crate::domain::ids::RequestId;
use crate::domain::request::{AccountKey, AccountKeys, Request};

impl Schedule {
    pub(super) fn recovered(&mut self, now: ScheduleTime, job: Option<JobNo>, request: Request, keys: &AccountKeys) {
        let (lease, state) = self.leases.request(keys.clone());
        assert_eq!(state, LeaseState::Held, "requests in flight share no account, not even after a kill");
        let id = request.id;
        self.timers.start(now + QUARANTINE, Timer::Reopen(id));
        if let Some(job) = job {
            self.jobs[job].canary.count(&request);
            self.jobs[job].moved(Stage::Stored, Stage::Recovered, request.items.len(), false);
        }
        self.recovered.add(id, keys, RecoveredRequest { lease, own: job.map(|job| (job, request)) });
    }

    /// On disk the request is pending again, in doubt.
    pub(super) fn reopened(&mut self, id: RequestId, out: &mut Vec<Action>) {
        let RecoveredRequest { lease, own } = self.recovered.remove(id);
        let released = self.leases.release(lease);
        self.recovered.remove_accounts(&released.keys);
        self.pass_on(&released, out);
        if let Some((job, request)) = own {
            if self.jobs[job].stop().is_some() {
                return self.jobs[job].moved(Stage::Recovered, Stage::Stored, request.items.len(), false);
            }
            let keys = self.keys_of(job, &request);
            self.request_lease((job, request, keys), Stage::Recovered, None);
        }
    }

    pub(super) fn page(&mut self, job: JobNo, requests: Vec<Request>) {
        self.jobs[job].fetched(&requests, requests.len() < REQUESTS_PER_PAGE as usize);
        if self.jobs[job].stop().is_some() {
            return;
        }
        for request in requests {
            if !self.recovered.knows(request.id)
                && let Some(request) = self.jobs[job].canary.admit(request)
            {
                self.admit(job, request);
            }
        }
    }

    /// Takes a request into memory. Parks it if one of its accounts is crowded, or if a
    /// recovered request writes it.
    pub(super) fn admit(&mut self, job: JobNo, request: Request) {
        let keys = self.keys_of(job, &request);
        // An account is crowded only if some lease waits, so most jobs need not look at each account.
        let may_be_crowded = !self.waiting.is_empty() || self.recovered.has_accounts();
        let crowded = |key: &AccountKey| {
            self.leases.queue_length(*key) >= MAX_QUEUED_PER_ACCOUNT || self.recovered.contains_account(*key)
        };
        if may_be_crowded && let Some(account) = keys.as_slice().iter().copied().find(crowded) {
            self.jobs[job].moved(Stage::Stored, Stage::Parked, request.items.len(), true);
            return self.parking.park(account, job, request.id);
        }
        self.request_lease((job, request, keys), Stage::Stored, None);
    }

    /// A parked request is in memory. It joins the queues of its accounts even if others of them are crowded.
    /// Otherwise a request of many busy accounts would be overtaken as long as there are any others.
    pub(super) fn parked_read(&mut self, job: JobNo, request: Request, out: &mut Vec<Action>) {
        let account = self.parking.read_ended(request.id);
        if self.jobs[job].stop().is_some() {
            self.jobs[job].moved(Stage::Parked, Stage::Stored, 0, false);
            return self.parking.read_for(account, self.leases.queue_length(account), out);
        }
        let keys = self.keys_of(job, &request);
        self.request_lease((job, request, keys), Stage::Parked, None);
    }

    pub(super) fn keys_of(&self, job: JobNo, request: &Request) -> AccountKeys {
        let scheduled = &self.jobs[job].scheduled;
        scheduled.operation.keys(request).in_app(scheduled.sdkappid)
    }

    pub(super) fn request_lease(
        &mut self,
        (job, request, keys): (JobNo, Request, AccountKeys),
        from: Stage,
        previous: Option<PreviousCall>,
    ) {
        let id = request.id;
        let (lease, state) = self.leases.request(keys);
        let stage = match state {
            LeaseState::Held => {
                self.jobs[job].push_ready(id);
                Stage::Ready
            }
            LeaseState::Waiting => {
                self.waiting.insert(lease, id);
                Stage::AwaitingLease
            }
        };
        self.jobs[job].moved(from, stage, request.items.len(), previous.is_none());
        let payment = Payment::Paid(RetryCost::FREE);
        let mut state = RequestState {
            job,
            lease,
            request,
            stage,
            previous,
            payment,
            prepaid: RetryCost::FREE,
            not_after: None,
            follows_preparation: false,
            backed_up_at: None,
            sent_at: ScheduleTime::START,
        };
        state.prepare(self.jobs[job].scheduled.preparations);
        let earlier = self.requests.insert(id, state);
        assert!(earlier.is_none() && !self.pending_records.contains_key(&id), "a request is in memory once");
    }

    /// Returns a lease, and lets the requests go on that waited for its accounts.
    pub(super) fn release(&mut self, lease: LeaseId, out: &mut Vec<Action>) {
        let released = self.leases.release(lease);
        self.pass_on(&released, out);
    }

    /// Lets the requests go on that hold their leases now.
    pub(super) fn pass_on(&mut self, released: &Released, out: &mut Vec<Action>) {
        for lease in &released.granted {
            let id = self.waiting.remove(lease).expect("a request that waits for its lease is known");
            let (job, _) = self.advance(id, Stage::AwaitingLease, Stage::Ready);
            self.jobs[job].push_ready(id);
        }
        if self.parking.has_parked() {
            for key in released.keys.as_slice() {
                self.parking.read_for(*key, self.leases.queue_length(*key), out);
            }
        }
    }

    /// Whether the requests of a job may be fetched: no job of the app with a higher priority comes before it.
    ///
    /// Only fetching waits for the turn of a job. Requests in memory hold leases that others may need, so they are sent
    /// in any case.
    pub(super) fn has_turn(&self, job: JobNo) -> bool {
        let priority = self.jobs[job].scheduled.priority;
        let goes_before = |other: &JobState| other.scheduled.priority > priority && other.goes_first();
        !self.states_of(self.app_of(job)).any(goes_before)
    }

    pub(super) fn fetch(&mut self, out: &mut Vec<Action>) {
        for job in 0..self.jobs.len() {
            if self.has_turn(job)
                && let Some(after) = self.jobs[job].begin_fetch()
            {
                out.push(Action::Fetch { job, after, limit: REQUESTS_PER_PAGE });
            }
        }
    }
}
