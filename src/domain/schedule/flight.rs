//! The way of a request from its intent to its record.

use rand::RngExt;

use super::health::Refusal;
use super::keys::Ticket;
use super::{Command, Entry, JobNo, Now, Recording, SERVER_MAY_BE_WRITING, Schedule, Stage, StopReason, Timer};
use crate::domain::reply::Exchange;
use crate::domain::request::RequestId;
use crate::domain::retry::delay;
use crate::domain::settlement::{Part, Settlement};
use crate::domain::verdict::{Server, Signal, Wait, judge};

impl Schedule {
    pub(super) fn intended(&mut self, id: RequestId, out: &mut Vec<Command>) {
        if self.stop.is_some() {
            return self.withdraw(id, Stage::Intending, out);
        }
        let entry = self.step(id, Stage::Intending, Stage::Leaving);
        let plan = &self.jobs[entry.0].plan;
        let body = plan.operation.body(&self.entries[&id].request, plan.delete_type);
        out.push(Command::Send { job: entry.0, request: id, body });
    }

    pub(super) fn sent(&mut self, id: RequestId) {
        let (job, _) = self.step(id, Stage::Leaving, Stage::InFlight);
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
        self.jobs[job].dropped(entry.map_or(0, |entry| entry.request.items.len()));
        self.leave(ticket, out);
    }

    pub(super) fn replied(
        &mut self,
        now: Now,
        id: RequestId,
        exchange: &Exchange,
        generation: u64,
        out: &mut Vec<Command>,
    ) {
        let Some(Entry { job, ticket, mut request, stage: Stage::InFlight }) = self.entries.remove(&id) else {
            unreachable!("request {id} was answered without being in flight");
        };
        if matches!(exchange, Exchange::NotSent(_)) {
            request.attempts -= 1;
        }
        let plan = &self.jobs[job].plan;
        let judgement = judge(plan.operation, &request, exchange, plan.retry.max_attempts.get());
        let items = request.items.len();
        let settlement = Settlement::new(request, judgement.verdicts);
        let ended = settlement.ended_by_outcome();
        self.recording.insert(id, Recording { job, ticket, items, ended });
        match judgement.server {
            Server::Done => out.push(Command::Record { job, settlement }),
            Server::MayBeWriting => self.set(now + SERVER_MAY_BE_WRITING, Timer::Record(job, settlement)),
        }
        self.heard(now, job, generation, judgement.signal, out);
    }

    pub(super) fn heard(&mut self, now: Now, job: JobNo, generation: u64, signal: Signal, out: &mut Vec<Command>) {
        match signal {
            Signal::Fine => self.health.alive(generation),
            Signal::Silent => self.health.reached(),
            Signal::Throttled(scope) => {
                self.health.alive(generation);
                out.push(Command::Slow { job, scope });
            }
            Signal::Renew => match self.health.signature_refused(generation) {
                Refusal::Known => {}
                Refusal::First => out.push(Command::Renew { job, generation }),
                Refusal::Again => {
                    let reason = "the API refuses every new UserSig; is the machine's clock right?".to_owned();
                    self.stop(StopReason::Fatal { job, code: Some(70001), reason }, out);
                }
            },
            Signal::Unreachable(reason) => {
                if let Some(reason) = self.health.not_reached(now, reason) {
                    self.stop(reason, out);
                }
            }
            Signal::Fatal { code, reason } => self.stop(StopReason::Fatal { job, code, reason }, out),
        }
    }

    pub(super) fn recorded(&mut self, now: Now, id: RequestId, parts: Vec<Part>, out: &mut Vec<Command>) {
        let record = self.recording.remove(&id).expect("a settlement is recorded once");
        self.active -= 1;
        let state = &mut self.jobs[record.job];
        state.in_flight -= 1;
        state.dropped(record.items);
        let blown: Vec<StopReason> = record
            .ended
            .iter()
            .filter_map(|(outcome, items, rows)| state.count(record.job, *outcome, *items, *rows))
            .collect();
        blown.into_iter().for_each(|reason| self.stop(reason, out));
        let free_at = self.send_again(now, &record, parts);
        if free_at > now {
            self.set(free_at, Timer::Release(record.ticket));
        } else {
            self.leave(record.ticket, out);
        }
    }

    /// Sets the parts' timers. Returns until when the accounts of the request stay taken.
    pub(super) fn send_again(&mut self, now: Now, record: &Recording, parts: Vec<Part>) -> Now {
        let mut free_at = now;
        for Part { request, wait } in parts {
            let retry = self.jobs[record.job].plan.retry;
            let backed_off = now + delay(&retry, request.charged, self.dice.random());
            let (due, held_until) = match wait {
                Wait::None => (now, now),
                Wait::Backoff => (backed_off, now),
                Wait::Alone => (backed_off, backed_off),
            };
            free_at = free_at.max(held_until);
            self.jobs[record.job].took(&request);
            self.set(due, Timer::Rejoin(record.job, request));
        }
        free_at
    }

    /// Lets ready requests set out, one of each job in turn.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Vec<Command>) {
        let mut batch = Vec::new();
        loop {
            let before = batch.len();
            for job in 0..self.jobs.len() {
                if self.health.may_send(now, self.active) && self.jobs[job].has_room() {
                    batch.extend(self.set_out(job));
                }
            }
            if batch.len() == before {
                break;
            }
        }
        if !batch.is_empty() {
            out.push(Command::Intend(batch));
        }
    }

    pub(super) fn set_out(&mut self, job: JobNo) -> Option<RequestId> {
        let id = self.jobs[job].ready.pop_front()?;
        self.step(id, Stage::Queued, Stage::Intending);
        self.entries.entry(id).and_modify(|entry| entry.request.attempts += 1);
        self.jobs[job].leaving += 1;
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
