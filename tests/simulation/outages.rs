//! Scenarios with outages and with high rates of failures.

use imbulk::domain::ids::RequestId;
use std::collections::BTreeSet;
use std::time::Duration;

use imbulk::domain::request::Request;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{End, StopReason};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::directed::{friend, run_scenario, scenario_with};
use crate::scenario::{FaultModel, MS, OutageKind, Pause, Scenario};
use crate::world::Report;

const SECOND: Duration = Duration::from_secs(1);

fn friends(count: u32) -> Vec<Request> {
    (0..count).map(|number| friend(number, &format!("a{number}"))).collect()
}

/// A scenario with the default delays and attempts of a job file.
fn usual(requests: u32, faults: FaultModel, outage: Option<Duration>) -> Scenario {
    let mut scenario = scenario_with("friend_delete", 200, friends(requests), faults);
    let job = &mut scenario.jobs[0];
    job.retry.max_attempts = 8.try_into().expect("not zero");
    job.retry.base_delay = MS * 500;
    job.stop.outage = outage;
    scenario
}

/// Every call fails for this duration at the start.
pub(crate) fn outage(requests: u32, outage_kind: OutageKind, lasts: Duration) -> Scenario {
    usual(requests, FaultModel { outage_kind, down: Some(Duration::ZERO..lasts), ..FaultModel::HEALTHY }, None)
}

/// The most retries that the bucket pays for while nothing succeeds.
fn paid(outage_kind: OutageKind) -> usize {
    match outage_kind {
        OutageKind::Refused | OutageKind::Silent | OutageKind::Gateway | OutageKind::Code(31_703 | 60_008) => 500 / 14,
        OutageKind::Code(_) => 500 / 5,
    }
}

/// No item failed and none is left. After a conflict (30008), `already done` proves only a part, so the item is in
/// doubt.
fn all_done(report: &Report, outage_kind: OutageKind) -> bool {
    let follow_up = |outcome: &Outcome| *outcome == Outcome::InDoubt && outage_kind == OutageKind::Code(30_008);
    report.rows.keys().all(|outcome| matches!(outcome, Outcome::Succeeded | Outcome::AlreadyDone) || follow_up(outcome))
}

/// The number of calls before this time, and the number of their requests.
fn calls_before(report: &Report, end: Duration) -> (usize, usize) {
    let calls = report.sent.iter().take_while(|(at, _)| *at < end);
    let requests: BTreeSet<_> = calls.clone().map(|(_, id)| *id).collect();
    (calls.count(), requests.len())
}

#[test]
fn in_an_outage_few_calls_are_retried_and_afterwards_every_row_is_done() {
    for (seed, outage_kind) in (0..70).zip(OutageKind::ALL.into_iter().cycle()) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let requests = rng.random_range(360..1500);
        let down = SECOND * rng.random_range(10..1000);
        let faults = FaultModel { outage_kind, down: Some(Duration::ZERO..down), ..FaultModel::HEALTHY };
        let report = run_scenario(&Scenario { seed, ..usual(requests, faults, None) });
        let (calls, firsts) = calls_before(&report, down);
        // After 1, 2 and 4 s, then every 5 s.
        let probes = 3 + usize::try_from(down.as_secs() / 5).expect("few");
        let most = firsts + paid(outage_kind) + probes;
        assert!(calls <= most, "seed {seed}, {outage_kind:?}: {calls} calls of {firsts} requests, {down:?}");
        assert!(all_done(&report, outage_kind), "seed {seed}, {outage_kind:?}: {:?}", report.rows);
        assert_eq!(report.ends.len(), 1, "seed {seed}, {outage_kind:?}: it continued without a restart");
        let afterwards = report.took.saturating_sub(down);
        assert!(afterwards < SECOND * 150, "seed {seed}, {outage_kind:?}: {afterwards:?} for {requests} requests");
    }
}

#[test]
fn an_outage_in_the_middle_fails_nothing_either() {
    for (seed, outage_kind) in (0..35).zip(OutageKind::ALL.into_iter().cycle()) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let begins = MS * rng.random_range(500..4_000);
        let down = begins..begins + SECOND * rng.random_range(10..5_000);
        let faults = FaultModel { outage_kind, down: Some(down.clone()), ..FaultModel::HEALTHY };
        let report = run_scenario(&Scenario { seed, ..usual(1000, faults, None) });
        assert!(all_done(&report, outage_kind), "seed {seed}, {outage_kind:?}, {down:?}: {:?}", report.rows);
    }
}

#[test]
fn no_item_uses_up_its_attempts_in_a_long_outage() {
    for (seed, outage_kind) in (0..14).zip(OutageKind::ALL.into_iter().cycle()) {
        let lasts = SECOND * SmallRng::seed_from_u64(seed).random_range(3_000..8_000);
        let report = run_scenario(&Scenario { seed, ..outage(60, outage_kind, lasts) });
        assert!(
            report.sent.len() > 60 * 8,
            "seed {seed}, {outage_kind:?}: {} calls are too few to use up the attempts",
            report.sent.len()
        );
        assert!(all_done(&report, outage_kind), "seed {seed}, {outage_kind:?}: {:?}", report.rows);
    }
}

