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

mod admission;
mod backoff;
mod breaker;
mod canary;
mod event;
mod job;
mod leases;
mod lifecycle;
mod retry_budget;
mod signature;

use crate::domain::ids::RequestId;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::request::{Key, Request};
use super::response::outcome::{Count, Outcome};
use super::response::settlement::Settlement;
use super::response::tally::Tally;
use super::response::verdict::{Charge, ServerHealth};
pub use backoff::{SERVER_MAY_BE_WRITING, delay};
use breaker::Breaker;
pub use breaker::Outage;
pub use event::{Command, End, Event, JobNo, JobPlan, Now, StopReason, StopSignal, Waiting};
use job::JobState;
use leases::{KeyTable, Ticket};
use retry_budget::Toll;
use signature::Signature;

/// Requests of a page.
const PAGE: u32 = 256;
/// After an outage calls in flight have this long to end.
const AFTER_OUTAGE: Duration = Duration::from_millis(500);
/// How many tickets of one key are kept in memory: the one that holds it and the next. Further requests are parked
/// by number, so that a hot account does not fill the memory and keep others out.
const DEEP_ENOUGH: usize = 2;

/// A map by numbers of our own, or by keys, which are hashes: there is nothing to guard against.
type Numbered<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// The schedule of all jobs that run together.
#[derive(Debug)]
pub struct Schedule {
    jobs: Vec<JobState>,
    table: KeyTable,
    entries: Numbered<RequestId, Entry>,
    /// Answered requests whose outcome is not on disk yet.
    recording: Numbered<RequestId, Recording>,
    waiting: Numbered<Ticket, RequestId>,
    parked: Numbered<Key, VecDeque<(JobNo, RequestId)>>,
    /// Parked requests on their way back into memory, and the key that they were parked under.
    loading: Numbered<RequestId, Key>,
    /// Requests found `sending` at the start, until they are pending again.
    rescued: Numbered<RequestId, Rescued>,
    /// The accounts of those. Who needs one is parked: it would hold up all others at its other accounts meanwhile.
    quarantined: HashSet<Key, foldhash::fast::FixedState>,
    /// The numbers of those that pages may bring as well.
    known: HashSet<RequestId>,
    timers: BTreeMap<(Now, u64), Timer>,
    timers_set: u64,
    dice: SmallRng,
    breaker: Breaker,
    signature: Signature,
    stop: Option<StopReason>,
    /// After an outage: whether calls in flight have had their time.
    leaves: bool,
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
    past: Option<Past>,
    terms: Terms,
    /// When its bytes left.
    left: Now,
}

/// How a request set out.
#[derive(Debug, Clone, Copy)]
enum Terms {
    /// This was paid for it.
    Paid(Toll),
    /// Nothing was, and it counts as an attempt whatever the breaker says.
    Last,
}

impl Terms {
    fn paid(self) -> Toll {
        match self {
            Self::Paid(toll) => toll,
            Self::Last => Toll::FREE,
        }
    }
}

/// What a request that goes out again has behind it.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// What going out again takes.
    toll: Toll,
    /// When the bytes left that were in vain.
    left: Now,
    charge: Charge,
    fault: Fault,
}

/// Whose fault it may be that a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The server's: nothing is known to have worked since.
    Servers,
    /// Its own: what left after it succeeded.
    Own,
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
    /// When its bytes left, what that came to, and whose fault it was by what was known before.
    left: Now,
    health: ServerHealth,
    fault: Fault,
    /// What ended: outcome, items, rows.
    ended: Vec<(Outcome, Count, Count)>,
}

#[derive(Debug)]
enum Timer {
    Release(Ticket),
    Rejoin(JobNo, Request, Past),
    Record(JobNo, Settlement),
    Reopen(RequestId),
    Leave,
}

