//! Minutes of sending in virtual time: the real lanes, pace and ledger file against a network and a server made of
//! arithmetic. All chance comes from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;

use super::lane::Lanes;
use super::ledger::{Ledger, Taken};
use crate::domain::codes::Scope;
use crate::domain::limit::{Cap, Moment};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const TIMEOUT: Duration = Duration::from_secs(5);
const CAP: u32 = 200;
/// Requests in flight, at most: more than the slowest network of these tests can use.
const WORKERS: usize = 128;

/// What a process asks before it sends.
trait Gate {
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
struct Naive {
    governor: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    now: u64,
}

impl Naive {
    fn new(quota: Quota) -> Self {
        let clock = FakeRelativeClock::default();
        Self {
            governor: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            now: 0,
        }
    }
}

impl Gate for Naive {
    fn take(&mut self, now: u64) -> Result<Option<Taken>, u64> {
        self.clock.advance(Duration::from_nanos(now - self.now));
        self.now = now;
        self.governor
            .check()
            .map(|()| None)
            .map_err(|no| no.earliest_possible().as_u64())
    }

    fn answered(&mut self, _: Option<Taken>, _: u64, _: bool, _: u64) {}
}

/// How long the ways take, in ms for there and back, and what goes wrong.
#[derive(Clone, Copy)]
struct Network {
    round_trip: (u64, u64),
    /// Nothing moves for 300 ms every 2 s.
    stalls: bool,
    /// Of a thousand calls, so many never get their answer.
    lost: u32,
}

impl Network {
    fn arrival(&self, sent: u64, chance: &mut StdRng) -> u64 {
        let (low, high) = self.round_trip;
        let arrival = sent + chance.random_range(low * MS / 2..=high * MS / 2);
        let phase = arrival % (2 * SECOND);
        if self.stalls && phase < 300 * MS {
            arrival + 300 * MS - phase
        } else {
            arrival
        }
    }
}

/// A server that allows `limit(now)` calls in any second and counts the refused ones, too, if it is strict.
struct Server {
    limit: fn(u64) -> u32,
    strict: bool,
    counted: VecDeque<u64>,
    arrivals: Vec<(u64, Verdict)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Accepted,
    Rejected,
}

impl Server {
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
    fn fullest_second(&self) -> usize {
        let (mut fullest, mut first) = (0, 0);
        for (last, (now, _)) in self.arrivals.iter().enumerate() {
            while now - self.arrivals[first].0 >= SECOND {
                first += 1;
            }
            fullest = fullest.max(last + 1 - first);
        }
        fullest
    }

    fn count(&self, verdict: Verdict, from: u64, to: u64) -> f64 {
        let within = |(at, found): &&(u64, Verdict)| *found == verdict && (from * SECOND..to * SECOND).contains(at);
        f64::from(u32::try_from(self.arrivals.iter().filter(within).count()).expect("few"))
    }
}

enum Event {
    Ask {
        process: usize,
    },
    Arrive {
        process: usize,
        taken: Option<Taken>,
        sent: u64,
    },
    Answer {
        process: usize,
        taken: Option<Taken>,
        sent: u64,
        verdict: Verdict,
    },
    TimeOut {
        process: usize,
    },
}

struct World {
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
    fn run(gates: Vec<Box<dyn Gate>>, network: Network, server: Server, seconds: u64, seed: u64) -> Server {
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
                    self.plan(
                        back,
                        Event::Answer {
                            process,
                            taken,
                            sent,
                            verdict,
                        },
                    );
                }
            }
            Event::Answer {
                process,
                taken,
                sent,
                verdict,
            } => {
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
                    self.plan(
                        arrival,
                        Event::Arrive {
                            process,
                            taken,
                            sent: now,
                        },
                    );
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

fn cap(calls: u32) -> Cap {
    Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
}

fn lanes(folder: &Path, command_cap: u32) -> Box<dyn Gate> {
    let ledger = Ledger::open(&folder.join("ledger"), TIMEOUT).expect("a ledger");
    let start = Moment::from_nanos(SECOND);
    let mut lanes = Lanes::new(ledger, cap(CAP), start);
    lanes
        .command("friend_delete", cap(command_cap), start)
        .expect("a section");
    Box::new(lanes)
}

fn server(limit: fn(u64) -> u32) -> Server {
    Server {
        limit,
        strict: false,
        counted: VecDeque::new(),
        arrivals: Vec::new(),
    }
}

const STEADY: Network = Network {
    round_trip: (40, 60),
    stalls: false,
    lost: 0,
};
const JITTERY: Network = Network {
    round_trip: (50, 150),
    stalls: false,
    lost: 0,
};
const STALLING: Network = Network {
    round_trip: (40, 60),
    stalls: true,
    lost: 0,
};

#[rstest]
#[case::steady(STEADY, 0.97)]
#[case::jittery(JITTERY, 0.92)]
#[case::stalling(STALLING, 0.80)]
#[case::steady_with_losses(Network { lost: 5, ..STEADY }, 0.94)]
#[case::jittery_and_stalling_with_losses(Network { stalls: true, lost: 5, ..JITTERY }, 0.75)]
fn no_second_of_the_server_holds_more_than_the_cap_and_few_hold_much_less(
    #[case] network: Network,
    #[case] bar: f64,
    #[values(1, 2)] seed: u64,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = World::run(vec![lanes(folder.path(), CAP)], network, server(|_| u32::MAX), 60, seed);
    assert!(
        server.fullest_second() <= CAP as usize,
        "{} in one second",
        server.fullest_second()
    );
    let share = server.count(Verdict::Accepted, 0, 60) / 60.0 / f64::from(CAP);
    assert!(share >= bar, "{share:.4} of the cap");
}

#[rstest]
#[case::alike([CAP; 8])]
#[case::with_caps_of_their_own([20, 50, 80, 100, 120, 150, 180, CAP])]
fn eight_processes_stay_below_the_largest_cap_together(#[case] caps: [u32; 8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let gates = caps.map(|cap| lanes(folder.path(), cap)).into();
    let network = Network {
        stalls: true,
        lost: 5,
        ..JITTERY
    };
    let server = World::run(gates, network, server(|_| u32::MAX), 30, 7);
    assert!(
        server.fullest_second() <= CAP as usize,
        "{} in one second",
        server.fullest_second()
    );
    assert!(server.count(Verdict::Accepted, 0, 30) > 30.0 * 0.7 * f64::from(CAP));
}

#[rstest]
#[case::with_its_usual_burst(Quota::per_second(NonZeroU32::new(CAP).expect("not zero")), STEADY)]
#[case::without_burst(
    Quota::per_second(NonZeroU32::new(CAP).expect("not zero")).allow_burst(NonZeroU32::MIN), STALLING)]
