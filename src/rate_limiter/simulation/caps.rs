//! No second contains more calls than the cap, whatever happens, and most of the cap is used.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;

use governor::Quota;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;

use super::server::{Decision, Server};
use super::world::{ALWAYS, FOREVER, Faster, Gate, Naive, Network, Peer, TIMEOUT, World};
use super::{CAP, JITTERY, MS, QUICK, SECOND, STEADY, cap, peer, steady_peer};
use crate::rate_limiter::command_limit::CommandLimits;
use crate::rate_limiter::ledger::Ledger;

/// The network stalls for 300 ms every 2 s.
const STALL: (u64, u64) = (300, 2000);
const STALLING: Network = Network { stall: STALL, ..STEADY };

/// Runs processes at the cap for half a minute. Returns the fullest second and the used share of the cap.
fn sent_by(processes: usize, network: Network, seed: u64) -> (usize, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = (0..processes).map(|_| steady_peer(folder.path(), CAP)).collect();
    let server = World::run(peers, network, Server::new(|_| u32::MAX), 31, seed);
    let share = server.count(Decision::Accepted, 1, 31) / 30.0 / f64::from(CAP);
    println!(
        "{processes} processes, {network:?}: {} in the fullest second, {share:.4}, the last got {:.2}",
        server.fullest_second(),
        server.least_share()
    );
    (server.fullest_second(), share)
}

#[rstest]
#[case::quiet(QUICK, 0.98)]
#[case::jittery(Network { round_trip: (10, 40), ..QUICK }, 0.96)]
#[case::stalling(Network { stall: STALL, ..QUICK }, 0.92)]
#[case::late_by_a_busy_processor(Network { late: 10, ..QUICK }, 0.96)]
#[case::losing_answers(Network { lost: 5, ..QUICK }, 0.94)]
fn at_20_ms_one_to_eight_processes_use_92_percent_of_the_cap_and_no_more_than_all(
    #[case] network: Network,
    #[case] at_least: f64,
    #[values(1, 2, 8)] processes: usize,
) {
    let (fullest, share) = sent_by(processes, network, 1);
    assert!(fullest <= CAP as usize, "{fullest} in one second");
    assert!(share >= at_least, "{share:.4} of the cap");
}

#[rstest]
#[case::of_50_ms(STEADY, 0.95)]
#[case::of_50_ms_stalling(STALLING, 0.91)]
#[case::of_50_ms_losing_answers(Network { lost: 5, ..STEADY }, 0.94)]
#[case::of_100_ms_jittery(JITTERY, 0.92)]
#[case::of_100_ms_jittery_and_stalling_with_losses(Network { stall: STALL, lost: 5, ..JITTERY }, 0.80)]
#[case::of_500_ms(Network { round_trip: (400, 600), ..STEADY }, 0.72)]
fn longer_round_trips_cost_some_of_the_cap_and_never_exceed_it(
    #[case] network: Network,
    #[case] at_least: f64,
    #[values(1, 8)] processes: usize,
) {
    let (fullest, share) = sent_by(processes, network, 1);
    assert!(fullest <= CAP as usize, "{fullest} in one second");
    assert!(share >= at_least, "{share:.4} of the cap");
}

#[test]
fn no_second_contains_more_calls_than_the_cap_in_random_worlds() {
    live_through(0..30);
}

/// The limiter needs 400 calls before it relies on the steady round trip.
#[test]
fn a_long_but_steady_round_trip_costs_little_of_the_cap() {
    let (fullest, share) = sent_by(1, Network { round_trip: (498, 502), ..STEADY }, 1);
    assert!(fullest <= CAP as usize, "{fullest} in one second");
    assert!(share >= 0.95, "{share:.4} of the cap");
}

/// `cargo test --release --lib thousands_of_random_worlds -- --ignored`
#[test]
#[ignore = "takes minutes, so it is run by name"]
fn thousands_of_random_worlds_keep_every_second_at_or_below_the_cap() {
    live_through(0..4000);
}

fn live_through(seeds: Range<u64>) {
    for seed in seeds {
        let folder = tempfile::tempdir().expect("a folder");
        let (peers, network) = random_world(folder.path(), seed);
        let processes = peers.len();
        let server = World::run(peers, network, Server::new(|_| u32::MAX), 20, seed);
        let fullest = server.fullest_second();
        assert!(fullest <= CAP as usize, "{fullest} in one second; seed {seed}: {processes} processes, {network:?}");
    }
}

