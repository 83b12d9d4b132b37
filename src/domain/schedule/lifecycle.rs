//! The way of a request from its intent to its record.

use std::time::Duration;

use rand::RngExt;

use super::backoff::delay;
use super::job::JobState;
use super::leases::Ticket;
use super::retry_budget::Toll;
use super::signature::Refusal;
use super::{
    Command, Entry, Fault, JobNo, Now, Past, Recording, SERVER_MAY_BE_WRITING, Schedule, Stage, StopReason, Terms,
    Timer,
};
use crate::domain::guard::is_bad_sign;
use crate::domain::ids::RequestId;
use crate::domain::response::call_result::CallResult;
use crate::domain::response::codes::RenewFallback;
use crate::domain::response::outcome::{Count, Outcome};
use crate::domain::response::settlement::{FollowUp, Settlement};
use crate::domain::response::verdict::{
    CallContext, Charge, Charging, ServerActivity, ServerHealth, Signal, Wait, assess,
};

impl Schedule {
    pub(super) fn intended(&mut self, id: RequestId, out: &mut Vec<Command>) {
        if self.stop.is_some() {
            return self.withdraw(id, Stage::Intending, out);
        }
        let entry = self.step(id, Stage::Intending, Stage::Leaving);
        let plan = &self.jobs[entry.0].plan;
        let body = plan.operation.body(&self.entries[&id].request);
        out.push(Command::Send { job: entry.0, request: id, body });
    }

    pub(super) fn sent(&mut self, now: Now, id: RequestId) {
        let (job, _) = self.step(id, Stage::Leaving, Stage::InFlight);
        self.entries.entry(id).and_modify(|entry| entry.left = now);
        self.jobs[job].leaving -= 1;
        self.jobs[job].in_flight += 1;
    }

    pub(super) fn withdraw(&mut self, id: RequestId, from: Stage, out: &mut Vec<Command>) {
        self.step(id, from, Stage::Withdrawing);
        out.push(Command::Withdraw(id));
    }

    /// On disk the request is pending again; it was held back because the run stops, so here it is dropped.
    pub(super) fn withdrawn(&mut self, id: RequestId, out: &mut Vec<Command>) {
        let (job, ticket) = self.step(id, Stage::Withdrawing, Stage::Withdrawing);
        let entry = self.entries.remove(&id);
        self.active -= 1;
        self.jobs[job].leaving -= 1;
        if let Some(Entry { request, past, .. }) = entry {
            self.jobs[job].dropped(request.items.len());
            self.jobs[job].fresh -= usize::from(past.is_none());
        }
        self.leave(ticket, out);
    }

    pub(super) fn replied(
        &mut self,
        now: Now,
        id: RequestId,
        result: &CallResult,
        generation: u64,
        out: &mut Vec<Command>,
    ) {
        let Some(entry) = self.entries.remove(&id).filter(|entry| entry.stage == Stage::InFlight) else {
            unreachable!("request {id} was answered without being in flight");
        };
        let Entry { job, ticket, mut request, past, terms, left, .. } = entry;
        self.jobs[job].fresh -= usize::from(past.is_none());
        if matches!(result, CallResult::NotSent(_)) {
            request.attempts -= 1;
        }
        let plan = &self.jobs[job].plan;
        // While nothing works, that is no item's fault.
        let most = plan.retry.max_attempts.get();
        let charging = match terms {
            Terms::Paid(_) if self.breaker.is_open() => Charging::Off,
            Terms::Paid(_) | Terms::Last => Charging::UpTo(most),
        };
        let operation = plan.operation;
        let new_usersig = self.signature.new_one(generation);
        let context = CallContext { operation, charging, new_usersig };
        let assessment = assess(&context, &request, result);
        let items = request.items.len();
        let settlement = Settlement::new(&operation, request, assessment.verdicts);
        let ended = settlement.ended_by_outcome();
        let (health, fault) = (assessment.health, past.map_or(Fault::Servers, |past| self.fault(past)));
        self.learned(now, id, &health, left, terms, out);
        // What others did not keep from succeeding, and counts its attempts, comes to an end by itself.
        let counts =
            charging != Charging::Off && settlement.follow_ups.iter().all(|follow_up| follow_up.wait != Wait::None);
        if matches!(health, ServerHealth::Failing(_)) && !(fault == Fault::Own && counts) {
            self.breaker.in_vain(left);
        }
        let urgent = self.is_urgent(job, ticket, &settlement, &ended);
        self.recording.insert(id, Recording { job, ticket, items, left, health, fault, ended });
        match assessment.activity {
            ServerActivity::Done => out.push(Command::Record { job, settlement, urgent }),
            ServerActivity::MayBeWriting => self.set(now + SERVER_MAY_BE_WRITING, Timer::Record(job, settlement)),
        }
        self.heard(job, generation, assessment.signal, out);
    }

