//! Requests wait only for requests that share an account with them, and every request is sent eventually.

use std::time::Duration;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::{RequestId, RunId};
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::{Item, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{Action, Event, Schedule, ScheduleTime, ScheduledJob};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::directed::{friend, run_scenario, scenario_with, scheduled_job};
use crate::scenario::{FaultModel, MS, id, request};
use imbulk_fixtures::operations::bound_with;

/// 1000 rows, of which 200 belong to one account. A request has at most `rows_per_request` rows. The order is random.
fn skewed(seed: u64, rows_per_request: usize) -> Vec<Request> {
    let item = |row: u32| Item { account: id(row), row: row.into(), updates: None };
    let rows: Vec<u32> = (0..HOT).collect();
    let hot = rows.chunks(rows_per_request).map(|rows| (id("hot"), rows.iter().map(|row| item(*row)).collect()));
    let others = (HOT..1000).map(|row| (id(format!("a{}", row % 650)), vec![item(row)]));
    let mut all: Vec<(UserId, Vec<Item>)> = hot.chain(others).collect();
    all.shuffle(&mut SmallRng::seed_from_u64(seed));
    all.into_iter().zip(1..).map(|((from, items), id)| request(id, Some(from), items)).collect()
}

const HOT: u32 = 200;

fn is_hot(request: &Request) -> bool {
    request.items[0].row < HOT.into()
}

/// The finishing time of the other accounts with the large account, divided by their finishing time without it. The
/// last of them may have to wait for one more call, but not for more.
fn delay_of_others(seed: u64, rows_per_request: usize, work: Duration) -> f64 {
    let faults = FaultModel { work, ..FaultModel::HEALTHY };
    let all = skewed(seed, rows_per_request);
    let others: Vec<Request> = all.iter().filter(|request| !is_hot(request)).cloned().collect();
    let ids: Vec<RequestId> = others.iter().map(|request| request.id).collect();
    let end_of_others = |requests: Vec<Request>| {
        let mut scenario = scenario_with("friend_delete", 200, requests, faults.clone());
        scenario.seed = seed;
        let settled = run_scenario(&scenario).settled;
        ids.iter().map(|id| settled[id]).max().expect("there are others")
    };
    let (with, without) = (end_of_others(all), end_of_others(others));
    assert!(with <= without.mul_f64(1.03) + work, "seed {seed}, {work:?}: {with:?} instead of {without:?}");
    with.div_duration_f64(without)
}

#[test]
fn an_account_with_a_fifth_of_all_rows_does_not_delay_the_others() {
    const SCENARIOS: u32 = 20;
    let mut delays = [0.0, 0.0];
    for seed in 0..SCENARIOS.into() {
        let mut rng = SmallRng::seed_from_u64(seed);
        delays[0] += delay_of_others(seed, 10, MS * rng.random_range(50..800));
        // With one row per request, the large account needs a fifth of all slots, but only one at a time.
        delays[1] += delay_of_others(seed, 1, MS * 600);
    }
    let usual = delays.map(|sum| sum / f64::from(SCENARIOS));
    println!("the other accounts finish {usual:.3?} times as late");
    assert!(usual.iter().all(|delay| *delay <= 1.03), "{usual:?}");
}

/// Eight accounts with a stream of requests each, and one request that needs all of them.
#[test]
fn a_request_for_several_busy_accounts_is_sent_long_before_their_streams_end() {
    for seed in 0..8 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut requests: Vec<Request> =
            (0..2000).map(|n| friend(n, &format!("h{}", rng.random_range(0..8)))).collect();
        let items = (1..8).map(|n| Item { account: id(format!("h{n}")), row: 10_000 + n, updates: None }).collect();
        requests[400] = request(401, Some(id("h0")), items);
        let mut scenario =
            scenario_with("friend_delete", 200, requests, FaultModel { work: MS * 100, ..FaultModel::HEALTHY });
        scenario.jobs[0].operation = bound_with("friend_delete", "both");
        scenario.seed = seed;
        let report = run_scenario(&scenario);
        let turn = report.sent.iter().position(|(_, id)| id.get() == 401).expect("it was sent");
        // Each of its accounts has about 50 earlier requests, of which some are looked up.
        assert!(turn < 800, "seed {seed}: it was sent as number {turn} of {}", report.sent.len());
    }
}

