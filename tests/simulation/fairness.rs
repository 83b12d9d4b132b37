//! Nobody waits for what does not concern it, and everybody gets a turn.

use std::time::Duration;

use imbulk::domain::account::UserId;
use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::{Item, Request};
use imbulk::domain::schedule::{Command, Event, Schedule};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::directed::{friend, lived, night, plan};
use crate::scenario::{MS, Weather, bound, id, request};

/// 1000 rows, 200 of them of one account, up to so many in a request. Requests stand in any order.
fn skewed(seed: u64, rows_a_request: usize) -> Vec<Request> {
    let item = |row: u32| Item { account: id(row), row: row.into(), updates: None };
    let rows: Vec<u32> = (0..HOT).collect();
    let hot = rows.chunks(rows_a_request).map(|rows| (id("hot"), rows.iter().map(|row| item(*row)).collect()));
    let others = (HOT..1000).map(|row| (id(format!("a{}", row % 650)), vec![item(row)]));
    let mut all: Vec<(UserId, Vec<Item>)> = hot.chain(others).collect();
    all.shuffle(&mut SmallRng::seed_from_u64(seed));
    all.into_iter().zip(1..).map(|((from, items), id)| request(id, Some(from), items)).collect()
}

const HOT: u32 = 200;

fn is_hot(request: &Request) -> bool {
    request.items[0].row < HOT.into()
}

/// The others' end with the account that has a fifth of all rows, over that without it. The last of them may have to wait for one more
/// call, by chance; none waits for more.
fn delay_of_others(seed: u64, rows_a_request: usize, work: Duration) -> f64 {
    let weather = Weather { work, ..Weather::FAIR };
    let all = skewed(seed, rows_a_request);
    let others: Vec<Request> = all.iter().filter(|request| !is_hot(request)).cloned().collect();
    let ids: Vec<RequestId> = others.iter().map(|request| request.id).collect();
    let end_of_others = |requests: Vec<Request>| {
        let mut night = night("friend_delete", 200, requests, weather.clone());
        night.seed = seed;
        let settled = lived(&night).settled;
        ids.iter().map(|id| settled[id]).max().expect("there are others")
    };
    let (with, without) = (end_of_others(all), end_of_others(others));
    assert!(with <= without.mul_f64(1.03) + work, "seed {seed}, {work:?}: {with:?} instead of {without:?}");
    with.div_duration_f64(without)
}

#[test]
fn an_account_with_a_fifth_of_all_rows_does_not_delay_the_others() {
    const NIGHTS: u32 = 20;
    let mut delays = [0.0, 0.0];
    for seed in 0..NIGHTS.into() {
        let mut dice = SmallRng::seed_from_u64(seed);
        delays[0] += delay_of_others(seed, 10, MS * dice.random_range(50..800));
        // One by one it sends a fifth of all calls, which takes slots: but only one of them at a time.
        delays[1] += delay_of_others(seed, 1, MS * 600);
    }
    let usual = delays.map(|sum| sum / f64::from(NIGHTS));
    println!("the others end {usual:.3?} times as late");
    assert!(usual.iter().all(|delay| *delay <= 1.03), "{usual:?}");
}

/// Eight accounts with a stream of requests each, and one request that needs all of them.
#[test]
fn a_set_of_busy_accounts_gets_its_turn_long_before_the_streams_end() {
    for seed in 0..8 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut requests: Vec<Request> =
            (0..2000).map(|n| friend(n, &format!("h{}", dice.random_range(0..8)))).collect();
        let items = (1..8).map(|n| Item { account: id(format!("h{n}")), row: 10_000 + n, updates: None }).collect();
        requests[400] = request(401, Some(id("h0")), items);
        let mut night = night("friend_delete", 200, requests, Weather { work: MS * 100, ..Weather::FAIR });
        night.jobs[0].operation = bound("friend_delete", "both");
        night.seed = seed;
        let report = lived(&night);
        let turn = report.sent.iter().position(|(_, id)| id.get() == 401).expect("it was sent");
        // Each of its accounts has some 50 requests that came before it.
        assert!(turn < 600, "seed {seed}: it went out as number {turn} of {}", report.sent.len());
    }
}

/// Of a chain of friends the first two are quarantined after a kill: whoever needs one of them waits, and keeps nobody else.
#[test]
fn after_a_kill_only_those_wait_who_name_an_account_that_may_still_be_written() {
    let plan = plan("both", None);
    let operation = plan.operation;
    let link = |number: u32| {
        let item = Item { account: id(number + 1), row: number.into(), updates: None };
        request(number.into(), Some(id(number)), vec![item])
    };
    let mut schedule = Schedule::new(vec![plan], 1);
    let request = link(1);
    let keys = operation.keys(&request);
    let _ = schedule.handle(Duration::ZERO, Event::Recovered { job: Some(0), request, keys });
    let commands = schedule.handle(Duration::ZERO, Event::Page { job: 0, requests: vec![link(2), link(3)] });
    assert!(
        commands.contains(&Command::Commit { change: Change::Intend(vec![RequestId::new(3)]), urgent: true }),
        "{commands:?}"
    );
    let commands = schedule.handle(Duration::ZERO, Event::Changed(Changed::Reopened(RequestId::new(1))));
    assert!(commands.contains(&Command::Load { job: 0, request: RequestId::new(2) }), "{commands:?}");
}
