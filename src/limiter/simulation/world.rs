//! Virtual time, a network and a server made of arithmetic, and processes that send as fast as they are let.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::domain::codes::Scope;
use crate::domain::limit::Moment;
use crate::limiter::lane::Lanes;
use crate::limiter::ledger::Taken;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Requests in flight, at most: more than the slowest network of these tests can use.
const WORKERS: usize = 128;

/// What a process asks before it sends.
pub(super) trait Gate {
    fn take(&mut self, now: u64) -> Result<Option<Taken>, u64>;
    fn answered(&mut self, taken: Option<Taken>, round_trip: u64, rejected: bool, now: u64);
}

impl Gate for Lanes {
    fn take(&mut self, now: u64) -> Result<Option<Taken>, u64> {
        let taken = Self::take(self, 0, || Moment::from_nanos(now)).expect("the ledger works");
        taken.map(Some).map_err(Moment::as_nanos)
    }

    fn answered(&mut self, taken: Option<Taken>, round_trip: u64, rejected: bool, now: u64) {
        let now = Moment::from_nanos(now);
        let taken = taken.expect("lanes give slots");
        Self::answered(self, 0, &taken, Duration::from_nanos(round_trip), now).expect("the ledger works");
        if rejected {
            self.throttled(0, Scope::Command, now);
        }
    }
}

/// The usual way: governor and nothing else.
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
    fn take(&mut self, now: u64) -> Result<Option<Taken>, u64> {
        self.clock.advance(Duration::from_nanos(now - self.now));
        self.now = now;
        self.governor.check().map(|()| None).map_err(|no| no.earliest_possible().as_u64())
    }

    fn answered(&mut self, _: Option<Taken>, _: u64, _: bool, _: u64) {}
}

/// How long the ways take, in ms for there and back, and what goes wrong.
#[derive(Clone, Copy)]
pub(super) struct Network {
    pub(super) round_trip: (u64, u64),
    /// Nothing moves for 300 ms every 2 s.
    pub(super) stalls: bool,
    /// Of a thousand calls, so many never get their answer.
    pub(super) lost: u32,
}

impl Network {
    fn arrival(&self, sent: u64, chance: &mut StdRng) -> u64 {
        let (low, high) = self.round_trip;
        let arrival = sent + chance.random_range(low * MS / 2..=high * MS / 2);
        let phase = arrival % (2 * SECOND);
        if self.stalls && phase < 300 * MS { arrival + 300 * MS - phase } else { arrival }
    }
}

/// A server that allows `limit(now)` calls in any second and counts the refused ones, too, if it is strict.
pub(super) struct Server {
    pub(super) limit: fn(u64) -> u32,
    pub(super) strict: bool,
    counted: VecDeque<u64>,
    arrivals: Vec<(u64, Verdict)>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    Accepted,
    Rejected,
}

impl Server {
    pub(super) fn new(limit: fn(u64) -> u32) -> Self {
        Self { limit, strict: false, counted: VecDeque::new(), arrivals: Vec::new() }
    }

    fn judge(&mut self, now: u64) -> Verdict {
        while self.counted.front().is_some_and(|first| now - first >= SECOND) {
            self.counted.pop_front();
        }
        let full = self.counted.len() >= (self.limit)(now) as usize;
        if !full || self.strict {
            self.counted.push_back(now);
        }
        let verdict = if full { Verdict::Rejected } else { Verdict::Accepted };
        self.arrivals.push((now, verdict));
        verdict
    }

    /// The most calls that any second holds, whenever it begins.
    pub(super) fn fullest_second(&self) -> usize {
        let (mut fullest, mut first) = (0, 0);
        for (last, (now, _)) in self.arrivals.iter().enumerate() {
            while now - self.arrivals[first].0 >= SECOND {
                first += 1;
            }
            fullest = fullest.max(last + 1 - first);
        }
        fullest
    }

    pub(super) fn count(&self, verdict: Verdict, from: u64, to: u64) -> f64 {
        let within = |(at, found): &&(u64, Verdict)| *found == verdict && (from * SECOND..to * SECOND).contains(at);
        f64::from(u32::try_from(self.arrivals.iter().filter(within).count()).expect("few"))
    }
}

enum Event {
    Ask { process: usize },
    Arrive { process: usize, taken: Option<Taken>, sent: u64 },
    Answer { process: usize, taken: Option<Taken>, sent: u64, verdict: Verdict },
    TimeOut { process: usize },
}

/// Everything that happens, in order.
pub(super) struct World {
    chance: StdRng,
    network: Network,
    server: Server,
    gates: Vec<Box<dyn Gate>>,
    idle: Vec<usize>,
    asking: Vec<bool>,
    events: Vec<Option<Event>>,
    agenda: BinaryHeap<Reverse<(u64, usize)>>,
}

impl World {
    pub(super) fn run(gates: Vec<Box<dyn Gate>>, network: Network, server: Server, seconds: u64, seed: u64) -> Server {
        let processes = gates.len();
        let mut world = Self {
            chance: StdRng::seed_from_u64(seed),
            network,
            server,
            gates,
            idle: vec![WORKERS; processes],
            asking: vec![false; processes],
            events: Vec::new(),
            agenda: BinaryHeap::new(),
        };
        for process in 0..processes {
            world.ask_at(process, SECOND);
        }
        while let Some(Reverse((now, number))) = world.agenda.pop()
            && now < (seconds + 1) * SECOND
        {
            let event = world.events[number].take().expect("each happens once");
            world.happen(event, now);
        }
        // The world begins at the clock's first second, the counting at zero.
        world.server.arrivals.iter_mut().for_each(|(at, _)| *at -= SECOND);
        world.server
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.events.push(Some(event));
        self.agenda.push(Reverse((at, self.events.len() - 1)));
    }

    fn ask_at(&mut self, process: usize, at: u64) {
        if !std::mem::replace(&mut self.asking[process], true) {
            self.plan(at, Event::Ask { process });
        }
    }

    fn happen(&mut self, event: Event, now: u64) {
        match event {
            Event::Ask { process } => {
                self.asking[process] = false;
                self.ask(process, now);
            }
            Event::Arrive { process, taken, sent } => {
                let verdict = self.server.judge(now);
                if self.chance.random_range(0..1000) < self.network.lost {
                    let timeout = u64::try_from(TIMEOUT.as_nanos()).expect("short");
                    self.plan(sent + timeout, Event::TimeOut { process });
                } else {
                    let back = self.network.arrival(now, &mut self.chance);
                    self.plan(back, Event::Answer { process, taken, sent, verdict });
                }
            }
            Event::Answer { process, taken, sent, verdict } => {
                self.gates[process].answered(taken, now - sent, verdict == Verdict::Rejected, now);
                self.idle[process] += 1;
                self.ask_at(process, now);
            }
            Event::TimeOut { process } => {
                self.idle[process] += 1;
                self.ask_at(process, now);
            }
        }
    }

    /// As `acquire` does it: one asks at a time, and sleeps on a timer of whole milliseconds that fires late.
    fn ask(&mut self, process: usize, now: u64) {
        while self.idle[process] > 0 {
            match self.gates[process].take(now) {
                Ok(taken) => {
                    self.idle[process] -= 1;
                    let arrival = self.network.arrival(now, &mut self.chance);
                    self.plan(arrival, Event::Arrive { process, taken, sent: now });
                }
                Err(next) => {
                    let wait = next.saturating_sub(now).clamp(MS, 50 * MS).next_multiple_of(MS);
                    let late = self.chance.random_range(0..MS);
                    self.ask_at(process, now + wait + late);
                    return;
                }
            }
        }
    }
}
