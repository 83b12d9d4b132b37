//! Virtual time, a simulated network and server, and processes that send as fast as their limiter allows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::Range;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use jiff::Zoned;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::server::{Decision, Server};
use super::{MS, SECOND};
use crate::domain::rate_limit::{Cap, Moment};
use crate::domain::response::codes::{Pause, Scope};
use crate::rate_limiter::command_limit::CommandLimits;
use crate::rate_limiter::ledger::{NoSlots, TakenSlots};

/// A moment after the end of every simulation.
pub(super) const FOREVER: u64 = 3600 * SECOND;
pub(super) const ALWAYS: Range<u64> = 0..FOREVER;
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// A server that continues after a freeze reads the waiting calls within this time, in any order.
const BACKLOG_TIME: u64 = 200 * MS;
/// The maximum number of calls in flight: more than the slowest network of these tests can use.
const WORKERS: usize = 128;

/// The limiter that a process asks before it sends.
pub(super) trait Gate {
    fn take(&mut self, now: u64) -> Result<Option<TakenSlots>, u64>;
    fn answered(&mut self, taken: Option<TakenSlots>, round_trip: u64, rejected: bool, now: u64);
    fn set_cap(&mut self, cap: Cap);
}

impl Gate for CommandLimits {
    fn take(&mut self, now: u64) -> Result<Option<TakenSlots>, u64> {
        let taken = Self::take(self, 0, &Zoned::default(), || Moment::from_nanos(now)).expect("the ledger works");
        taken.map(Some).map_err(|no_slots| match no_slots {
            NoSlots::Until(next) => next.as_nanos(),
            NoSlots::DayUsedUp(day) => unreachable!("{day:?} without a limit"),
        })
    }

    fn answered(&mut self, taken: Option<TakenSlots>, round_trip: u64, rejected: bool, now: u64) {
        let now = Moment::from_nanos(now);
        let taken = taken.expect("command limits return slots");
        Self::answered(self, 0, taken, Duration::from_nanos(round_trip), now).expect("the ledger works");
        if rejected {
            self.throttled(0, (Scope::Command, Pause::Short), || now).expect("the ledger works");
        }
    }

    fn set_cap(&mut self, cap: Cap) {
        Self::set_cap(self, 0, cap);
    }
}

/// A limiter that consists of the library governor alone.
pub(super) struct Naive {
    governor: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    now: u64,
}

impl Naive {
    pub(super) fn new(quota: Quota) -> Self {
        let clock = FakeRelativeClock::default();
        Self { governor: RateLimiter::direct_with_clock(quota, clock.clone()), clock, now: 0 }
    }
}

impl Gate for Naive {
    fn take(&mut self, now: u64) -> Result<Option<TakenSlots>, u64> {
        self.clock.advance(Duration::from_nanos(now - self.now));
        self.now = now;
        self.governor.check().map(|()| None).map_err(|no| no.earliest_possible().as_u64())
    }

    fn answered(&mut self, _: Option<TakenSlots>, _: u64, _: bool, _: u64) {}

    fn set_cap(&mut self, _: Cap) {}
}

/// The transit times of the network, and its faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// The range of round trips in ms.
    pub(super) round_trip: (u64, u64),
    /// The length of a stall and the time between the starts of two stalls, both in ms.
    pub(super) stall: (u64, u64),
    /// The number of calls in a thousand whose answer is lost.
    pub(super) lost: u32,
    /// The maximum delay in ms between the permit and the send, and between the arrival of an answer and its reading.
    pub(super) late: u64,
    /// The second at which the server freezes, and the length of the freeze in ms. Calls that arrive meanwhile are
    /// read, counted and answered afterwards.
    pub(super) freeze: Option<(u64, u64)>,
    /// The time in ms that the way to the server takes longer than the way back.
    pub(super) extra_out: u64,
    /// The way to the server becomes faster, also for calls that are on it.
    pub(super) faster: Option<Faster>,
}

/// A way to the server that becomes faster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faster {
    /// The second at which the change begins.
    pub(super) at: u64,
    /// The change in ms.
    pub(super) by: u64,
    /// The duration of the change in ms.
    pub(super) within: u64,
}

