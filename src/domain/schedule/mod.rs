//! What is sent when. One event in, commands out; time is an argument, chance a seed.
//!
//! ```text
//!         Page, Loaded, Rescued                 Intended         Sent           Replied          Recorded
//! queue ───────────────────────► queued ─► intending ─────► leaving ───► in flight ───► recording ───► over
//!                                   ▲  keys held       Intend       Send           Record     │
//!                                   └──────────────── timer: backoff ◄────────────────────────┘ parts
//! ```
//!
//! A request holds the keys of all accounts that it writes from its intent to `Recorded`. Where no answer came, the
//! record waits until the server can't be writing any more: a request is `sending` on disk for as long as it may be
//! in flight, so that the keys are safe across a kill, too. Whatever waits holds no worker and no connection.

mod event;
mod health;
mod job;
mod keys;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::outcome::{Count, Outcome};
use super::reply::Exchange;
use super::request::{Key, Keys, Request, RequestId};
use super::retry::{SERVER_MAY_BE_WRITING, delay};
use super::settlement::{Part, Settlement};
use super::tally::Tally;
use super::verdict::{Server, Signal, Wait, judge};
pub use event::{Command, End, Event, JobNo, JobPlan, Now, StopReason, Waiting};
use health::{Health, Refusal};
use job::{JobState, Source};
use keys::{KeyTable, Lease, Ticket};

/// Requests of a page.
const PAGE: u32 = 256;
/// How many tickets of one key are kept in memory: the one that holds it and the next. Further requests are parked
/// by number, so that a hot account does not fill the memory and keep others out.
const DEEP_ENOUGH: usize = 2;

/// The schedule of all jobs that run together.
#[derive(Debug)]
pub struct Schedule {
    jobs: Vec<JobState>,
    table: KeyTable,
    entries: HashMap<RequestId, Entry>,
    /// Answered requests whose outcome is not on disk yet.
    recording: HashMap<RequestId, Recording>,
    waiting: HashMap<Ticket, RequestId>,
    parked: HashMap<Key, VecDeque<(JobNo, RequestId)>>,
    /// Parked requests on their way back into memory, and the key that they were parked under.
    loading: HashMap<RequestId, Key>,
    /// Requests found `sending` at the start, until they are pending again.
    rescued: HashMap<RequestId, Rescued>,
    /// The numbers of those that pages may bring as well.
    known: HashSet<RequestId>,
    timers: BTreeMap<(Now, u64), Timer>,
    timers_set: u64,
    dice: SmallRng,
    health: Health,
    stop: Option<StopReason>,
    /// Requests from their intent to the end of their record.
    active: usize,
}

/// A request in memory.
#[derive(Debug)]
struct Entry {
    job: JobNo,
    ticket: Ticket,
    request: Request,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for its keys or, holding them, for its turn.
    Queued,
    /// Its intent is being written.
    Intending,
    /// Waits for a slot.
    Leaving,
    /// Its bytes have left.
    InFlight,
    /// Its intent is being taken back.
    Withdrawing,
}

#[derive(Debug)]
struct Rescued {
    ticket: Ticket,
    /// The job and its request, where it belongs to a job of this runner.
    mine: Option<(JobNo, Request)>,
}

#[derive(Debug)]
struct Recording {
    job: JobNo,
    ticket: Ticket,
    items: usize,
    /// What ended: outcome, items, rows.
    ended: Vec<(Outcome, Count, Count)>,
}

#[derive(Debug)]
enum Timer {
    Release(Ticket),
    Rejoin(JobNo, Request),
    Record(JobNo, Settlement),
    Reopen(RequestId),
}

impl Schedule {
    /// A schedule for these jobs. `seed` decides the draws of the delays.
    pub fn new(plans: Vec<JobPlan>, seed: u64) -> Self {
        Self {
            jobs: plans.into_iter().map(JobState::new).collect(),
            table: KeyTable::default(),
            entries: HashMap::new(),
            recording: HashMap::new(),
            waiting: HashMap::new(),
            parked: HashMap::new(),
            loading: HashMap::new(),
            rescued: HashMap::new(),
            known: HashSet::new(),
            timers: BTreeMap::new(),
            timers_set: 0,
            dice: SmallRng::seed_from_u64(seed),
            health: Health::default(),
            stop: None,
            active: 0,
        }
    }

