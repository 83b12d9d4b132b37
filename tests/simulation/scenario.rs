//! What a night is made of, all of it drawn from one seed.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use imbulk::domain::account::UserId;
use imbulk::domain::ids::RequestId;
use imbulk::domain::job::{Retry, Stop};
use imbulk::domain::operation::{self, BoundOperation, Operation, by_name};
use imbulk::domain::request::{Doubt, Item, Request};
use imbulk::domain::response::code_history::CodeHistory;
use imbulk::domain::row::{RowNo, Tags, Value};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A job of a night.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) operation: BoundOperation,
    pub(crate) retry: Retry,
    pub(crate) width: Option<usize>,
    pub(crate) stop: Stop,
    /// The canary, its failed share that of the fuse.
    pub(crate) canary: u64,
    pub(crate) max_already_done: Option<f64>,
    /// Calls a second.
    pub(crate) rate: u32,
    pub(crate) requests: Vec<Request>,
}

/// What every call gets in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calamity {
    Refused,
    /// Reset or timed out.
    Silent,
    Gateway,
    Code(i64),
}

impl Calamity {
    pub(crate) const ALL: [Self; 7] = [
        Self::Refused,
        Self::Silent,
        Self::Gateway,
        Self::Code(31_703),
        Self::Code(60_008),
        Self::Code(30_008),
        Self::Code(60_011),
    ];
}

/// How likely things go wrong, in thousandths, and how long they take.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// A call does not get a plain answer.
    pub(crate) bad_calls: u32,
    /// An item of a plain answer has a code of its own.
    pub(crate) bad_items: u32,
    /// A bad call is fatal.
    pub(crate) fatal: u32,
    /// What bad calls are answered with; none: all kinds of things.
    pub(crate) code: Option<i64>,
    /// The signature is refused from now on, as seen by a call.
    pub(crate) expiry: u32,
    /// An outage begins, as seen by a call.
    pub(crate) outage: u32,
    pub(crate) outage_length: Duration,
    /// What calls get in an outage.
    pub(crate) calamity: Calamity,
    /// One for certain, from then until then.
    pub(crate) down: Option<Range<Duration>>,
    /// Every item whose row can be divided by this fails each time.
    pub(crate) poisoned: Option<u64>,
    /// Connections are slow to open.
    pub(crate) slow_connects: u32,
    /// The longest that the server works on a call that it answers.
    pub(crate) work: Duration,
    pub(crate) commit: Duration,
    pub(crate) read: Duration,
    /// How far the runner's loop is behind.
    pub(crate) lag: Duration,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        bad_calls: 0,
        bad_items: 0,
        fatal: 0,
        code: None,
        expiry: 0,
        outage: 0,
        outage_length: Duration::ZERO,
        calamity: Calamity::Refused,
        down: None,
        poisoned: None,
        slow_connects: 0,
        work: Duration::from_millis(200),
        commit: Duration::from_millis(3),
        read: Duration::from_millis(2),
        lag: Duration::from_millis(1),
    };

    fn drawn(dice: &mut SmallRng) -> Self {
        let slowest_read = [40, 40, 1500][dice.random_range(0..3)];
        let storm = dice.random_range(0..4_u32);
        Self {
            bad_calls: [0, 50, 300, 600][storm as usize],
            bad_items: [0, 20, 100, 300][dice.random_range(0..4)],
            fatal: if dice.random_ratio(1, 4) { 5 } else { 0 },
            code: None,
            expiry: if dice.random_ratio(1, 3) { 15 } else { 0 },
            outage: if dice.random_ratio(1, 5) { 10 } else { 0 },
            outage_length: Duration::from_secs(dice.random_range(1..200)),
            calamity: Calamity::ALL[dice.random_range(0..Calamity::ALL.len())],
            down: None,
            poisoned: dice.random_ratio(1, 8).then(|| dice.random_range(1..20)),
            slow_connects: [0, 0, 20, 200][dice.random_range(0..4)],
            work: MS * dice.random_range(5..3000),
            commit: MS * dice.random_range(1..40),
            read: MS * dice.random_range(1..slowest_read),
            lag: MS * dice.random_range(0..5),
        }
    }
}

/// What befalls a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fortune {
    Calm,
    /// Killed after so many events.
    Kill(u64),
    /// A signal after so many events.
    Signal(u64),
    /// `stop.until` after so many events.
    Deadline(u64),
}

/// A night.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) jobs: Vec<Job>,
    pub(crate) weather: Weather,
    /// What befalls the first sessions; later ones are calm.
    pub(crate) fortunes: Vec<Fortune>,
    pub(crate) seed: u64,
}