impl Faster {
    /// The arrival of a call that would arrive at `arrival` on the unchanged way.
    fn arrival(self, arrival: u64) -> u64 {
        let (begin, by, within) = (self.at * SECOND, self.by * MS, self.within * MS);
        if arrival <= begin {
            return arrival;
        }
        // At t the way is shorter by (t - begin) * by / within.
        let ramp = begin + (arrival - begin) * self.within / (self.within + self.by).max(1);
        if ramp < begin + within { ramp } else { begin.max(arrival - by) }
    }
}

impl Network {
    fn way_out(&self, sent: u64, rng: &mut StdRng) -> u64 {
        let arrival = self.way(sent + self.extra_out * MS, rng);
        // No call arrives before it was sent.
        self.faster.map_or(arrival, |faster| faster.arrival(arrival).max(sent))
    }

    fn way(&self, sent: u64, rng: &mut StdRng) -> u64 {
        let (low, high) = self.round_trip;
        let arrival = sent + rng.random_range(low * MS / 2..=high * MS / 2);
        let (length, every) = (self.stall.0 * MS, self.stall.1 * MS);
        let phase = arrival % every.max(1);
        if phase < length { arrival + length - phase } else { arrival }
    }

    /// The moment at which a frozen server reads a call that arrived at `now`; `None` if it is not frozen.
    fn end_of_freeze(&self, now: u64, rng: &mut StdRng) -> Option<u64> {
        let (second, ms) = self.freeze?;
        let (begin, end) = (second * SECOND, second * SECOND + ms * MS);
        (begin..end).contains(&now).then(|| end + rng.random_range(0..=BACKLOG_TIME))
    }

    fn lateness(&self, rng: &mut StdRng) -> u64 {
        rng.random_range(0..=self.late * MS)
    }
}

/// A process: how it starts, and when it runs, in nanoseconds. When it is killed, no one reads the answers to its
/// calls.
pub(super) struct Peer {
    pub(super) begin: Box<dyn Fn() -> Box<dyn Gate>>,
    pub(super) lives: Vec<Range<u64>>,
    /// When its command gets another cap, and which one.
    pub(super) caps: Vec<(u64, Cap)>,
}

/// The state of a running process.
struct Life {
    gate: Box<dyn Gate>,
    idle: usize,
    asking: bool,
    /// The numbers of the calls without an answer.
    waiting: HashSet<u64>,
}

enum Event {
    Begin { peer: usize },
    Kill { peer: usize },
    SetCap { peer: usize, cap: Cap },
    Ask { life_id: LifeId },
    Arrive { call: Call },
    Answer { call: Call, decision: Decision },
    TimeOut { life_id: LifeId, number: u64 },
}

/// A call in flight.
struct Call {
    life_id: LifeId,
    number: u64,
    taken: Option<TakenSlots>,
    sent: u64,
}

/// One run of a process.
#[derive(Clone, Copy)]
struct LifeId {
    peer: usize,
    life: usize,
}

/// The simulation: all events in their order.
pub(super) struct World {
    rng: StdRng,
    network: Network,
    server: Server,
    peers: Vec<Peer>,
    lives: Vec<(usize, Option<Life>)>,
    events: Vec<Option<Event>>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    calls: u64,
}