/// One to eight processes on a random network. They start, are killed and start again at random moments.
fn random_world(folder: &Path, seed: u64) -> (Vec<Peer>, Network) {
    let mut rng = StdRng::seed_from_u64(seed);
    let round_trip: u64 = [20, 50, 100, 500][rng.random_range(0..4)];
    let jitter = rng.random_range(0..=round_trip / 2);
    let network = Network {
        round_trip: (round_trip - jitter, round_trip + jitter * rng.random_range(1..3)),
        stall: [(0, 0), STALL, (1000, 5000), (50, 333)][rng.random_range(0..4)],
        lost: [0, 5, 50][rng.random_range(0..3)],
        late: [0, 2, 30][rng.random_range(0..3)],
        ..STEADY
    };
    let processes = rng.random_range(1..=8);
    let mut one = || {
        let own_cap = if rng.random_bool(0.7) { CAP } else { rng.random_range(1..=CAP) };
        // Some users change the rate of their runs, up to its first cap.
        let changes = if rng.random_bool(0.5) { 0 } else { rng.random_range(1..30) };
        let caps = (0..changes).map(|_| (rng.random_range(0..20 * SECOND), cap(rng.random_range(1..=own_cap))));
        let caps = caps.collect();
        Peer { caps, ..peer(folder, own_cap, lives(&mut rng)) }
    };
    ((0..processes).map(|_| one()).collect(), network)
}

fn lives(rng: &mut StdRng) -> Vec<Range<u64>> {
    let mut begin = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..10 * SECOND) };
    let mut lives = Vec::new();
    while begin < 20 * SECOND {
        let end = if rng.random_bool(0.3) { FOREVER } else { begin + rng.random_range(10 * MS..8 * SECOND) };
        lives.push(begin..end);
        begin = end + rng.random_range(0..2 * SECOND);
    }
    lives
}

/// The cap falls at the fifth second and rises again at the tenth.
#[rstest]
fn a_cap_that_changes_holds_a_second_later_and_is_used_again(#[values(1, 20, 120)] lower: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let caps = vec![(5 * SECOND, cap(lower)), (10 * SECOND, cap(CAP))];
    let peers = vec![Peer { caps, ..steady_peer(folder.path(), CAP) }];
    let server = World::run(peers, QUICK, Server::new(|_| u32::MAX), 20, 1);
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
    let slow = server.count(Decision::Accepted, 7, 9);
    assert!(
        (f64::from(lower)..=f64::from(2 * lower)).contains(&slow),
        "{slow} calls in two seconds at {lower} a second"
    );
    let fast = server.count(Decision::Accepted, 12, 19) / 7.0 / f64::from(CAP);
    assert!(fast >= 0.95, "{fast:.4} of the cap");
}

/// A network whose server freezes at the tenth second and then reads what waits in its sockets.
fn frozen(ms: u64, network: Network) -> Network {
    Network { freeze: Some((10, ms)), ..network }
}

#[rstest]
fn a_stalled_server_finds_no_more_calls_than_the_cap_when_it_continues(
    #[values(2000, 4900, 5100, 6500, 12_000, 30_000)] ms: u64,
    #[values(QUICK, STEADY, Network { round_trip: (498, 502), ..STEADY })] network: Network,
    #[values(1, 3)] processes: usize,
    #[values(20, CAP)] own_cap: u32,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = (0..processes).map(|_| steady_peer(folder.path(), own_cap)).collect();
    let seconds = 25 + ms / 1000;
    let server = World::run(peers, frozen(ms, network), Server::new(|_| u32::MAX), seconds, 1);
    assert!(server.fullest_second() <= own_cap as usize, "{} in one second", server.fullest_second());
    let afterwards = server.count(Decision::Accepted, seconds - 7, seconds - 1) / 6.0 / f64::from(own_cap);
    assert!(afterwards > 0.6, "{afterwards:.2} of the cap afterwards");
}

/// This limiter frees the slot of an unanswered call at its time-out, because it assumes a very short time-out.
#[test]
fn control_a_limiter_that_does_not_wait_for_a_later_answer_breaks_the_cap_after_a_freeze() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger");
    let begin = move || -> Box<dyn Gate> {
        let ledger = Ledger::open(&path, TIMEOUT / 40).expect("a ledger");
        let mut limits = CommandLimits::new(ledger, cap(CAP), &[]);
        limits.command("friend_delete", cap(CAP)).expect("a section");
        Box::new(limits)
    };
    let peer = Peer { begin: Box::new(begin), lives: vec![ALWAYS], caps: Vec::new() };
    let server = World::run(vec![peer], frozen(30_000, QUICK), Server::new(|_| u32::MAX), 45, 1);
    assert!(server.fullest_second() > CAP as usize + 20, "only {} in one second", server.fullest_second());
}