    /// Whether something waits for this record: another request for an account or for width, the fuse, the next attempt, or,
    /// if no other call is under way, the end.
    fn is_urgent(
        &self,
        job: JobNo,
        ticket: Ticket,
        settlement: &Settlement,
        ended: &[(Outcome, Count, Count)],
    ) -> bool {
        let counts = ended.iter().any(|(outcome, ..)| is_bad_sign(*outcome));
        let others_under_way = self.active > self.recording.len() + 1;
        let awaited = !self.waiting.is_empty() && self.table.is_awaited(ticket);
        let at_full_width = self.jobs[job].is_at_full_width();
        counts
            || !settlement.follow_ups.is_empty()
            || !others_under_way
            || awaited
            || at_full_width
            || self.stop.is_some()
    }

    /// What an exchange tells of the server's health.
    fn learned(
        &mut self,
        now: Now,
        id: RequestId,
        health: &ServerHealth,
        left: Now,
        terms: Terms,
        out: &mut Vec<Command>,
    ) {
        match health {
            ServerHealth::Working => self.breaker.succeeded(left, terms.paid()),
            ServerHealth::Unknown => self.breaker.probe_is_over(now, id),
            ServerHealth::Failing(trouble) => {
                let (outage, patience) = (self.breaker.failed(now, id, trouble.clone()), self.patience());
                if let Some(outage) = outage.filter(|outage| patience.is_some_and(|most| outage.lasts >= most)) {
                    self.halt(now, outage, out);
                }
            }
        }
    }

    /// Stops where nothing has worked for as long as anybody wants to wait.
    pub(super) fn give_up(&mut self, now: Now, out: &mut Vec<Command>) {
        if self.breaker.gives_up_at(self.patience()).is_some_and(|end| end <= now) {
            self.halt(now, self.breaker.trouble(now), out);
        }
    }

    /// When that is due.
    pub(super) fn gives_up_at(&self) -> Option<Now> {
        self.breaker.gives_up_at(self.patience()).filter(|_| self.stop.is_none())
    }

    /// The least of those of the jobs with work left; none: for ever.
    fn patience(&self) -> Option<Duration> {
        let busy = self.jobs.iter().filter(|job| !job.is_over());
        busy.filter_map(|job| job.plan.stop.outage).min()
    }

    pub(super) fn heard(&mut self, job: JobNo, generation: u64, signal: Signal, out: &mut Vec<Command>) {
        match signal {
            Signal::Fine => self.signature.taken(generation),
            Signal::Silent => {}
            Signal::Throttled(scope, pause) => {
                self.signature.taken(generation);
                out.push(Command::Slow { job, scope, pause });
            }
            Signal::Renew { code, reason, fallback } => match self.signature.refused(generation) {
                Refusal::Known => {}
                Refusal::First => out.push(Command::Renew { job, generation, code, fallback }),
                Refusal::Again => {
                    let reason =
                        format!("{reason}; a new UserSig was refused as well: check the clock of this machine");
                    self.stop(StopReason::Fatal { job, code: Some(code), reason }, out);
                }
            },
            Signal::Fatal { code, reason } => self.stop(StopReason::Fatal { job, code, reason }, out),
        }
    }

    /// No other UserSig can be made: the code that refused this one keeps its other meaning.
    pub(super) fn not_renewed(&mut self, job: JobNo, code: i64, fallback: RenewFallback, out: &mut Vec<Command>) {
        self.signature.cannot_be_replaced();
        match fallback {
            RenewFallback::Transient => {}
            RenewFallback::Fatal => {
                let reason = "the UserSig is refused, and there is no key to make another: set \
                              IMBULK_SECRET_KEY, or set IMBULK_USERSIG to a new UserSig";
                self.stop(StopReason::Fatal { job, code: Some(code), reason: reason.to_owned() }, out);
            }
        }
    }

    pub(super) fn recorded(&mut self, now: Now, id: RequestId, follow_ups: Vec<FollowUp>, out: &mut Vec<Command>) {
        let record = self.recording.remove(&id).expect("a settlement is recorded once");
        self.active -= 1;
        let state = &mut self.jobs[record.job];
        state.in_flight -= 1;
        state.dropped(record.items);
        record.ended.iter().for_each(|(outcome, items, rows)| state.count(*outcome, *items, *rows));
        let free_at = self.send_again(now, &record, follow_ups);
        match self.jobs[record.job].alarm(record.job) {
            Some(reason) => self.stop(reason, out),
            None => self.release_held(record.job),
        }
        if free_at > now {
            self.set(free_at, Timer::Release(record.ticket));
        } else {
            self.leave(record.ticket, out);
        }
    }

    /// Takes in what the canary of a job held, once its items are decided.
    fn release_held(&mut self, job: JobNo) {
        if self.stop.is_none() && self.jobs[job].canary_is_decided() {
            for request in self.jobs[job].canary.pass() {
                self.admit(job, request);
            }
        }
    }