impl World {
    pub(super) fn run(peers: Vec<Peer>, network: Network, server: Server, seconds: u64, seed: u64) -> Server {
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            network,
            server,
            lives: peers.iter().map(|_| (0, None)).collect(),
            peers,
            events: Vec::new(),
            queue: BinaryHeap::new(),
            calls: 0,
        };
        for peer in 0..world.peers.len() {
            for life in world.peers[peer].lives.clone() {
                world.add_event(SECOND + life.start, Event::Begin { peer });
                world.add_event(SECOND + life.end, Event::Kill { peer });
            }
            for (at, cap) in world.peers[peer].caps.clone() {
                world.add_event(SECOND + at, Event::SetCap { peer, cap });
            }
        }
        while let Some(Reverse((now, number))) = world.queue.pop()
            && now < (seconds + 1) * SECOND
        {
            let event = world.events[number].take().expect("each event is applied once");
            world.apply(event, now);
        }
        // The virtual clock begins at one second, but the server counts from zero.
        world.server.begin_at(SECOND);
        world.server
    }

    fn add_event(&mut self, at: u64, event: Event) {
        self.events.push(Some(event));
        self.queue.push(Reverse((at, self.events.len() - 1)));
    }

    fn alive(&mut self, life_id: LifeId) -> Option<&mut Life> {
        let (number, life) = &mut self.lives[life_id.peer];
        life.as_mut().filter(|_| *number == life_id.life)
    }

    fn ask_at(&mut self, life_id: LifeId, at: u64) {
        if let Some(life) = self.alive(life_id)
            && !std::mem::replace(&mut life.asking, true)
        {
            self.add_event(at, Event::Ask { life_id });
        }
    }

    fn apply(&mut self, event: Event, now: u64) {
        match event {
            Event::Begin { peer } => {
                let gate = (self.peers[peer].begin)();
                self.lives[peer].0 += 1;
                self.lives[peer].1 = Some(Life { gate, idle: WORKERS, asking: false, waiting: HashSet::new() });
                self.ask_at(LifeId { peer, life: self.lives[peer].0 }, now);
            }
            Event::Kill { peer } => self.lives[peer].1 = None,
            Event::SetCap { peer, cap } => {
                if let Some(life) = &mut self.lives[peer].1 {
                    life.gate.set_cap(cap);
                }
            }
            Event::Ask { life_id } => self.ask(life_id, now),
            Event::Arrive { call } => self.arrive(call, now),
            Event::Answer { call, decision } => {
                let Call { life_id, number, taken, sent } = call;
                // An answer after the time-out is not read.
                if let Some(life) = self.alive(life_id)
                    && life.waiting.remove(&number)
                {
                    life.gate.answered(taken, now - sent, decision == Decision::Rejected, now);
                    life.idle += 1;
                }
                self.ask_at(life_id, now);
            }
            Event::TimeOut { life_id, number } => {
                if let Some(life) = self.alive(life_id)
                    && life.waiting.remove(&number)
                {
                    life.idle += 1;
                    self.ask_at(life_id, now);
                }
            }
        }
    }

    fn arrive(&mut self, call: Call, now: u64) {
        if let Some(later) = self.network.end_of_freeze(now, &mut self.rng) {
            return self.add_event(later, Event::Arrive { call });
        }
        let decision = self.server.receive(call.life_id.peer, now);
        if self.rng.random_range(0..1000) >= self.network.lost {
            let back = self.network.way(now, &mut self.rng) + self.network.lateness(&mut self.rng);
            self.add_event(back, Event::Answer { call, decision });
        }
    }

    /// Behaves like `acquire`: one call asks at a time, and sleeps on a timer that fires late, on whole milliseconds.
    fn ask(&mut self, life_id: LifeId, now: u64) {
        loop {
            let number = self.calls + 1;
            let Some(life) = self.alive(life_id) else { return };
            life.asking = false;
            if life.idle == 0 {
                return;
            }
            match life.gate.take(now) {
                Ok(taken) => {
                    life.idle -= 1;
                    life.waiting.insert(number);
                    self.calls = number;
                    let left = now + self.network.lateness(&mut self.rng);
                    let arrival = self.network.way_out(left, &mut self.rng);
                    self.add_event(arrival, Event::Arrive { call: Call { life_id, number, taken, sent: now } });
                    let timeout = u64::try_from(TIMEOUT.as_nanos()).expect("short");
                    self.add_event(now + timeout, Event::TimeOut { life_id, number });
                }
                Err(next) => {
                    let wait = next.saturating_sub(now).clamp(MS, 50 * MS).next_multiple_of(MS);
                    let late = self.rng.random_range(0..MS);
                    return self.ask_at(life_id, now + wait + late);
                }
            }
        }
    }
}