/// In a chain of friends, the first two accounts are quarantined after a kill. Only requests that name one of them
/// wait.
#[test]
fn after_a_kill_only_requests_with_an_account_that_may_still_be_written_wait() {
    let job = scheduled_job("both", None);
    let operation = job.operation;
    let link = |number: u32| {
        let item = Item { account: id(number + 1), row: number.into(), updates: None };
        request(number.into(), Some(id(number)), vec![item])
    };
    let mut schedule = Schedule::new(vec![job], 1);
    let request = link(1);
    let keys = operation.keys(&request);
    let _ = schedule.handle(ScheduleTime::START, Event::Recovered { job: Some(0), request, keys });
    let actions = schedule.handle(ScheduleTime::START, Event::Page { job: 0, requests: vec![link(2), link(3)] });
    assert!(
        actions.contains(&Action::Commit { change: Change::Intend(vec![RequestId::new(3)]), urgent: true }),
        "{actions:?}"
    );
    let actions = schedule.handle(ScheduleTime::START, Event::Changed(Changed::Reopened(RequestId::new(1))));
    assert!(actions.contains(&Action::ReadParked { job: 0, request: RequestId::new(2) }), "{actions:?}");
}

/// A request of another job waits for two accounts, of which a recovered request still holds one. Its job stops. What
/// writes the held account must still not make requests of other accounts wait.
#[test]
fn an_account_stays_held_by_a_recovered_request_when_a_request_that_waits_for_it_is_given_back() {
    let job = |run| {
        let tally = [(Outcome::Pending, 3)].into_iter().collect();
        ScheduledJob { run: RunId::new(run), tally, ..scheduled_job("both", None) }
    };
    let jobs = vec![job(1), job(2)];
    let operation = jobs[0].operation;
    let link = |number: i64, from: u32, to: u32| {
        let item = Item { account: id(to), row: number.unsigned_abs(), updates: None };
        request(number, Some(id(from)), vec![item])
    };
    let held = 2;
    // A request is parked for the first of its crowded accounts.
    let is_first = |busy: &u32| {
        let first = |request: &Request| operation.keys(request).as_slice().first().copied();
        first(&link(0, *busy, held)) == first(&link(0, *busy, *busy))
    };
    let busy = (100..200).find(is_first).expect("about every second one");
    let mut schedule = Schedule::new(jobs, 1);
    let mut handle = |event| schedule.handle(ScheduleTime::START, event);
    let recovered = link(1, held, 9);
    let keys = operation.keys(&recovered);
    let _ = handle(Event::Recovered { job: Some(0), request: recovered, keys });
    let first = RequestId::new(2);
    let requests = vec![link(2, busy, 20), link(3, busy, 21), link(4, busy, held)];
    let _ = handle(Event::Page { job: 1, requests });
    let _ = handle(Event::Changed(Changed::Intended(vec![first])));
    let _ = handle(Event::Sent(first));
    let result = CallResult::Body(br#"{"ErrorCode":0,"ResultItem":[{"To_Account":"u20","ResultCode":0}]}"#.to_vec());
    let _ = handle(Event::Replied { request: first, result, generation: 0 });
    let actions = handle(Event::Changed(Changed::Recorded { request: first, follow_ups: Vec::new() }));
    let waiting = RequestId::new(4);
    assert!(actions.contains(&Action::ReadParked { job: 1, request: waiting }), "{actions:?}");
    let _ = handle(Event::ParkedRead { job: 1, request: link(4, busy, held) });
    // A fatal code about the operation stops only the job of this request.
    let fatal = RequestId::new(3);
    let _ = handle(Event::Changed(Changed::Intended(vec![fatal])));
    let _ = handle(Event::Sent(fatal));
    let result = CallResult::Body(br#"{"ErrorCode":60017,"ErrorInfo":"disabled"}"#.to_vec());
    let _ = handle(Event::Replied { request: fatal, result, generation: 0 });
    let actions = handle(Event::Page { job: 0, requests: vec![link(5, held, 3), link(6, 3, 4)] });
    let intends = Action::Commit { change: Change::Intend(vec![RequestId::new(6)]), urgent: true };
    assert!(actions.contains(&intends), "request 6 shares no account with a request in flight: {actions:?}");
}
