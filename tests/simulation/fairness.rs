//! Nobody waits for what does not concern it, and everybody gets a turn.

use std::time::Duration;

use imbulk::domain::request::{Item, Request, RequestId};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::directed::{friend, lived, night};
use crate::night::{MS, Weather, id, request};

/// The rows of the hot account are the first 200 of 1000, and stand anywhere.
fn skewed(seed: u64) -> Vec<Request> {
    let from = |number: u32| if number < 200 { "hot".to_owned() } else { format!("a{}", number % 650) };
    let mut numbers: Vec<u32> = (0..1000).collect();
    numbers.shuffle(&mut SmallRng::seed_from_u64(seed));
    let mut place = 0;
    let place = |number: u32| {
        place += 1;
        Request { id: place, ..friend(number, &from(number)) }
    };
    numbers.into_iter().map(place).collect()
}

fn is_hot(request: &Request) -> bool {
    request.items[0].row < 200
}

#[test]
fn an_account_with_a_fifth_of_all_rows_does_not_delay_the_others() {
    for seed in 0..20 {
        let weather = Weather { work: MS * SmallRng::seed_from_u64(seed).random_range(50..800), ..Weather::FAIR };
        let all = skewed(seed);
        let others: Vec<Request> = all.iter().filter(|request| !is_hot(request)).cloned().collect();
        let ids: Vec<RequestId> = others.iter().map(|request| request.id).collect();
        let end_of_others = |requests: Vec<Request>| {
            let mut night = night("friend_delete", 200, requests, weather.clone());
            night.seed = seed;
            let settled = lived(&night).settled;
            ids.iter().map(|id| settled[id]).max().expect("there are others")
        };
        let (with, without) = (end_of_others(all), end_of_others(others));
        // Its calls take slots, too: a fifth more calls at the same rate.
        let its_slots = Duration::from_secs(1);
        assert!(with <= without.mul_f64(1.05) + its_slots, "seed {seed}: {with:?} instead of {without:?}");
    }
}

/// Eight accounts with a stream of requests each, and one request that needs all of them.
#[test]
fn a_set_of_busy_accounts_gets_its_turn_long_before_the_streams_end() {
    for seed in 0..20 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut requests: Vec<Request> =
            (0..4000).map(|n| friend(n, &format!("h{}", dice.random_range(0..8)))).collect();
        let items = (1..8).map(|n| Item { account: id(format!("h{n}")), row: 10_000 + n, updates: None }).collect();
        requests[400] = request(401, Some(id("h0")), items);
        let mut night = night("friend_delete", 200, requests, Weather { work: MS * 100, ..Weather::FAIR });
        night.jobs[0].delete_type = imbulk::domain::operation::DeleteType::Both;
        night.seed = seed;
        let report = lived(&night);
        let turn = report.sent.iter().position(|(_, id)| *id == 401).expect("it was sent");
        // Each of its accounts has some 50 requests that came before it.
        assert!(turn < 900, "seed {seed}: it went out as number {turn} of {}", report.sent.len());
    }
}
