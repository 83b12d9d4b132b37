//! Minutes of sending in virtual time: the real lanes, pace and ledger file against a network and a server made of
//! arithmetic. All chance comes from a seed.

mod world;

use std::num::NonZeroU32;
use std::path::Path;

use governor::Quota;
use rstest::rstest;

use self::world::{Gate, Naive, Network, SECOND, Server, TIMEOUT, Verdict, World};
use super::lane::Lanes;
use super::ledger::Ledger;
use crate::domain::limit::{Cap, Moment};

const CAP: u32 = 200;
fn cap(calls: u32) -> Cap {
    Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
}

fn lanes(folder: &Path, command_cap: u32) -> Box<dyn Gate> {
    let ledger = Ledger::open(&folder.join("ledger"), TIMEOUT).expect("a ledger");
    let start = Moment::from_nanos(SECOND);
    let mut lanes = Lanes::new(ledger, cap(CAP), start);
    lanes.command("friend_delete", cap(command_cap), start).expect("a section");
    Box::new(lanes)
}

const STEADY: Network = Network { round_trip: (40, 60), stalls: false, lost: 0 };
const JITTERY: Network = Network { round_trip: (50, 150), stalls: false, lost: 0 };
const STALLING: Network = Network { round_trip: (40, 60), stalls: true, lost: 0 };

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
    let server = World::run(vec![lanes(folder.path(), CAP)], network, Server::new(|_| u32::MAX), 60, seed);
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
    let share = server.count(Verdict::Accepted, 0, 60) / 60.0 / f64::from(CAP);
    assert!(share >= bar, "{share:.4} of the cap");
}

#[rstest]
#[case::alike([CAP; 8])]
#[case::with_caps_of_their_own([20, 50, 80, 100, 120, 150, 180, CAP])]
fn eight_processes_stay_below_the_largest_cap_together(#[case] caps: [u32; 8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let gates = caps.map(|cap| lanes(folder.path(), cap)).into();
    let network = Network { stalls: true, lost: 5, ..JITTERY };
    let server = World::run(gates, network, Server::new(|_| u32::MAX), 30, 7);
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
    assert!(server.count(Verdict::Accepted, 0, 30) > 30.0 * 0.7 * f64::from(CAP));
}

#[rstest]
#[case::with_its_usual_burst(Quota::per_second(NonZeroU32::new(CAP).expect("not zero")), STEADY)]
#[case::without_burst(
    Quota::per_second(NonZeroU32::new(CAP).expect("not zero")).allow_burst(NonZeroU32::MIN), STALLING)]
fn a_naive_limiter_breaks_the_cap_so_these_tests_can_see(#[case] quota: Quota, #[case] network: Network) {
    let server = World::run(vec![Box::new(Naive::new(quota))], network, Server::new(|_| u32::MAX), 10, 1);
    assert!(server.fullest_second() > CAP as usize + 20, "only {} in one second", server.fullest_second());
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
    let mut server = Server::new(limit);
    server.strict = strict;
    let server = World::run(vec![lanes(folder.path(), CAP)], network, server, 270, 1);
    let (accepted, rejected) = (server.count(Verdict::Accepted, 30, 270), server.count(Verdict::Rejected, 30, 270));
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
    let server = World::run(vec![lanes(folder.path(), CAP)], STEADY, Server::new(limit), 170, 1);
    // The world's clock begins a second before the counting, so the limit rose at 99.
    let share = server.count(Verdict::Accepted, 159, 169) / 10.0 / f64::from(CAP);
    assert!(share >= 0.95, "{share:.4} of the cap");
    assert!(server.fullest_second() <= CAP as usize, "{} in one second", server.fullest_second());
}

#[test]
fn a_limit_that_changes_often_is_followed() {
    let limit = |now: u64| [150, 40, 100, 60, 180][usize::try_from(now / (90 * SECOND)).expect("small") % 5];
    let folder = tempfile::tempdir().expect("a folder");
    let server = World::run(vec![lanes(folder.path(), CAP)], STEADY, Server::new(limit), 450, 1);
    let (accepted, rejected) = (server.count(Verdict::Accepted, 30, 450), server.count(Verdict::Rejected, 30, 450));
    let refused = rejected / (accepted + rejected);
    assert!(refused <= 0.03, "{refused:.4} rejected");
}