impl Scenario {
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let accounts = dice.random_range(2..50);
        let mut next_request = 1;
        let jobs: Vec<Job> =
            (0..dice.random_range(1..5)).map(|_| job(&mut dice, accounts, &mut next_request)).collect();
        let fortunes = (0..dice.random_range(0..6_u32)).map(|_| fortune(&mut dice)).collect();
        let mut weather = Weather::drawn(&mut dice);
        // With nothing but such items left, a job that never gives up probes for ever.
        weather.poisoned = weather.poisoned.filter(|_| jobs.iter().all(|job| job.stop.outage.is_some()));
        Self { jobs, weather, fortunes, seed }
    }
}

fn fortune(dice: &mut SmallRng) -> Fortune {
    let events = dice.random_range(0..300_u64);
    match dice.random_range(0..5) {
        0 => Fortune::Calm,
        1 => Fortune::Signal(events),
        2 => Fortune::Deadline(events),
        _ => Fortune::Kill(events),
    }
}

fn job(dice: &mut SmallRng, accounts: u32, next_request: &mut i64) -> Job {
    let operation = operation::ALL[dice.random_range(0..operation::ALL.len())];
    let both = !operation.options.is_empty() && dice.random_bool(0.5);
    let most = if dice.random_ratio(1, 60) { 600 } else { [10, 30, 60][dice.random_range(0..3)] };
    let retry = Retry {
        max_attempts: NonZeroU32::new(dice.random_range(1..9)).expect("not zero"),
        base_delay: MS * dice.random_range(1..2000),
        max_delay: MS * dice.random_range(1000..60_000),
    };
    let fuse = dice.random_ratio(1, 6);
    let outage = (!dice.random_ratio(1, 4)).then(|| Duration::from_secs(dice.random_range(1..150)));
    Job {
        operation: bound(operation.name, if both { "both" } else { "single" }),
        retry,
        width: dice.random_ratio(1, 3).then(|| dice.random_range(1..20)),
        stop: Stop { failed_share: 0.5, after_items: if fuse { 10 } else { u64::MAX }, outage, until: None },
        canary: if dice.random_ratio(1, 4) { dice.random_range(10..60) } else { 0 },
        max_already_done: dice.random_ratio(1, 6).then_some(0.7),
        rate: dice.random_range(20..200),
        requests: requests(dice, operation, accounts, most, next_request),
    }
}

/// The operation with this `delete_type`, if it has one.
pub(crate) fn bound(operation: &str, delete_type: &str) -> BoundOperation {
    let operation = by_name(operation).expect("an operation");
    let options = operation.options.iter().map(|option| (option.name.to_owned(), delete_type.to_owned()));
    operation.bind(&options.collect()).expect("its options")
}

pub(crate) fn id(name: impl std::fmt::Display) -> UserId {
    UserId::new(&format!("u{name}")).expect("a user id")
}

/// Accounts with low numbers come up far more often.
fn skewed(dice: &mut SmallRng, accounts: u32) -> u32 {
    let draws = [0; 3].map(|_: u32| dice.random_range(0..accounts));
    draws.into_iter().min().unwrap_or(0)
}

fn requests(
    dice: &mut SmallRng,
    operation: &'static Operation,
    accounts: u32,
    most: u32,
    next_request: &mut i64,
) -> Vec<Request> {
    let mut taken = BTreeSet::new();
    let mut row = 0;
    let mut requests = Vec::new();
    for _ in 0..dice.random_range(0..=most) {
        let from = operation.shape.from.map(|_| skewed(dice, accounts));
        let most_items = operation.items_per_request.min(if dice.random_ratio(1, 10) { 30 } else { 5 });
        let mut items = Vec::new();
        for _ in 0..dice.random_range(1..=most_items) {
            let account = skewed(dice, accounts);
            if taken.insert((from, account)) {
                items.push(item(dice, operation, account, &mut row));
            }
        }
        if !items.is_empty() {
            requests.push(request(*next_request, from.map(id), items));
            *next_request += 1;
        }
    }
    requests
}

pub(crate) fn request(number: i64, from: Option<UserId>, items: Vec<Item>) -> Request {
    let id = RequestId::new(number);
    Request { id, from, items, attempts: 0, charged: 0, doubt: Doubt::None, history: CodeHistory::default() }
}

/// Takes the next row; an update sometimes two of them.
fn item(dice: &mut SmallRng, operation: &Operation, account: u32, row: &mut RowNo) -> Item {
    let mut rows = vec![*row];
    *row += 1;
    let updates = (operation.name == "friend_update").then(|| {
        if dice.random_bool(0.3) {
            rows.push(*row);
            *row += 1;
        }
        let tags = Tags::from([("Tag_SNS_IM_Remark".into(), Value::Text("r".into()))]);
        Box::new(rows.iter().map(|row| (*row, tags.clone())).collect())
    });
    Item { account: id(account), row: rows[0], updates }
}
