//! A server whose limit is lower than ours, or changes: found, used, and not touched too often.

use rstest::rstest;

use super::server::{Server, Verdict};
use super::world::{Network, SECOND, World};
use super::{CAP, JITTERY, QUICK, STEADY, steady_peer};

fn run(processes: usize, network: Network, server: Server, seconds: u64) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = (0..processes).map(|_| steady_peer(folder.path(), CAP)).collect();
    World::run(peers, network, server, seconds, 1)
}

/// The share of the limit that was used from the 30th second on, and the share of calls that were rejected.
#[track_caller]
fn assert_found(server: &Server, limit: u32, until: u64, used_at_least: f64) {
    let [accepted, rejected] = [Verdict::Accepted, Verdict::Rejected].map(|verdict| server.count(verdict, 30, until));
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

/// Longer and less even round trips cost here what they cost of the cap.
#[rstest]
#[case::of_50_ms(STEADY, 0.90)]
#[case::of_100_ms_jittery(JITTERY, 0.84)]
fn a_lower_limit_is_used_over_longer_round_trips(
    #[case] network: Network,
    #[case] at_least: f64,
    #[values(8, 20, 60, 190)] limit: u32,
    #[values(1, 4)] processes: usize,
) {
    assert_found(&run(processes, network, Server::new(move |_| limit), 150), limit, 150, at_least);
}

#[rstest]
#[case::from_60(|now| if now < 100 * SECOND { 60 } else { u32::MAX })]
#[case::from_8(|now| if now < 100 * SECOND { 8 } else { u32::MAX })]
#[case::from_nothing(|now| if now < 100 * SECOND { 0 } else { u32::MAX })]
fn after_the_limit_rises_the_cap_is_used_within_a_minute(
    #[case] limit: fn(u64) -> u32,
    #[values(1, 8)] processes: usize,
) {
    let server = run(processes, STEADY, Server::new(limit), 170);
    // The world's clock begins a second before the counting, so the limit rose at 99.
    let share = server.count(Verdict::Accepted, 159, 169) / 10.0 / f64::from(CAP);
    assert!(share >= 0.95, "{share:.4} of the cap");
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
}

#[rstest]
#[case::down_and_up(|now| [150, 40, 100, 60, 180][usize::try_from(now / (90 * SECOND)).expect("small") % 5])]
#[case::like_a_saw(|now| 40 + u32::try_from(now / SECOND * 3 % 150).expect("small"))]
fn a_limit_that_changes_often_is_followed(#[case] limit: fn(u64) -> u32, #[values(1, 8)] processes: usize) {
    let server = run(processes, STEADY, Server::new(limit), 450);
    let [accepted, rejected] = [Verdict::Accepted, Verdict::Rejected].map(|verdict| server.count(verdict, 30, 450));
    let refused = rejected / (accepted + rejected);
    let allowed: f64 = (30..450).map(|second| f64::from(limit((second + 1) * SECOND))).sum();
    println!("{:.4} of what was allowed, {refused:.4} rejected", accepted / allowed);
    assert!(refused <= 0.03, "{refused:.4} rejected");
}