/// If the way to the server becomes faster by d, calls arrive closer together. The bound for one second then holds for
/// one second less d.
#[rstest]
#[case::at_one_stroke(0)]
#[case::as_a_ramp(5000)]
fn a_way_that_becomes_faster_by_d_keeps_a_second_less_d_at_or_below_the_cap(
    #[case] within: u64,
    #[values(20, 100, 480, 800)] by: u64,
) {
    for round_trip in [(16, 24), (2, 4)] {
        let faster = Some(Faster { at: 12, by, within });
        let network = Network { round_trip, extra_out: by, faster, ..STEADY };
        let folder = tempfile::tempdir().expect("a folder");
        let peers = vec![steady_peer(folder.path(), CAP)];
        let server = World::run(peers, network, Server::new(|_| u32::MAX), 25, 1);
        let (second, less) = (server.fullest(SECOND), server.fullest(SECOND - by * MS));
        println!("{by} ms within {within} ms: {second} in a second, {less} in a second less that");
        assert!(less <= CAP as usize, "{less} in a second less {by} ms");
    }
}

/// The bound grows by one call for each time-out after the slots for probes are used up.
#[test]
fn a_server_frozen_for_minutes_finds_at_most_one_more_call_per_five_seconds() {
    for minutes in [3, 4, 10] {
        let folder = tempfile::tempdir().expect("a folder");
        let peers = (0..2).map(|_| steady_peer(folder.path(), CAP)).collect();
        let ms = minutes * 60_000;
        let server = World::run(peers, frozen(ms, QUICK), Server::new(|_| u32::MAX), 60 * minutes + 25, 1);
        let more = (60 * minutes).saturating_sub(200) / 5 + u64::from(minutes > 3);
        let most = u64::from(CAP) + more;
        assert!(server.fullest_second() as u64 <= most, "{minutes} min: {}", server.fullest_second());
    }
}

#[test]
fn after_a_freeze_no_second_contains_more_calls_than_the_cap_in_random_worlds() {
    for seed in 0..30 {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (peers, network) = random_world(folder.path(), seed);
        let (processes, network) =
            (peers.len(), Network { freeze: Some((rng.random_range(2..9), rng.random_range(500..30_000))), ..network });
        let server = World::run(peers, network, Server::new(|_| u32::MAX), 45, seed);
        let fullest = server.fullest_second();
        assert!(fullest <= CAP as usize, "{fullest} in one second; seed {seed}: {processes} processes, {network:?}");
    }
}

#[rstest]
#[case::with_its_usual_burst(Quota::per_second(NonZeroU32::new(CAP).expect("not zero")), STEADY)]
#[case::without_burst(
    Quota::per_second(NonZeroU32::new(CAP).expect("not zero")).allow_burst(NonZeroU32::MIN), STALLING)]
fn control_a_naive_limiter_breaks_the_cap(#[case] quota: Quota, #[case] network: Network) {
    let naive = Peer { begin: Box::new(move || Box::new(Naive::new(quota))), lives: vec![ALWAYS], caps: Vec::new() };
    let server = World::run(vec![naive], network, Server::new(|_| u32::MAX), 10, 1);
    assert!(server.fullest_second() > CAP as usize + 20, "only {} in one second", server.fullest_second());
}

#[test]
fn control_processes_with_separate_ledgers_break_the_cap() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let peers = folders.iter().map(|folder| steady_peer(folder.path(), CAP)).collect();
    let server = World::run(peers, STEADY, Server::new(|_| u32::MAX), 10, 1);
    assert!(server.fullest_second() > CAP as usize * 3 / 2, "only {} in one second", server.fullest_second());
}

#[test]
fn control_a_process_restarted_without_its_ledger_breaks_the_cap() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let lives = [0..3 * SECOND, 3 * SECOND..FOREVER];
    let peers = folders.iter().zip(lives).map(|(folder, life)| peer(folder.path(), CAP, vec![life])).collect();
    let server = World::run(peers, STEADY, Server::new(|_| u32::MAX), 10, 1);
    assert!(server.fullest_second() > CAP as usize, "only {} in one second", server.fullest_second());
}