    /// Takes an event in, says what is to be done. Commands are carried out in their order.
    ///
    /// # Panics
    /// On an event that can't follow what was before: the runner or the queue is broken, and stopping is safer than
    /// going on.
    #[must_use]
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::Rescued { job, request, keys } => self.rescued(now, job, request, keys),
            Event::Page { job, requests } => self.page(job, requests),
            Event::Loaded { job, request } => self.loaded(job, request, &mut out),
            Event::Intended(requests) => requests.into_iter().for_each(|id| self.intended(id, &mut out)),
            Event::Sent { request, .. } => self.sent(request),
            Event::HeldBack(id) => self.withdraw(id, Stage::Leaving, &mut out),
            Event::Replied { request, exchange, generation } => {
                self.replied(now, request, &exchange, generation, &mut out);
            }
            Event::Recorded { request, parts } => self.recorded(now, request, parts, &mut out),
            Event::Withdrawn(id) => self.withdrawn(id, &mut out),
            Event::Reopened(id) => self.reopened(id, &mut out),
            Event::Tick => {}
            Event::Stop(reason) => self.stop(reason, &mut out),
        }
        self.ring(now, &mut out);
        if self.stop.is_none() {
            self.fetch(&mut out);
            self.dispatch(now, &mut out);
        }
        out
    }

    /// When [`Event::Tick`] is due.
    pub fn wake_at(&self) -> Option<Now> {
        let timer = self.timers.keys().next().map(|(due, _)| *due);
        let may_probe = self.stop.is_none() && self.active == 0 && self.jobs.iter().any(|job| !job.ready.is_empty());
        // A probe that can't set out has no time: the runner would be woken again and again to no purpose.
        timer.into_iter().chain(self.health.wake_at().filter(|_| may_probe)).min()
    }

    /// Whether all is over, and how.
    pub fn end(&self) -> Option<End> {
        match &self.stop {
            Some(reason) => (self.active == 0).then(|| End::Stopped(reason.clone())),
            None => self.jobs.iter().all(JobState::is_over).then_some(End::Complete),
        }
    }

    /// Why the runner drains, if it does.
    pub fn stopping(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Rows of a job by outcome, as far as they are on disk.
    pub fn tally(&self, job: JobNo) -> &Tally {
        &self.jobs[job].plan.tally
    }

    /// Requests of a job whose bytes have left and whose outcome is not on disk yet.
    pub fn in_flight(&self, job: JobNo) -> usize {
        self.jobs[job].in_flight
    }

    /// Since when the endpoint can't be reached, and why.
    pub fn unreachable(&self) -> Option<(Now, &str)> {
        self.health.unreachable()
    }

    /// What keeps everything that is left from being sent; none while something is ready.
    pub fn waiting_for(&self) -> Option<Waiting> {
        let ready = self.jobs.iter().any(|job| !job.ready.is_empty() || job.leaving > 0);
        match (ready, !self.waiting.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Waiting::Accounts),
            (false, false) => (!self.timers.is_empty()).then_some(Waiting::Delays),
        }
    }

    fn rescued(&mut self, now: Now, job: Option<JobNo>, request: Request, keys: Keys) {
        let (ticket, lease) = self.table.join(keys);
        assert_eq!(lease, Lease::Held, "requests in flight share no account, not even across a kill");
        self.set(now + SERVER_MAY_BE_WRITING, Timer::Reopen(request.id));
        if let Some(job) = job {
            self.known.insert(request.id);
            self.jobs[job].took(&request);
        }
        let id = request.id;
        self.rescued.insert(id, Rescued { ticket, mine: job.map(|job| (job, request)) });
    }

    /// On disk the request is pending again, in doubt.
    fn reopened(&mut self, id: RequestId, out: &mut Vec<Command>) {
        let Rescued { ticket, mine } = self.rescued.remove(&id).expect("only a rescued request is reopened");
        self.leave(ticket, out);
        if let Some((job, request)) = mine {
            let keys = self.keys_of(job, &request);
            self.queue_up(job, request, keys);
        }
    }

    fn page(&mut self, job: JobNo, requests: Vec<Request>) {
        let state = &mut self.jobs[job];
        state.source = if requests.len() < PAGE as usize { Source::Exhausted } else { Source::Idle };
        state.cursor = requests.last().map_or(state.cursor, |request| request.id);
        for request in requests {
            if !self.known.contains(&request.id) {
                self.admit(job, request);
            }
        }
    }

    /// Takes a request into memory, or parks it where its account has company enough.
    fn admit(&mut self, job: JobNo, request: Request) {
        let keys = self.keys_of(job, &request);
        let crowded = match &keys {
            Keys::Accounts(keys) => keys.iter().copied().find(|key| self.table.depth(*key) >= DEEP_ENOUGH),
            Keys::Every => None,
        };
        if let Some(key) = crowded {
            self.jobs[job].parked += 1;
            self.parked.entry(key).or_default().push_back((job, request.id));
            return;
        }
        self.jobs[job].took(&request);
        self.queue_up(job, request, keys);
    }

    fn keys_of(&self, job: JobNo, request: &Request) -> Keys {
        let plan = &self.jobs[job].plan;
        plan.operation.keys(request, plan.delete_type)
    }

    fn queue_up(&mut self, job: JobNo, request: Request, keys: Keys) {
        let id = request.id;
        let (ticket, lease) = self.table.join(keys);
        match lease {
            Lease::Held => self.jobs[job].ready.push_back(id),
            Lease::Waiting => drop(self.waiting.insert(ticket, id)),
        }
        let previous = self.entries.insert(id, Entry { job, ticket, request, stage: Stage::Queued });
        assert!(previous.is_none() && !self.recording.contains_key(&id), "a request is in memory once");
    }

    fn loaded(&mut self, job: JobNo, request: Request, out: &mut Vec<Command>) {
        self.jobs[job].parked -= 1;
        let key = self.loading.remove(&request.id).expect("only a parked request is loaded");
        self.admit(job, request);
        // It may have been parked again under another key: then nobody else would call the next one of this key.
        self.unpark(key, out);
    }

    fn intended(&mut self, id: RequestId, out: &mut Vec<Command>) {
        if self.stop.is_some() {
            return self.withdraw(id, Stage::Intending, out);
        }
        let entry = self.step(id, Stage::Intending, Stage::Leaving);
        let plan = &self.jobs[entry.0].plan;
        let body = plan.operation.body(&self.entries[&id].request, plan.delete_type);
        out.push(Command::Send { job: entry.0, request: id, body });
    }

    fn sent(&mut self, id: RequestId) {
        let (job, _) = self.step(id, Stage::Leaving, Stage::InFlight);
        self.jobs[job].leaving -= 1;
        self.jobs[job].in_flight += 1;
    }

    fn withdraw(&mut self, id: RequestId, from: Stage, out: &mut Vec<Command>) {
        self.step(id, from, Stage::Withdrawing);
        out.push(Command::Withdraw(id));
    }

    /// On disk the request is pending again; it was held back because the run stops, so here it is dropped.
    fn withdrawn(&mut self, id: RequestId, out: &mut Vec<Command>) {
        let (job, ticket) = self.step(id, Stage::Withdrawing, Stage::Withdrawing);
        let entry = self.entries.remove(&id);
        self.active -= 1;
        self.jobs[job].leaving -= 1;
        self.jobs[job].dropped(entry.map_or(0, |entry| entry.request.items.len()));
        self.leave(ticket, out);
    }

    fn replied(&mut self, now: Now, id: RequestId, exchange: &Exchange, generation: u64, out: &mut Vec<Command>) {
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

    fn heard(&mut self, now: Now, job: JobNo, generation: u64, signal: Signal, out: &mut Vec<Command>) {
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

    fn recorded(&mut self, now: Now, id: RequestId, parts: Vec<Part>, out: &mut Vec<Command>) {
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
    fn send_again(&mut self, now: Now, record: &Recording, parts: Vec<Part>) -> Now {
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

    /// Remembers why to stop, keeps back what has not left. The gravest reason stays.
    fn stop(&mut self, reason: StopReason, out: &mut Vec<Command>) {
        if self.stop.is_none() {
            out.push(Command::HoldBack);
        }
        self.stop = self.stop.take().max(Some(reason));
    }

    fn set(&mut self, due: Now, timer: Timer) {
        self.timers.insert((due, self.timers_set), timer);
        self.timers_set += 1;
    }

    fn ring(&mut self, now: Now, out: &mut Vec<Command>) {
        while let Some(first) = self.timers.first_entry()
            && first.key().0 <= now
        {
            match first.remove() {
                Timer::Release(ticket) => self.leave(ticket, out),
                Timer::Rejoin(job, request) => {
                    let keys = self.keys_of(job, &request);
                    self.queue_up(job, request, keys);
                }
                Timer::Record(job, settlement) => out.push(Command::Record { job, settlement }),
                Timer::Reopen(id) => out.push(Command::Reopen(id)),
            }
        }
    }

    fn leave(&mut self, ticket: Ticket, out: &mut Vec<Command>) {
        let left = self.table.leave(ticket);
        for ticket in left.freed {
            let id = self.waiting.remove(&ticket).expect("who waited is known");
            let job = self.entries[&id].job;
            self.jobs[job].ready.push_back(id);
        }
        if let (Keys::Accounts(keys), false) = (left.keys, self.parked.is_empty()) {
            keys.into_iter().for_each(|key| self.unpark(key, out));
        }
    }

    /// Calls parked requests of a key back, as many as may stand in its queue.
    fn unpark(&mut self, key: Key, out: &mut Vec<Command>) {
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

    fn fetch(&mut self, out: &mut Vec<Command>) {
        for (job, state) in self.jobs.iter_mut().enumerate() {
            if state.wants_more() {
                state.source = Source::Fetching;
                out.push(Command::Fetch { job, after: state.cursor, limit: PAGE });
            }
        }
    }

    /// Lets ready requests set out, one of each job in turn.
    fn dispatch(&mut self, now: Now, out: &mut Vec<Command>) {
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

    fn set_out(&mut self, job: JobNo) -> Option<RequestId> {
        let id = self.jobs[job].ready.pop_front()?;
        self.step(id, Stage::Queued, Stage::Intending);
        self.entries.entry(id).and_modify(|entry| entry.request.attempts += 1);
        self.jobs[job].leaving += 1;
        self.active += 1;
        Some(id)
    }

    /// Moves a request from one stage to the next.
    fn step(&mut self, id: RequestId, from: Stage, to: Stage) -> (JobNo, Ticket) {
        let entry = self.entries.get_mut(&id).expect("the request is in memory");
        assert_eq!(entry.stage, from, "request {id} can't become {to:?}");
        entry.stage = to;
        (entry.job, entry.ticket)
    }
}