#[test]
fn a_run_halts_when_no_call_has_succeeded_for_stop_outage() {
    for (seed, outage_kind) in (0..35).zip(OutageKind::ALL.into_iter().cycle()) {
        let patience = SECOND * SmallRng::seed_from_u64(seed).random_range(1..300);
        // The run halts with a tolerance of a fifth or 5 s, once the first failure is known. A call may take 8 s before
        // it fails. The server works for the first second.
        let most = SECOND + (patience / 5).max(SECOND * 5) + (SECOND * 8).saturating_sub(patience);
        let faults = FaultModel { outage_kind, down: Some(SECOND..patience + most), ..FaultModel::HEALTHY };
        let report = run_scenario(&Scenario { seed, ..usual(1000, faults, Some(patience)) });
        let Some((at, End::Stopped(StopReason::Outage(outage)))) = report.ends.first() else {
            panic!("seed {seed}, {outage_kind:?}: {:?}", report.ends.first());
        };
        assert!(
            outage.lasts >= patience && (outage.probes > 0 || patience < SECOND * 20),
            "seed {seed}, {outage_kind:?}: {outage:?}"
        );
        assert!(*at < patience + most, "seed {seed}, {outage_kind:?}: {at:?}, {outage:?}");
        assert!(all_done(&report, outage_kind), "seed {seed}, {outage_kind:?}: {:?}", report.rows);
    }
}

#[test]
fn of_several_jobs_the_one_with_the_shortest_limit_and_requests_left_decides() {
    let faults = FaultModel { down: Some(SECOND * 3..SECOND * 2_000), ..FaultModel::HEALTHY };
    let mut both = usual(100, faults.clone(), Some(SECOND * 20));
    let patient = usual(2_000, faults, Some(SECOND * 200));
    let mut patient = patient.jobs.into_iter().next().expect("a job");
    patient.requests.iter_mut().for_each(|request| request.id = RequestId::new(request.id.get() + 100));
    both.jobs.push(patient.clone());
    let halts = |scenario: &Scenario| match run_scenario(scenario).ends.first() {
        Some((at, End::Stopped(StopReason::Outage(_)))) => *at,
        other => panic!("{other:?}"),
    };
    assert!(halts(&both) > SECOND * 200, "the job with the shorter limit was complete");
    both.jobs[0].requests = friends(100)
        .into_iter()
        .map(|request| Request { id: RequestId::new(request.id.get() + 5_000), ..request })
        .collect();
    both.jobs[0].rate = 1;
    assert!(halts(&both) < SECOND * 60, "the job with the shorter limit has requests left");
}

/// The mean duration of a scenario over several seeds.
fn mean(requests: u32, bad_calls: u32) -> Duration {
    let seeds = 4;
    let faults = FaultModel { bad_calls, code: Some(70_500), ..FaultModel::HEALTHY };
    let took = |seed| run_scenario(&Scenario { seed, ..usual(requests, faults.clone(), None) }).took;
    (0..seeds).map(took).sum::<Duration>() / u32::try_from(seeds).expect("few")
}

#[test]
fn moderate_faults_do_not_slow_a_run_and_it_continues_if_a_third_of_all_calls_fail() {
    // At 200 calls per second, plus the delays of the last items.
    let tail = SECOND * 15;
    for (share, slower) in [(50, 1.1), (100, 1.1), (333, 2.5)] {
        let took = mean(2_000, share);
        let calls = 2_000.0 / (1.0 - f64::from(share) / 1000.0);
        let ideal = SECOND.mul_f64(calls / 200.0);
        println!("{share} of 1000 calls fail: {took:?}, without delays {ideal:?}");
        assert!(took <= ideal.mul_f64(slower) + tail, "{share} of 1000: {took:?} instead of {ideal:?}");
    }
}

#[test]
fn items_that_always_fail_end_as_failed_while_others_succeed() {
    for seed in 0..10 {
        let faults = FaultModel { poisoned: Some(20), ..FaultModel::HEALTHY };
        let report = run_scenario(&Scenario { seed, ..usual(2_000, faults, Some(SECOND * 120)) });
        // Lookups show which of them are in the requested state nevertheless.
        assert!(report.rows[&Outcome::Failed] > 70, "seed {seed}: {:?}", report.rows);
        assert_eq!(report.settled_by_lookups.values().sum::<u64>(), 100, "seed {seed}");
        assert_eq!(report.ends.len(), 1, "seed {seed}: {:?}", report.ends);
        assert!(report.took < SECOND * 400, "seed {seed}: {:?}", report.took);
    }
}

/// Calls fail for ten seconds in addition to the pause, and the limit is one minute.
#[test]
fn the_time_of_a_pause_does_not_count_for_the_limit_on_outages() {
    for (seed, outage_kind) in (0..7).zip(OutageKind::ALL) {
        let down = Some(Duration::ZERO..SECOND * 110);
        let faults = FaultModel { outage_kind, down, ..FaultModel::HEALTHY };
        let pauses = vec![Pause { session: 1, after: 60, job: 0, lasts: SECOND * 100 }];
        let report = run_scenario(&Scenario { pauses, seed, ..usual(400, faults, Some(SECOND * 60)) });
        assert_eq!(report.ends.len(), 1, "{outage_kind:?}: {:?}", report.ends);
        assert!(all_done(&report, outage_kind), "{outage_kind:?}: {:?}", report.rows);
    }
}
