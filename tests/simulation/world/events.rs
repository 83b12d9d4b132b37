//! The events of the world: reads, commits, slots and calls.

use std::time::Duration;

use imbulk::domain::request::{AccountKeys, CallKind, Purpose, Request};
use imbulk::domain::schedule::{Action, Event};

use super::{Session, World, WorldEvent};
use crate::checks::Invariant;
use crate::server::Call;

impl World<'_> {
    pub(super) fn read(&mut self, session: &mut Session<'_>, action: &Action) {
        let event = match *action {
            Action::Fetch { job, after, limit } => {
                let requests = self.queue.page(session.jobs[job], after, session.last, limit);
                Event::Page { job, requests }
            }
            Action::ReadParked { job, request } => {
                Event::ParkedRead { job, request: self.queue.requests[&request].request.clone() }
            }
            _ => unreachable!("only these read"),
        };
        self.enqueue(session, event);
    }

    pub(super) fn committed(&mut self, session: &mut Session<'_>) {
        for change in session.committing.take().unwrap_or_default() {
            if let Some(changed) = self.write(change) {
                self.enqueue(session, Event::Changed(changed));
            }
        }
        self.commit(session);
    }

    /// The rate limiter grants a slot, and the call is sent.
    pub(super) fn slot(&mut self, session: &mut Session<'_>, job: usize) {
        session.send_queues[job].slot_requested = false;
        if self.now < session.send_queues[job].next_slot {
            return self.request_slot(session, job);
        }
        let Some(prepared) = session.send_queues[job].waiting.pop_front() else { return };
        let id = prepared.request;
        if prepared.not_after.is_some_and(|end| session.started + end.since_start() < self.now) {
            session.progress.everyone_waits(self.scenario.faults.commit * 2 + self.scenario.faults.lag * 4);
            self.enqueue(session, Event::HeldBack(id));
            return self.request_slot(session, job);
        }
        let place = session.jobs.iter().position(|other| *other == job).expect("a job of the session");
        if session.stopped[place] || session.paused[place] {
            self.fail(Invariant::NothingAfterHoldBack, format!("request {id} is sent"));
        }
        self.report.sent.push((self.now, id));
        let pause = Duration::from_secs(1) / self.scenario.jobs[job].rate;
        session.send_queues[job].next_slot = self.now + pause;
        let Some(stored) = self.queue.requests.get(&id) else { return };
        let request = stored.request.clone();
        let keys = self.keys(job, &request);
        let app = self.app_of(job);
        self.check(session.preparations.begun(id, &keys, matches!(prepared.kind, CallKind::Preparation(_))));
        self.count_call(job, &request);
        self.begun.insert(id, false);
        let checks = session.jobs.iter().any(|job| self.scenario.jobs[*job].preparations.unless_online);
        let leaves = self.servers[app].connect(self.now, checks);
        let (kind, body) = (prepared.kind, prepared.body);
        let call = Call { job, request, kind, body, keys, generation: self.generations[app], leaves };
        let number = self.next_call;
        self.next_call += 1;
        let effect = self.servers[app].decide(&call);
        session.progress.sent(id, self.now, pause);
        self.calls.insert(number, (call, effect));
        self.add_event(session, leaves, WorldEvent::Leave(number));
        self.enqueue(session, Event::Sent(id));
        self.request_slot(session, job);
    }

    pub(super) fn leave(&mut self, session: &mut Session<'_>, number: u64) {
        self.check_preparation(session, number);
        let (call, effect) = &self.calls[&number];
        let (works, replies) = (effect.works, effect.replies);
        let event =
            Event::Replied { request: call.request.id, result: effect.result.clone(), generation: call.generation };
        if let Some((begins, ends)) = works {
            self.add_event(session, begins, WorldEvent::Arrive(number));
            self.add_event(session, ends, WorldEvent::Finish(number));
        }
        self.add_event(session, replies, WorldEvent::Reply(number, event));
    }

    pub(super) fn reply(&mut self, session: &mut Session<'_>, number: u64, event: Event) {
        let (call, effect) = &self.calls[&number];
        session.preparations.answered(&self.scenario.jobs[call.job], call, &effect.result);
        if !effect.result.was_sent() {
            self.begun.insert(call.request.id, true);
        }
        self.unrecorded_charges.insert(call.request.id, effect.charges.clone());
        let prepares = matches!(call.kind, CallKind::Preparation(_));
        self.call_health.insert(call.request.id, ((effect.health, prepares), call.request.items.len()));
        self.enqueue(session, event);
    }

    /// The bytes of a change leave: its items were prepared. The friend's own side was read before the first change.
    fn check_preparation(&mut self, session: &mut Session<'_>, number: u64) {
        let (call, effect) = &self.calls[&number];
        let definition = &self.scenario.jobs[call.job];
        if call.kind == CallKind::Change && call.request.purpose == Purpose::Change && effect.result.was_sent() {
            let checked = session.preparations.change(definition, call);
            self.check(checked);
        }
    }

    /// Counts a call of the items of a request.
    pub(super) fn count_call(&mut self, job: usize, request: &Request) {
        for item in &request.items {
            *self.calls_made.entry((job, item.row)).or_default() += 1;
        }
    }

    pub(super) fn arrive(&mut self, number: u64) {
        let (arriving, _) = &self.calls[&number];
        let other =
            self.working.iter().map(|other| &self.calls[other].0).find(|other| share(&other.keys, &arriving.keys));
        if let Some(other) = other {
            let what = format!("requests {} and {}", other.request.id, arriving.request.id);
            self.fail(Invariant::CallsShareNoAccount, what);
        }
        self.working.push(number);
    }

    pub(super) fn finish(&mut self, number: u64) {
        self.working.retain(|other| *other != number);
        let (call, effect) = &self.calls[&number];
        let app = self.scenario.jobs[call.job].app;
        self.servers[app].finish(call, &effect.effective_rows);
    }
}

fn share(a: &AccountKeys, b: &AccountKeys) -> bool {
    a.as_slice().iter().any(|key| b.as_slice().contains(key))
}
