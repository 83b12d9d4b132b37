//! Nights in which nothing works for a while, or too little.

use imbulk::domain::ids::RequestId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use imbulk::domain::request::Request;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{End, StopReason};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::directed::{friend, lived, night};
use crate::scenario::{Calamity, MS, Scenario, Weather};
use crate::world::Report;

const SECOND: Duration = Duration::from_secs(1);

fn friends(count: u32) -> Vec<Request> {
    (0..count).map(|number| friend(number, &format!("a{number}"))).collect()
}

/// With the delays and attempts that job files have where they say nothing.
fn usual(requests: u32, weather: Weather, outage: Option<Duration>) -> Scenario {
    let mut night = night("friend_delete", 200, friends(requests), weather);
    let job = &mut night.jobs[0];
    job.retry.max_attempts = 8.try_into().expect("not zero");
    job.retry.base_delay = MS * 500;
    job.stop.outage = outage;
    night
}

/// Nothing works for so long at the start.
pub(crate) fn outage(requests: u32, calamity: Calamity, lasts: Duration) -> Scenario {
    usual(requests, Weather { calamity, down: Some(Duration::ZERO..lasts), ..Weather::FAIR }, None)
}

/// The most repetitions that the bucket pays when nothing succeeds.
fn paid(calamity: Calamity) -> usize {
    match calamity {
        Calamity::Refused | Calamity::Silent | Calamity::Gateway | Calamity::Code(31_703 | 60_008) => 500 / 14,
        Calamity::Code(_) => 500 / 5,
    }
}

/// Nothing failed and nothing is left. After a conflict (30008) "already done" proves only a part, so it is in doubt.
fn all_done(report: &Report, calamity: Calamity) -> bool {
    let follow_up = |outcome: &Outcome| *outcome == Outcome::InDoubt && calamity == Calamity::Code(30_008);
    report.rows.keys().all(|outcome| matches!(outcome, Outcome::Succeeded | Outcome::AlreadyDone) || follow_up(outcome))
}

/// Calls before then, and of how many requests.
fn calls_before(report: &Report, end: Duration) -> (usize, usize) {
    let calls = report.sent.iter().take_while(|(at, _)| *at < end);
    let requests: BTreeSet<_> = calls.clone().map(|(_, id)| *id).collect();
    (calls.count(), requests.len())
}

#[test]
fn when_every_call_fails_few_are_sent_again_and_afterwards_every_row_is_done() {
    for (seed, calamity) in (0..70).zip(Calamity::ALL.into_iter().cycle()) {
        let mut dice = SmallRng::seed_from_u64(seed);
        let requests = dice.random_range(360..1500);
        let down = SECOND * dice.random_range(10..1000);
        let weather = Weather { calamity, down: Some(Duration::ZERO..down), ..Weather::FAIR };
        let report = lived(&Scenario { seed, ..usual(requests, weather, None) });
        let (calls, firsts) = calls_before(&report, down);
        // After 1, 2 and 4 s, then every 5 s.
        let probes = 3 + usize::try_from(down.as_secs() / 5).expect("few");
        let most = firsts + paid(calamity) + probes;
        assert!(calls <= most, "seed {seed}, {calamity:?}: {calls} calls of {firsts} requests, {down:?}");
        assert!(all_done(&report, calamity), "seed {seed}, {calamity:?}: {:?}", report.rows);
        assert_eq!(report.ends.len(), 1, "seed {seed}, {calamity:?}: it went on by itself");
        let afterwards = report.took.saturating_sub(down);
        assert!(afterwards < SECOND * 150, "seed {seed}, {calamity:?}: {afterwards:?} for {requests} requests");
    }
}

#[test]
fn an_outage_in_the_middle_fails_nothing_either() {
    for (seed, calamity) in (0..35).zip(Calamity::ALL.into_iter().cycle()) {
        let mut dice = SmallRng::seed_from_u64(seed);
        let begins = MS * dice.random_range(500..4_000);
        let down = begins..begins + SECOND * dice.random_range(10..5_000);
        let weather = Weather { calamity, down: Some(down.clone()), ..Weather::FAIR };
        let report = lived(&Scenario { seed, ..usual(1000, weather, None) });
        assert!(all_done(&report, calamity), "seed {seed}, {calamity:?}, {down:?}: {:?}", report.rows);
    }
}

