//! The world's side: reads, commits, slots, calls.

use std::time::Duration;

use imbulk::domain::request::Keys;
use imbulk::domain::schedule::{Command, Event};

use super::{Happening, Session, World};
use crate::checks::Invariant;
use crate::server::Call;

impl World<'_> {
    pub(super) fn read(&mut self, session: &mut Session<'_>, command: &Command) {
        let event = match *command {
            Command::Fetch { job, after, limit } => {
                let requests = self.queue.page(session.jobs[job], after, session.last, limit);
                Event::Page { job, requests }
            }
            Command::Load { job, request } => {
                Event::Loaded { job, request: self.queue.requests[&request].request.clone() }
            }
            _ => unreachable!("only these read"),
        };
        self.tell(session, event);
    }

    pub(super) fn committed(&mut self, session: &mut Session<'_>) {
        for change in session.committing.take().unwrap_or_default() {
            if let Some(changed) = self.write(change) {
                self.tell(session, Event::Changed(changed));
            }
        }
        self.commit(session);
    }

    /// A slot is there: the call is certain to go out.
    pub(super) fn slot(&mut self, session: &mut Session<'_>, job: usize) {
        session.lanes[job].called = false;
        if self.now < session.lanes[job].next_slot {
            return self.call_for_slot(session, job);
        }
        let Some(id) = session.lanes[job].waiting.pop_front() else { return };
        if session.hold_back || session.brain.is_stopping() {
            self.fail(Invariant::NothingAfterHoldBack, format!("request {id} is sent"));
        }
        self.report.sent.push((self.now, id));
        let pause = Duration::from_secs(1) / self.night.jobs[job].rate;
        session.lanes[job].next_slot = self.now + pause;
        let Some(stored) = self.queue.requests.get(&id) else { return };
        let request = stored.request.clone();
        let keys = self.keys(job, &request);
        let leaves = self.server.connect(self.now);
        let call = Call { job, request, keys, generation: self.generation, leaves };
        let number = self.next_call;
        self.next_call += 1;
        let fate = self.server.decide(&call);
        session.progress.sent(id, self.now, pause);
        self.calls.insert(number, (call, fate));
        self.on(session, leaves, Happening::Leave(number));
        self.tell(session, Event::Sent { job, request: id });
        self.call_for_slot(session, job);
    }

    pub(super) fn leave(&mut self, session: &mut Session<'_>, number: u64) {
        let (call, fate) = &self.calls[&number];
        let (works, replies) = (fate.works, fate.replies);
        let event =
            Event::Replied { request: call.request.id, result: fate.result.clone(), generation: call.generation };
        if let Some((begins, ends)) = works {
            self.on(session, begins, Happening::Arrive(number));
            self.on(session, ends, Happening::Finish(number));
        }
        self.on(session, replies, Happening::Reply(number, event));
    }

    pub(super) fn reply(&mut self, session: &mut Session<'_>, number: u64, event: Event) {
        let (call, fate) = &self.calls[&number];
        self.heard.insert(call.request.id, fate.charges.clone());
        self.natures.insert(call.request.id, (fate.nature, call.request.items.len()));
        self.tell(session, event);
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
        let (call, fate) = &self.calls[&number];
        self.server.finish(call, &fate.brings_about);
    }
}

fn share(a: &Keys, b: &Keys) -> bool {
    a.as_slice().iter().any(|key| b.as_slice().binary_search(key).is_ok())
}
