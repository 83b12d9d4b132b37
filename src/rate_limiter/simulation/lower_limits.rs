//! A server whose limit is below the cap, or changes: the limiter finds it, uses it, and rarely exceeds it.

use rstest::rstest;

use super::server::{Decision, Server};
use super::world::{Network, World};
use super::{CAP, JITTERY, QUICK, SECOND, STEADY, steady_peer};

fn run(processes: usize, network: Network, server: Server, seconds: u64) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = (0..processes).map(|_| steady_peer(folder.path(), CAP)).collect();
    World::run(peers, network, server, seconds, 1)
}

/// Checks the used share of the limit from the 30th second on, and the share of rejected calls.
#[track_caller]
fn assert_found(server: &Server, limit: u32, until: u64, used_at_least: f64) {
    let [accepted, rejected] =
        [Decision::Accepted, Decision::Rejected].map(|decision| server.count(decision, 30, until));
    #[expect(clippy::cast_precision_loss, reason = "some minutes")]
    let used = accepted / (until - 30) as f64 / f64::from(limit);
    let refused = rejected / (accepted + rejected);
    let least = server.least_share();
    println!("{used:.4} of {limit} used, {refused:.4} rejected, the last got {least:.2}");
    assert!(refused <= 0.03, "{refused:.4} rejected");
    assert!(used >= used_at_least, "{used:.4} of the limit used");
    assert!(least >= 0.6, "one process got {least:.2} of what all got in the mean");
}

#[rstest]
fn a_lower_limit_at_the_server_is_found_and_used_by_one_to_eight_processes(
    #[values(8, 20, 40, 60, 120, 190)] limit: u32,
    #[values(1, 8)] processes: usize,
    #[values(false, true)] strict: bool,
) {
    let mut server = Server::new(move |_| limit);
    server.strict = strict;
    assert_found(&run(processes, QUICK, server, 150), limit, 150, 0.90);
}

#[rstest]
#[case::of_50_ms(STEADY)]
#[case::of_100_ms_jittery(JITTERY)]
fn a_lower_limit_is_used_over_longer_round_trips(
    #[case] network: Network,
    #[values(8, 20, 60, 190)] limit: u32,
    #[values(1, 8)] processes: usize,
) {
    assert_found(&run(processes, network, Server::new(move |_| limit), 150), limit, 150, 0.90);
}

#[rstest]
#[case::that_vary(Network { round_trip: (400, 600), ..STEADY }, 0.85)]
#[case::that_are_steady(Network { round_trip: (495, 505), ..STEADY }, 0.93)]
fn a_lower_limit_is_used_over_round_trips_of_500_ms(
    #[case] network: Network,
    #[case] at_least: f64,
    #[values(8, 120)] limit: u32,
    #[values(1, 4)] processes: usize,
) {
    assert_found(&run(processes, network, Server::new(move |_| limit), 150), limit, 150, at_least);
}

#[rstest]
fn a_lower_limit_is_used_over_a_network_that_stalls(
    #[values(8, 40, 190)] limit: u32,
    #[values(1, 8)] processes: usize,
) {
    let network = Network { stall: (300, 2000), ..QUICK };
    assert_found(&run(processes, network, Server::new(move |_| limit), 150), limit, 150, 0.90);
}

/// Where the limit is a few calls, each rejection is a large share, so the limiter rarely exceeds it.
#[test]
fn a_limit_of_a_single_call_is_found_and_used() {
    assert_found(&run(1, QUICK, Server::new(|_| 1), 150), 1, 150, 0.90);
}

/// The virtual clock begins one second before the server counts: an event at its 100th second is counted in the 99th.
const RISE: u64 = 100 * SECOND;

#[rstest]
#[case::from_60(|now| if now < RISE { 60 } else { u32::MAX })]
#[case::from_8(|now| if now < RISE { 8 } else { u32::MAX })]
#[case::from_nothing(|now| if now < RISE { 0 } else { u32::MAX })]
fn after_the_limit_rises_the_cap_is_used_within_half_a_minute(
    #[case] limit: fn(u64) -> u32,
    #[values(1, 8)] processes: usize,
) {
    let server = run(processes, STEADY, Server::new(limit), 160);
    let share = server.count(Decision::Accepted, 129, 159) / 30.0 / f64::from(CAP);
    assert!(share >= 0.95, "{share:.4} of the cap");
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
}

#[rstest]
#[case::a_few_calls(3)]
#[case::nothing(0)]
fn a_server_that_accepts_hardly_any_call_at_first_is_used_in_full_within_20_seconds(
    #[case] at_first: u32,
    #[values(1, 8)] processes: usize,
) {
    let limit = move |now| if now < 2 * SECOND { at_first } else { u32::MAX };
    let server = run(processes, STEADY, Server::new(limit), 51);
    let share = server.count(Decision::Accepted, 20, 50) / 30.0 / f64::from(CAP);
    assert!(share >= 0.95, "{share:.4} of the cap");
}

/// The limits in turn, each for 90 s.
fn in_turn<const N: usize>(limits: [u32; N], second: u64) -> u32 {
    limits[usize::try_from(second / 90).expect("small") % N]
}

#[rstest]
#[case::of_20_ms(QUICK)]
#[case::of_50_ms(STEADY)]
#[case::of_100_ms_jittery(JITTERY)]
fn a_minute_after_a_change_any_ten_seconds_use_90_percent_of_the_limit(
    #[case] network: Network,
    #[values([150, 40, 100, 60, 180], [8, 190, 20, 120, 30])] limits: [u32; 5],
    #[values(1, 8)] processes: usize,
) {
    let server = Server::new(move |now| in_turn(limits, now / SECOND - 1));
    let server = run(processes, network, server, 450);
    for change in (0..450).step_by(90) {
        for from in change + 61..=change + 80 {
            // If calls are evenly spaced, ten seconds contain one more or one less.
            let used = server.count(Decision::Accepted, from, from + 10) + 1.0;
            let limit = in_turn(limits, from);
            assert!(used >= 0.90 * 10.0 * f64::from(limit), "{used} calls from {from} on, of {limit} a second");
        }
    }
}

#[rstest]
#[case::down_and_up(|now| in_turn([150, 40, 100, 60, 180], now / SECOND), 0.88)]
#[case::like_a_saw(|now| 40 + u32::try_from(now / SECOND * 3 % 150).expect("small"), 0.87)]
fn a_limit_that_changes_often_is_followed(
    #[case] limit: fn(u64) -> u32,
    #[case] at_least: f64,
    #[values(QUICK, STEADY, JITTERY)] network: Network,
    #[values(1, 8)] processes: usize,
) {
    let server = run(processes, network, Server::new(limit), 450);
    let [accepted, rejected] = [Decision::Accepted, Decision::Rejected].map(|decision| server.count(decision, 30, 450));
    let refused = rejected / (accepted + rejected);
    let allowed: f64 = (30..450).map(|second| f64::from(limit((second + 1) * SECOND))).sum();
    let used = accepted / allowed;
    println!("{used:.4} of what was allowed, {refused:.4} rejected");
    assert!(used >= at_least, "{used:.4} of what was allowed");
    assert!(refused <= 0.03, "{refused:.4} rejected");
}