    /// Sets the parts' timers. Returns until when the accounts of the request stay taken.
    pub(super) fn send_again(&mut self, now: Now, record: &Recording, follow_ups: Vec<FollowUp>) -> Now {
        let mut free_at = now;
        for FollowUp { request, wait } in follow_ups {
            let retry = self.jobs[record.job].plan.retry;
            let backed_off = now + delay(&retry, request.charged, self.dice.random());
            let (due, held_until) = match wait {
                Wait::None => (now, now),
                Wait::Backoff => (backed_off, now),
                Wait::Alone => (backed_off, backed_off),
            };
            free_at = free_at.max(held_until);
            self.jobs[record.job].took(&request);
            let toll = Toll::of(&record.health, wait, request.items.len(), record.items);
            // Where others of the same call got their word, the server was at work.
            let fault = if record.health == ServerHealth::Working { Fault::Own } else { record.fault };
            let charge = if wait == Wait::None { Charge::Free } else { Charge::Attempt };
            let past = Past { toll, left: record.left, charge, fault };
            self.set(due, Timer::Rejoin(record.job, request, past));
        }
        free_at
    }

    /// Lets ready requests set out, one of each job in turn; where nothing works, a probe.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Vec<Command>) {
        let mut batch = Vec::new();
        let mut due: Vec<JobNo> = (0..self.jobs.len()).filter(|job| self.jobs[*job].is_due()).collect();
        while !due.is_empty() {
            due.retain(|job| {
                let next = if self.jobs[*job].has_room() { self.set_out(now, *job) } else { None };
                batch.extend(next);
                next.is_some()
            });
        }
        if self.breaker.may_probe(now) {
            batch.extend(self.probe());
        }
        if !batch.is_empty() {
            out.push(Command::Intend(batch));
        }
    }

    /// Lets a ready request of a job set out: the first, if that can be paid.
    ///
    /// With nothing new left to see by whether it is the server, `max_attempts` alone bounds what a request may cost
    /// that fails by itself.
    fn set_out(&mut self, now: Now, job: JobNo) -> Option<RequestId> {
        let ready = &self.jobs[job].ready;
        let dry = || self.rescued.is_empty() && self.jobs.iter().all(JobState::is_dry);
        if self.breaker.is_open() {
            let by_itself = |id: &RequestId| self.fails_by_itself(*id);
            let place = dry().then(|| ready.iter().position(by_itself)).flatten()?;
            return self.set_out_at(job, place, Terms::Last);
        }
        let id = *ready.front()?;
        if self.fails_by_itself(id) && dry() {
            return self.set_out_at(job, 0, Terms::Last);
        }
        let (lets, toll) = match self.entries[&id].past {
            Some(past) => (self.breaker.pay(now, past.toll), past.toll),
            None => (self.breaker.lets_begin(now, self.patience()), Toll::FREE),
        };
        lets.then(|| self.set_out_at(job, 0, Terms::Paid(toll))).flatten()
    }

    /// Whether its last attempt counted and failed while others did not.
    fn fails_by_itself(&self, id: RequestId) -> bool {
        let past = self.entries[&id].past;
        past.is_some_and(|past| past.charge == Charge::Attempt && self.fault(past) == Fault::Own)
    }

    fn fault(&self, past: Past) -> Fault {
        if self.breaker.worked_after(past.left) { Fault::Own } else { past.fault }
    }

    /// Lets one request set out to see whether the server works again: one that was not tried yet, if there is one,
    /// each time of another job.
    fn probe(&mut self) -> Option<RequestId> {
        let count = self.jobs.len();
        let first = self.breaker.probes();
        let jobs = (0..count).map(|offset| (first + offset) % count);
        let jobs: Vec<JobNo> = jobs.filter(|job| self.jobs[*job].has_room()).collect();
        let untried = |id: &RequestId| self.entries[id].past.is_none();
        let untried = jobs.iter().find_map(|job| Some((*job, self.jobs[*job].ready.iter().position(untried)?)));
        let any = || jobs.iter().find(|job| !self.jobs[**job].ready.is_empty()).map(|job| (*job, 0));
        let (job, place) = untried.or_else(any)?;
        let id = self.set_out_at(job, place, Terms::Paid(Toll::FREE))?;
        self.breaker.probe(id);
        Some(id)
    }

    fn set_out_at(&mut self, job: JobNo, place: usize, terms: Terms) -> Option<RequestId> {
        let id = self.jobs[job].ready.remove(place)?;
        self.step(id, Stage::Queued, Stage::Intending);
        let entry = self.entries.get_mut(&id).expect("the request is in memory");
        entry.request.attempts += 1;
        entry.terms = terms;
        self.jobs[job].sets_out(entry.past.is_none());
        self.active += 1;
        Some(id)
    }

    /// Moves a request from one stage to the next.
    pub(super) fn step(&mut self, id: RequestId, from: Stage, to: Stage) -> (JobNo, Ticket) {
        let entry = self.entries.get_mut(&id).expect("the request is in memory");
        assert_eq!(entry.stage, from, "request {id} can't become {to:?}");
        entry.stage = to;
        (entry.job, entry.ticket)
    }
}