fn a_naive_limiter_breaks_the_cap_so_these_tests_can_see(#[case] quota: Quota, #[case] network: Network) {
    let server = World::run(vec![Box::new(Naive::new(quota))], network, server(|_| u32::MAX), 10, 1);
    assert!(
        server.fullest_second() > CAP as usize + 20,
        "only {} in one second",
        server.fullest_second()
    );
}

/// The bar is 0.90; of few calls a second, one more or less is several percent.
#[rstest]
#[case::of_8(|_| 8, 0.85)]
#[case::of_20(|_| 20, 0.84)]
#[case::of_60(|_| 60, 0.90)]
#[case::of_120(|_| 120, 0.90)]
#[case::of_190(|_| 190, 0.90)]
fn a_lower_limit_at_the_server_is_found_and_used(
    #[case] limit: fn(u64) -> u32,
    #[case] bar: f64,
    #[values(false, true)] strict: bool,
    #[values(STEADY, JITTERY)] network: Network,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server {
        strict,
        ..server(limit)
    };
    let server = World::run(vec![lanes(folder.path(), CAP)], network, server, 270, 1);
    let (accepted, rejected) = (
        server.count(Verdict::Accepted, 30, 270),
        server.count(Verdict::Rejected, 30, 270),
    );
    let (used, refused) = (accepted / 240.0 / f64::from(limit(0)), rejected / (accepted + rejected));
    assert!(refused <= 0.03, "{refused:.4} rejected");
    assert!(used >= bar, "{used:.4} of the limit used");
}

#[rstest]
#[case::from_60(|now| if now < 100 * SECOND { 60 } else { u32::MAX })]
#[case::from_10(|now| if now < 100 * SECOND { 10 } else { u32::MAX })]
#[case::from_nothing(|now| if now < 100 * SECOND { 0 } else { u32::MAX })]
fn after_the_limit_rises_the_cap_is_used_within_a_minute(#[case] limit: fn(u64) -> u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = World::run(vec![lanes(folder.path(), CAP)], STEADY, server(limit), 172, 1);
    let share = server.count(Verdict::Accepted, 161, 171) / 10.0 / f64::from(CAP);
    assert!(share >= 0.95, "{share:.4} of the cap");
    assert!(
        server.fullest_second() <= CAP as usize,
        "{} in one second",
        server.fullest_second()
    );
}

#[test]
fn a_limit_that_changes_often_is_followed() {
    let limit = |now: u64| [150, 40, 100, 60, 180][usize::try_from(now / (90 * SECOND)).expect("small") % 5];
    let folder = tempfile::tempdir().expect("a folder");
    let server = World::run(vec![lanes(folder.path(), CAP)], STEADY, server(limit), 450, 1);
    let (accepted, rejected) = (
        server.count(Verdict::Accepted, 30, 450),
        server.count(Verdict::Rejected, 30, 450),
    );
    let refused = rejected / (accepted + rejected);
    assert!(refused <= 0.03, "{refused:.4} rejected");
}
