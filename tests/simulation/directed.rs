//! Nights that are made for one question.

use std::num::NonZeroU32;
use std::time::Duration;

use imbulk::domain::ids::RunId;
use imbulk::domain::job::{Retry, Stop};
use imbulk::domain::request::{Item, Request};
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::JobPlan;

use crate::scenario::{Job, MS, Scenario, Weather, bound, id, request};
use crate::scheduler_under_test::honest;
use crate::world::{Report, live};

pub(crate) fn night(operation: &str, rate: u32, requests: Vec<Request>, weather: Weather) -> Scenario {
    let retry = Retry {
        max_attempts: NonZeroU32::new(3).expect("not zero"),
        base_delay: Duration::from_mins(1),
        max_delay: Duration::from_mins(1),
    };
    let job = Job {
        operation: bound(operation, "single"),
        retry,
        width: None,
        stop: Stop { failed_share: 1.0, after_items: u64::MAX, outage: None, until: None },
        canary: 0,
        max_already_done: None,
        rate,
        requests,
    };
    Scenario { jobs: vec![job], weather, fortunes: Vec::new(), seed: 1 }
}

/// The plan of a friend_delete at 200 calls a second, for those who speak to the schedule themselves.
pub(crate) fn plan(delete_type: &str, max_in_flight: Option<usize>) -> JobPlan {
    let job = &night("friend_delete", 200, Vec::new(), Weather::FAIR).jobs[0];
    JobPlan {
        run: RunId::new(1),
        operation: bound("friend_delete", delete_type),
        calls_per_second: NonZeroU32::new(200).expect("a rate"),
        retry: job.retry,
        max_in_flight,
        stop: job.stop,
        max_already_done: None,
        canary: 0,
        tally: Tally::default(),
    }
}

pub(crate) fn lived(night: &Scenario) -> Report {
    live(night, &honest).unwrap_or_else(|violation| panic!("{violation}"))
}

/// One friend of an account.
pub(crate) fn friend(number: u32, from: &str) -> Request {
    let item = Item { account: id(number), row: u64::from(number), updates: None };
    request(i64::from(number) + 1, Some(id(from)), vec![item])
}

/// So many accounts, each in a request of its own, most of them answered by an error that passes in a minute.
pub(crate) fn crowd(requests: u32) -> Scenario {
    let item = |number| Item { account: id(number), row: u64::from(number), updates: None };
    let requests = (0..requests).map(|number| request(i64::from(number) + 1, None, vec![item(number)])).collect();
    let weather = Weather { bad_calls: 900, code: Some(70_500), work: MS * 5, ..Weather::FAIR };
    night("account_delete", 5_000, requests, weather)
}

#[test]
fn memory_is_bounded_when_nearly_everything_backs_off() {
    let report = lived(&crowd(12_000));
    assert!(report.most_in_memory > 8_000, "only {} requests were in memory at once", report.most_in_memory);
}

#[test]
fn many_accounts_in_conflict_do_not_keep_the_others_out_of_memory() {
    let pairs = (0..2000).map(|number| friend(number, &format!("a{}", number / 2)));
    let others = (2000..3000).map(|number| friend(number, &format!("b{number}")));
    let weather = Weather { bad_calls: 400, code: Some(30_008), ..Weather::FAIR };
    let report = lived(&night("friend_delete", 200, pairs.chain(others).collect(), weather));
    assert!(report.bounds_checked >= 2000, "{} groups", report.bounds_checked);
}

/// How long so many calls take that share no account, where a page of them takes so long to be read.
fn time_of_calls(calls: u32, read: Duration) -> Duration {
    let requests = (0..calls).map(|number| friend(number, &format!("a{number}"))).collect();
    lived(&night("friend_delete", 200, requests, Weather { read, ..Weather::FAIR })).took
}

#[test]
fn a_page_that_takes_two_fifths_of_a_second_to_be_read_holds_up_no_call() {
    let [usual, slow, slower] = [2, 400, 1500].map(|read| time_of_calls(4000, MS * read));
    println!("4000 calls took {usual:.1?}, {slow:.1?}, {slower:.1?}");
    // The first page is waited for in any case.
    assert!(slow <= usual.mul_f64(1.01) + MS * 400, "{slow:?} in place of {usual:?}");
    assert!(slower > usual.mul_f64(1.5), "the nights do not show what is waited for: {slower:?}");
}