impl Schedule {
    /// A schedule for these jobs. `seed` decides the draws of the delays.
    pub fn new(plans: Vec<JobPlan>, seed: u64) -> Self {
        Self {
            jobs: plans.into_iter().map(JobState::new).collect(),
            table: KeyTable::default(),
            entries: Numbered::default(),
            recording: Numbered::default(),
            waiting: Numbered::default(),
            parked: Numbered::default(),
            loading: Numbered::default(),
            rescued: Numbered::default(),
            quarantined: HashSet::default(),
            known: HashSet::new(),
            timers: BTreeMap::new(),
            timers_set: 0,
            dice: SmallRng::seed_from_u64(seed),
            breaker: Breaker::default(),
            signature: Signature::default(),
            stop: None,
            leaves: false,
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
            Event::Loaded { job, request } => self.loaded(job, request),
            Event::Intended(requests) => requests.into_iter().for_each(|id| self.intended(id, &mut out)),
            Event::Sent { request, .. } => self.sent(now, request),
            Event::HeldBack(id) => self.withdraw(id, Stage::Leaving, &mut out),
            Event::Replied { request, result, generation } => {
                self.replied(now, request, &result, generation, &mut out);
            }
            Event::Recorded { request, follow_ups } => self.recorded(now, request, follow_ups, &mut out),
            Event::Withdrawn(id) => self.withdrawn(id, &mut out),
            Event::Reopened(id) => self.reopened(id, &mut out),
            Event::NotRenewed { job, code, fallback } => self.not_renewed(job, code, fallback, &mut out),
            Event::Tick => {}
            Event::Stop(reason) => self.stop(reason, &mut out),
        }
        self.ring(now, &mut out);
        if self.stop.is_none() {
            self.give_up(now, &mut out);
        }
        if self.stop.is_none() {
            self.fetch(&mut out);
            self.dispatch(now, &mut out);
        }
        out
    }

    /// When [`Event::Tick`] is due.
    pub fn wake_at(&self) -> Option<Now> {
        let timer = self.timers.keys().next().map(|(due, _)| *due);
        let may_probe = self.stop.is_none() && self.jobs.iter().any(|job| !job.ready.is_empty() && job.has_room());
        // A probe that can't set out has no time: the runner would be woken again and again to no purpose.
        timer.into_iter().chain(self.breaker.wake_at().filter(|_| may_probe)).chain(self.gives_up_at()).min()
    }

    /// Whether all is over, and how. After an outage requests may still be `sending` on disk: the next start treats them as
    /// after a kill.
    pub fn end(&self) -> Option<End> {
        match &self.stop {
            Some(reason) => (self.active == 0 || self.leaves).then(|| End::Stopped(reason.clone())),
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

    /// Items of all requests from their intent to the end of their record.
    pub fn items_under_way(&self) -> u64 {
        let left = self.entries.values().filter(|entry| entry.stage != Stage::Queued);
        let left = left.map(|entry| entry.request.items.len());
        let answered = self.recording.values().map(|recording| recording.items);
        left.chain(answered).sum::<usize>() as u64
    }

    /// How things stand if nothing works and the server is only probed.
    pub fn outage(&self, now: Now) -> Option<Outage> {
        self.breaker.outage(now)
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

    /// Remembers why to stop, keeps back what has not left. The gravest reason stays.
    fn stop(&mut self, reason: StopReason, out: &mut Vec<Command>) {
        if self.stop.is_none() {
            out.push(Command::HoldBack);
        }
        self.stop = self.stop.take().max(Some(reason));
    }

    /// Stops since nothing works. Calls in flight get a moment, and are not waited for: each would take its whole time-out.
    fn halt(&mut self, now: Now, outage: Outage, out: &mut Vec<Command>) {
        self.stop(StopReason::Outage(outage), out);
        self.set(now + AFTER_OUTAGE, Timer::Leave);
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
                Timer::Rejoin(job, request, past) => {
                    let keys = self.keys_of(job, &request);
                    self.queue_up(job, request, keys, Some(past));
                }
                Timer::Record(job, settlement) => out.push(Command::Record { job, settlement, urgent: true }),
                Timer::Reopen(id) => out.push(Command::Reopen(id)),
                Timer::Leave => self.leaves = true,
            }
        }
    }

    fn leave(&mut self, ticket: Ticket, out: &mut Vec<Command>) {
        let left = self.table.leave(ticket);
        for ticket in left.freed {
            let id = self.waiting.remove(&ticket).expect("who waited is known");
            let entry = &self.entries[&id];
            self.jobs[entry.job].becomes_ready(id, entry.past.is_none());
        }
        if !self.quarantined.is_empty() {
            for key in left.keys.as_slice() {
                self.quarantined.remove(key);
            }
        }
        if !self.parked.is_empty() {
            left.keys.as_slice().iter().for_each(|key| self.unpark(*key, out));
        }
    }
}
