//! Scenarios that each answer one question.

use std::num::NonZeroU32;
use std::time::Duration;

use imbulk::domain::ids::RunId;
use imbulk::domain::job::{Retry, Stop};
use imbulk::domain::operation::Preparations;
use imbulk::domain::request::{Item, Request};
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::ScheduledJob;

use crate::scenario::{FaultModel, Job, MS, Scenario, id, request};
use crate::scheduler_under_test::real_scheduler;
use crate::world::{Report, simulate};
use imbulk_fixtures::operations::{bound, bound_with};

pub(crate) fn scenario_with(operation: &str, rate: u32, requests: Vec<Request>, faults: FaultModel) -> Scenario {
    let retry = Retry {
        max_attempts: NonZeroU32::new(3).expect("not zero"),
        base_delay: Duration::from_mins(1),
        max_delay: Duration::from_mins(1),
    };
    let job = Job {
        app: 0,
        operation: bound(operation),
        preparations: Preparations::default(),
        retry,
        width: None,
        stop: Stop { failed_share: 1.0, after_items: u64::MAX, outage: None },
        canary: 0,
        max_already_done: None,
        rate,
        requests,
    };
    Scenario { jobs: vec![job], faults, interruptions: Vec::new(), pauses: Vec::new(), healthy_app: None, seed: 1 }
}

/// A friend_delete job at 200 calls per second, for tests that call the schedule directly.
pub(crate) fn scheduled_job(sides: &str, max_in_flight: Option<usize>) -> ScheduledJob {
    let job = &scenario_with("friend_delete", 200, Vec::new(), FaultModel::HEALTHY).jobs[0];
    ScheduledJob {
        priority: 0,
        sdkappid: None,
        run: RunId::new(1),
        operation: bound_with("friend_delete", sides),
        preparations: Preparations::default(),
        calls_per_second: NonZeroU32::new(200).expect("a rate"),
        retry: job.retry,
        max_in_flight,
        stop: job.stop,
        max_already_done: None,
        canary: 0,
        ended_items: 0,
        tally: Tally::default(),
    }
}

pub(crate) fn run_scenario(scenario: &Scenario) -> Report {
    simulate(scenario, &real_scheduler).unwrap_or_else(|violation| panic!("{violation}"))
}

/// One friend of an account.
pub(crate) fn friend(number: u32, from: &str) -> Request {
    let item = Item { account: id(number), row: u64::from(number), updates: None };
    request(i64::from(number) + 1, Some(id(from)), vec![item])
}

/// A scenario with one account per request. Most calls get a transient error, and the backoff is one minute.
pub(crate) fn crowd(requests: u32) -> Scenario {
    let item = |number| Item { account: id(number), row: u64::from(number), updates: None };
    let requests = (0..requests).map(|number| request(i64::from(number) + 1, None, vec![item(number)])).collect();
    let faults = FaultModel { bad_calls: 900, code: Some(70_500), work: MS * 5, ..FaultModel::HEALTHY };
    scenario_with("account_delete", 5_000, requests, faults)
}

#[test]
fn memory_is_bounded_when_nearly_everything_backs_off() {
    let report = run_scenario(&crowd(12_000));
    assert!(report.most_in_memory > 8_000, "only {} requests were in memory at once", report.most_in_memory);
}

#[test]
fn many_accounts_in_conflict_do_not_keep_the_others_out_of_memory() {
    let pairs = (0..2000).map(|number| friend(number, &format!("a{}", number / 2)));
    let others = (2000..3000).map(|number| friend(number, &format!("b{number}")));
    let faults = FaultModel { bad_calls: 400, code: Some(30_008), ..FaultModel::HEALTHY };
    let report = run_scenario(&scenario_with("friend_delete", 200, pairs.chain(others).collect(), faults));
    assert!(report.bounds_checked >= 2000, "{} groups", report.bounds_checked);
}

/// The duration of `calls` calls that share no account, if reading a page takes `read`.
fn time_of_calls(calls: u32, read: Duration) -> Duration {
    let requests = (0..calls).map(|number| friend(number, &format!("a{number}"))).collect();
    run_scenario(&scenario_with("friend_delete", 200, requests, FaultModel { read, ..FaultModel::HEALTHY })).took
}

#[test]
fn a_page_that_takes_two_fifths_of_a_second_to_be_read_holds_up_no_call() {
    let [usual, slow, slower] = [2, 400, 1500].map(|read| time_of_calls(4000, MS * read));
    println!("4000 calls took {usual:.1?}, {slow:.1?}, {slower:.1?}");
    // The run has to wait for the first page in any case.
    assert!(slow <= usual.mul_f64(1.01) + MS * 400, "{slow:?} instead of {usual:?}");
    assert!(slower > usual.mul_f64(1.5), "the scenarios do not show the time for reading a page: {slower:?}");
}
