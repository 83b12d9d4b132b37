//! How requests come into memory, and how hot accounts are kept from filling it.

use super::job::Source;
use super::leases::Lease;
use super::retry_budget::Toll;
use super::{
    Command, DEEP_ENOUGH, Entry, JobNo, Now, PAGE, Past, Rescued, SERVER_MAY_BE_WRITING, Schedule, Stage, Terms, Timer,
};
use crate::domain::ids::RequestId;
use crate::domain::request::{Key, Keys, Request};

impl Schedule {
    pub(super) fn rescued(&mut self, now: Now, job: Option<JobNo>, request: Request, keys: Keys) {
        self.quarantined.extend(keys.as_slice());
        let (ticket, lease) = self.table.join(keys);
        assert_eq!(lease, Lease::Held, "requests in flight share no account, not even across a kill");
        self.set(now + SERVER_MAY_BE_WRITING, Timer::Reopen(request.id));
        if let Some(job) = job {
            self.known.insert(request.id);
            self.jobs[job].canary.count(&request);
            self.jobs[job].took(&request);
        }
        let id = request.id;
        self.rescued.insert(id, Rescued { ticket, mine: job.map(|job| (job, request)) });
    }

    /// On disk the request is pending again, in doubt.
    pub(super) fn reopened(&mut self, id: RequestId, out: &mut Vec<Command>) {
        let Rescued { ticket, mine } = self.rescued.remove(&id).expect("only a rescued request is reopened");
        self.leave(ticket, out);
        if let Some((job, request)) = mine {
            let keys = self.keys_of(job, &request);
            self.queue_up(job, request, keys, None);
        }
    }

    pub(super) fn page(&mut self, job: JobNo, requests: Vec<Request>) {
        let state = &mut self.jobs[job];
        state.source = if requests.len() < PAGE as usize { Source::Exhausted } else { Source::Idle };
        state.cursor = requests.last().map_or(state.cursor, |request| request.id);
        for request in requests {
            if !self.known.contains(&request.id)
                && let Some(request) = self.jobs[job].canary.admit(request)
            {
                self.admit(job, request);
            }
        }
    }

    /// Takes a request into memory, or parks it where an account has company enough or may still be written for a call of before.
    pub(super) fn admit(&mut self, job: JobNo, request: Request) {
        let keys = self.keys_of(job, &request);
        // Where nobody waits, nowhere is company: most jobs need not look at each account.
        let may_be_crowded = !self.waiting.is_empty() || !self.quarantined.is_empty();
        let crowded = |key: &Key| self.table.depth(*key) >= DEEP_ENOUGH || self.quarantined.contains(key);
        if may_be_crowded && let Some(key) = keys.as_slice().iter().copied().find(crowded) {
            self.jobs[job].parked += 1;
            self.parked.entry(key).or_default().push_back((job, request.id));
            return;
        }
        self.join(job, request, keys);
    }

    fn join(&mut self, job: JobNo, request: Request, keys: Keys) {
        self.jobs[job].took(&request);
        self.queue_up(job, request, keys, None);
    }

    pub(super) fn keys_of(&self, job: JobNo, request: &Request) -> Keys {
        let plan = &self.jobs[job].plan;
        plan.operation.keys(request)
    }

    pub(super) fn queue_up(&mut self, job: JobNo, request: Request, keys: Keys, past: Option<Past>) {
        let id = request.id;
        let (ticket, lease) = self.table.join(keys);
        match lease {
            Lease::Held => self.jobs[job].becomes_ready(id, past.is_none()),
            Lease::Waiting => drop(self.waiting.insert(ticket, id)),
        }
        self.jobs[job].fresh += usize::from(past.is_none());
        let terms = Terms::Paid(Toll::FREE);
        let entry = Entry { job, ticket, request, stage: Stage::Queued, past, terms, left: Now::ZERO };
        let previous = self.entries.insert(id, entry);
        assert!(previous.is_none() && !self.recording.contains_key(&id), "a request is in memory once");
    }

    /// A parked request is back. It joins its queues whatever company its other accounts have: were it parked again,
    /// one that names many busy accounts would be overtaken for as long as there is anything else.
    pub(super) fn loaded(&mut self, job: JobNo, request: Request) {
        self.jobs[job].parked -= 1;
        self.loading.remove(&request.id).expect("only a parked request is loaded");
        let keys = self.keys_of(job, &request);
        self.join(job, request, keys);
    }

    /// Calls parked requests of a key back, as many as may stand in its queue.
    pub(super) fn unpark(&mut self, key: Key, out: &mut Vec<Command>) {
        let Some(queue) = self.parked.get_mut(&key) else { return };
        let on_their_way = self.loading.values().filter(|parked_under| **parked_under == key).count();
        for _ in self.table.depth(key) + on_their_way..DEEP_ENOUGH {
            let Some((job, request)) = queue.pop_front() else { break };
            self.loading.insert(request, key);
            out.push(Command::Load { job, request });
        }
        if queue.is_empty() {
            self.parked.remove(&key);
        }
    }

    pub(super) fn fetch(&mut self, out: &mut Vec<Command>) {
        for (job, state) in self.jobs.iter_mut().enumerate() {
            if state.wants_more() {
                state.source = Source::Fetching;
                out.push(Command::Fetch { job, after: state.cursor, limit: PAGE });
            }
        }
    }
}