#[test]
fn however_long_an_outage_lasts_no_item_uses_up_its_attempts_in_it() {
    for (seed, calamity) in (0..14).zip(Calamity::ALL.into_iter().cycle()) {
        let lasts = SECOND * SmallRng::seed_from_u64(seed).random_range(3_000..8_000);
        let report = lived(&Scenario { seed, ..outage(60, calamity, lasts) });
        assert!(
            report.sent.len() > 60 * 8,
            "seed {seed}, {calamity:?}: {} calls would not have done it",
            report.sent.len()
        );
        assert!(all_done(&report, calamity), "seed {seed}, {calamity:?}: {:?}", report.rows);
    }
}

#[test]
fn a_run_halts_when_nothing_has_worked_for_as_long_as_its_job_says() {
    for (seed, calamity) in (0..35).zip(Calamity::ALL.into_iter().cycle()) {
        let patience = SECOND * SmallRng::seed_from_u64(seed).random_range(1..300);
        // To a fifth or 5 s, once the first failure is known: a call may be under way for 8 s before it fails. The server works
        // for the first second.
        let most = SECOND + (patience / 5).max(SECOND * 5) + (SECOND * 8).saturating_sub(patience);
        let weather = Weather { calamity, down: Some(SECOND..patience + most), ..Weather::FAIR };
        let report = lived(&Scenario { seed, ..usual(1000, weather, Some(patience)) });
        let Some((at, End::Stopped(StopReason::Outage(outage)))) = report.ends.first() else {
            panic!("seed {seed}, {calamity:?}: {:?}", report.ends.first());
        };
        assert!(
            outage.lasts >= patience && (outage.probes > 0 || patience < SECOND * 20),
            "seed {seed}, {calamity:?}: {outage:?}"
        );
        assert!(*at < patience + most, "seed {seed}, {calamity:?}: {at:?}, {outage:?}");
        assert!(all_done(&report, calamity), "seed {seed}, {calamity:?}: {:?}", report.rows);
    }
}

#[test]
fn of_several_jobs_the_least_patient_one_with_work_left_decides() {
    let weather = Weather { down: Some(SECOND * 3..SECOND * 2_000), ..Weather::FAIR };
    let mut both = usual(100, weather.clone(), Some(SECOND * 20));
    let patient = usual(2_000, weather, Some(SECOND * 200));
    let mut patient = patient.jobs.into_iter().next().expect("a job");
    patient.requests.iter_mut().for_each(|request| request.id = RequestId::new(request.id.get() + 100));
    both.jobs.push(patient.clone());
    let halts = |night: &Scenario| match lived(night).ends.first() {
        Some((at, End::Stopped(StopReason::Outage(_)))) => *at,
        other => panic!("{other:?}"),
    };
    assert!(halts(&both) > SECOND * 200, "the impatient one was done before");
    both.jobs[0].requests = friends(100)
        .into_iter()
        .map(|request| Request { id: RequestId::new(request.id.get() + 5_000), ..request })
        .collect();
    both.jobs[0].rate = 1;
    assert!(halts(&both) < SECOND * 60, "the impatient one has work left");
}

/// Means of how long a night takes, over some seeds.
fn mean(requests: u32, bad_calls: u32) -> Duration {
    let seeds = 4;
    let weather = Weather { bad_calls, code: Some(70_500), ..Weather::FAIR };
    let took = |seed| lived(&Scenario { seed, ..usual(requests, weather.clone(), None) }).took;
    (0..seeds).map(took).sum::<Duration>() / u32::try_from(seeds).expect("few")
}

#[test]
fn moderate_faults_do_not_slow_a_run_and_a_third_of_all_calls_lets_it_go_on() {
    // At 200 calls a second; the delays of the last items come on top.
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
fn items_that_always_fail_end_as_failed_where_others_work() {
    for seed in 0..10 {
        let weather = Weather { poisoned: Some(20), ..Weather::FAIR };
        let report = lived(&Scenario { seed, ..usual(2_000, weather, Some(SECOND * 120)) });
        let wanted = BTreeMap::from([(Outcome::Failed, 100)]);
        let failed: BTreeMap<_, _> =
            report.rows.clone().into_iter().filter(|(outcome, _)| wanted.contains_key(outcome)).collect();
        assert_eq!(failed, wanted, "seed {seed}");
        assert_eq!(report.ends.len(), 1, "seed {seed}: {:?}", report.ends);
        assert!(report.took < SECOND * 400, "seed {seed}: {:?}", report.took);
    }
}
