//! Scenarios with jobs of two apps.

use std::time::Duration;

use imbulk::domain::request::Request;
use imbulk::domain::schedule::{End, StopReason};

use crate::directed::{friend, run_scenario, scenario_with};
use crate::scenario::{FaultModel, OutageKind, Scenario};
use crate::world::Report;

const SECOND: Duration = Duration::from_secs(1);

/// The same calls in each of these apps, at 200 calls per second each.
fn in_apps(apps: &[usize], from: impl Fn(u32) -> String, faults: FaultModel) -> Scenario {
    let requests = |first: u32| (0..400).map(|n| friend(first + n, &from(n))).collect::<Vec<Request>>();
    let mut scenario = scenario_with("friend_delete", 200, requests(0), faults);
    let job = scenario.jobs[0].clone();
    let of_app = |(at, app): (usize, &usize)| {
        let first = u32::try_from(at).expect("few jobs") * 1000;
        crate::scenario::Job { app: *app, requests: requests(first), ..job.clone() }
    };
    scenario.jobs = apps.iter().enumerate().map(of_app).collect();
    scenario
}

fn each_its_own(n: u32) -> String {
    format!("a{n}")
}

/// How the jobs of the first session ended.
fn first_ends(report: &Report) -> (&End, &End) {
    (&report.ends[0].1, &report.ends[1].1)
}

#[test]
fn the_same_account_in_two_apps_is_two_accounts() {
    let hot = |_: u32| "hot".to_owned();
    let took = |apps: &[usize]| run_scenario(&in_apps(apps, hot, FaultModel::HEALTHY)).took;
    let (alone, in_two_apps, in_one_app) = (took(&[0]), took(&[0, 1]), took(&[0, 0]));
    println!("{alone:.1?} alone, {in_two_apps:.1?} in two apps, {in_one_app:.1?} in one app");
    assert!(in_two_apps < alone.mul_f64(1.2), "the apps waited for each other: {in_two_apps:?}");
    assert!(in_one_app > alone.mul_f64(1.8), "the scenario does not show that calls wait: {in_one_app:?}");
}

#[test]
fn a_code_that_is_fatal_for_one_app_leaves_the_jobs_of_the_other_to_complete() {
    let faults = FaultModel { bad_calls: 20, code: Some(60_010), ..FaultModel::HEALTHY };
    let scenario = Scenario { healthy_app: Some(1), ..in_apps(&[0, 1], each_its_own, faults) };
    let report = run_scenario(&scenario);
    let (failing, working) = first_ends(&report);
    assert!(matches!(failing, End::Stopped(StopReason::Fatal { code: Some(60_010), .. })), "{failing:?}");
    assert_eq!(working, &End::Complete);
}

#[test]
fn an_outage_of_one_app_stops_its_jobs_and_delays_no_call_of_the_other() {
    for outage_kind in OutageKind::ALL {
        let faults = FaultModel { outage_kind, down: Some(Duration::ZERO..SECOND * 100), ..FaultModel::HEALTHY };
        let mut scenario = Scenario { healthy_app: Some(1), ..in_apps(&[0, 1], each_its_own, faults) };
        scenario.jobs.iter_mut().for_each(|job| job.stop.outage = Some(SECOND * 20));
        let report = run_scenario(&scenario);
        let (failing, working) = first_ends(&report);
        assert!(matches!(failing, End::Stopped(StopReason::Outage(_))), "{outage_kind:?}: {failing:?}");
        assert_eq!(working, &End::Complete, "{outage_kind:?}");
        let of_second_job = report.sent.iter().filter(|(_, id)| id.get() > 1000);
        let last = of_second_job.map(|(at, _)| *at).max().expect("it was sent");
        assert!(last < SECOND * 3, "{outage_kind:?}: the last of 400 calls was sent after {last:?}");
    }
}
