//! The inputs of a scenario. One seed determines all of them.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::time::Duration;

use imbulk::domain::ids::RequestId;
use imbulk::domain::job::{Retry, Stop};
use imbulk::domain::operation::{self, BoundOperation, Operation, Preparations};
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::row::{FieldValue, FieldValues, RowNo};
use imbulk::domain::request::{AccountKeys, Doubt, Item, Purpose, Request};
use imbulk::domain::response::code_history::CodeHistory;
use imbulk_fixtures::operations::bound_with;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A job of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The number of its app.
    pub(crate) app: usize,
    pub(crate) operation: BoundOperation,
    pub(crate) preparations: Preparations,
    pub(crate) retry: Retry,
    pub(crate) width: Option<usize>,
    pub(crate) stop: Stop,
    /// The number of items of the canary. Its failed share is that of `stop`.
    pub(crate) canary: u64,
    pub(crate) max_already_done: Option<f64>,
    /// Calls per second.
    pub(crate) rate: u32,
    pub(crate) requests: Vec<Request>,
}

impl Job {
    /// The SDKAppID of its app.
    pub(crate) fn sdkappid(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.app as u64 + 1)
    }

    /// The accounts that a request writes.
    pub(crate) fn keys(&self, request: &Request) -> AccountKeys {
        self.operation.keys(request).in_app(self.sdkappid())
    }
}

/// How every call ends during an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageKind {
    Refused,
    /// Reset or timed out.
    Silent,
    Gateway,
    Code(i64),
}

impl OutageKind {
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

/// Probabilities of faults, in thousandths, and durations.
#[derive(Debug, Clone)]
pub(crate) struct FaultModel {
    /// A call does not get a plain answer.
    pub(crate) bad_calls: u32,
    /// An item of a plain answer has a code of its own.
    pub(crate) bad_items: u32,
    /// A bad call is fatal.
    pub(crate) fatal: u32,
    /// The code that answers every faulty call. Without it, the kind of fault is random.
    pub(crate) code: Option<i64>,
    /// At a call: the server refuses the current signature from now on.
    pub(crate) expiry: u32,
    /// At a call: an outage begins.
    pub(crate) outage: u32,
    pub(crate) outage_length: Duration,
    /// How calls end during an outage.
    pub(crate) outage_kind: OutageKind,
    /// An outage at a fixed time.
    pub(crate) down: Option<Range<Duration>>,
    /// Every item whose row is a multiple of this number always fails.
    pub(crate) poisoned: Option<u64>,
    /// Connections are slow to open.
    pub(crate) slow_connects: u32,
    /// The longest that the server works on a call that it answers.
    pub(crate) work: Duration,
    pub(crate) commit: Duration,
    pub(crate) read: Duration,
    /// The delay between an event and its delivery to the runner's loop.
    pub(crate) lag: Duration,
}

impl FaultModel {
    pub(crate) const HEALTHY: Self = Self {
        bad_calls: 0,
        bad_items: 0,
        fatal: 0,
        code: None,
        expiry: 0,
        outage: 0,
        outage_length: Duration::ZERO,
        outage_kind: OutageKind::Refused,
        down: None,
        poisoned: None,
        slow_connects: 0,
        work: Duration::from_millis(200),
        commit: Duration::from_millis(3),
        read: Duration::from_millis(2),
        lag: Duration::from_millis(1),
    };

    fn drawn(rng: &mut SmallRng) -> Self {
        let slowest_read = [40, 40, 1500][rng.random_range(0..3)];
        let level = rng.random_range(0..4_u32);
        Self {
            bad_calls: [0, 50, 300, 600][level as usize],
            bad_items: [0, 20, 100, 300][rng.random_range(0..4)],
            fatal: if rng.random_ratio(1, 4) { 5 } else { 0 },
            code: None,
            expiry: if rng.random_ratio(1, 3) { 15 } else { 0 },
            outage: if rng.random_ratio(1, 5) { 10 } else { 0 },
            outage_length: Duration::from_secs(rng.random_range(1..200)),
            outage_kind: OutageKind::ALL[rng.random_range(0..OutageKind::ALL.len())],
            down: None,
            poisoned: rng.random_ratio(1, 8).then(|| rng.random_range(1..20)),
            slow_connects: [0, 0, 20, 200][rng.random_range(0..4)],
            work: MS * rng.random_range(5..3000),
            commit: MS * rng.random_range(1..40),
            read: MS * rng.random_range(1..slowest_read),
            lag: MS * rng.random_range(0..5),
        }
    }
}

/// What interrupts a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    Never,
    /// The process is killed after this number of events.
    Kill(u64),
    /// A signal arrives after this number of events.
    Signal(u64),
    /// `stop.until` is reached after this number of events.
    Deadline(u64),
}

/// A pause of a job by a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    /// The session, from 1.
    pub(crate) session: u64,
    /// It begins after this number of events.
    pub(crate) after: u64,
    /// The number of the job, modulo the number of jobs of the session.
    pub(crate) job: usize,
    pub(crate) lasts: Duration,
}

/// One simulated history of the schedule.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) jobs: Vec<Job>,
    pub(crate) faults: FaultModel,
    /// The interruptions of the first sessions. Nothing interrupts the later ones.
    pub(crate) interruptions: Vec<Interruption>,
    pub(crate) pauses: Vec<Pause>,
    /// An app whose server has no faults.
    pub(crate) healthy_app: Option<usize>,
    pub(crate) seed: u64,
}

impl Scenario {
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let accounts = rng.random_range(2..50);
        let mut next_request = 1;
        let mut jobs: Vec<Job> =
            (0..rng.random_range(1..5)).map(|_| job(&mut rng, accounts, &mut next_request)).collect();
        // The jobs of a third of the scenarios are of two apps.
        jobs.iter_mut().enumerate().for_each(|(at, job)| job.app = if seed.is_multiple_of(3) { at % 2 } else { 0 });
        jobs.iter_mut().for_each(|job| job.preparations = preparations(&mut rng, &job.operation));
        let interruptions = (0..rng.random_range(0..6_u32)).map(|_| interruption(&mut rng)).collect();
        let mut faults = FaultModel::drawn(&mut rng);
        // If only such items are left, a job without a limit on outages sends probes forever.
        faults.poisoned = faults.poisoned.filter(|_| jobs.iter().all(|job| job.stop.outage.is_some()));
        let pauses = pauses(&mut rng);
        Self { jobs, faults, interruptions, pauses, healthy_app: None, seed }
    }

    /// The number of apps.
    pub(crate) fn apps(&self) -> usize {
        self.jobs.iter().map(|job| job.app + 1).max().unwrap_or(1)
    }
}

fn pauses(rng: &mut SmallRng) -> Vec<Pause> {
    let count = [0, 0, 1, 8][rng.random_range(0..4)];
    let mut pauses: Vec<Pause> = (0..count)
        .map(|_| Pause {
            session: rng.random_range(1..4),
            after: rng.random_range(0..300),
            job: rng.random_range(0..4),
            lasts: MS * [0, 20, 500, 8_000, 100_000, 400_000][rng.random_range(0..6)],
        })
        .collect();
    pauses.sort_by_key(|pause| (pause.session, pause.after));
    pauses
}

fn interruption(rng: &mut SmallRng) -> Interruption {
    let events = rng.random_range(0..300_u64);
    match rng.random_range(0..5) {
        0 => Interruption::Never,
        1 => Interruption::Signal(events),
        2 => Interruption::Deadline(events),
        _ => Interruption::Kill(events),
    }
}

/// About half of the jobs that can have an online check or a backup have one.
fn preparations(rng: &mut SmallRng, operation: &Operation) -> Preparations {
    Preparations {
        unless_online: operation.online_check && rng.random_bool(0.6),
        backup: operation.backup.filter(|_| rng.random_bool(0.5)),
        with_friends: rng.random_bool(0.5),
    }
}

fn job(rng: &mut SmallRng, accounts: u32, next_request: &mut i64) -> Job {
    let operation = operation::ALL[rng.random_range(0..operation::ALL.len())];
    let both = !operation.options.is_empty() && rng.random_bool(0.5);
    let most = if rng.random_ratio(1, 60) { 600 } else { [10, 30, 60][rng.random_range(0..3)] };
    let retry = Retry {
        max_attempts: NonZeroU32::new(rng.random_range(1..9)).expect("not zero"),
        base_delay: MS * rng.random_range(1..2000),
        max_delay: MS * rng.random_range(1000..60_000),
    };
    let fuse = rng.random_ratio(1, 6);
    let outage = (!rng.random_ratio(1, 4)).then(|| Duration::from_secs(rng.random_range(1..150)));
    Job {
        app: 0,
        operation: bound_with(operation.name, if both { "both" } else { "single" }),
        preparations: Preparations::default(),
        retry,
        width: rng.random_ratio(1, 3).then(|| rng.random_range(1..20)),
        stop: Stop { failed_share: 0.5, after_items: if fuse { 10 } else { u64::MAX }, outage },
        canary: if rng.random_ratio(1, 4) { rng.random_range(10..60) } else { 0 },
        max_already_done: rng.random_ratio(1, 6).then_some(0.7),
        rate: rng.random_range(20..200),
        requests: requests(rng, operation, accounts, most, next_request),
    }
}

pub(crate) fn id(name: impl std::fmt::Display) -> UserId {
    UserId::new(&format!("u{name}")).expect("a user id")
}

/// Draws an account number. Low numbers are far more frequent.
fn skewed(rng: &mut SmallRng, accounts: u32) -> u32 {
    let draws = [0; 3].map(|_: u32| rng.random_range(0..accounts));
    draws.into_iter().min().unwrap_or(0)
}

fn requests(
    rng: &mut SmallRng,
    operation: &'static Operation,
    accounts: u32,
    most: u32,
    next_request: &mut i64,
) -> Vec<Request> {
    let mut taken = BTreeSet::new();
    let mut row = 0;
    let mut requests = Vec::new();
    for _ in 0..rng.random_range(0..=most) {
        let from = operation.shape.from.map(|_| skewed(rng, accounts));
        let most_items = operation.items_per_request.min(if rng.random_ratio(1, 10) { 30 } else { 5 });
        let mut items = Vec::new();
        for _ in 0..rng.random_range(1..=most_items) {
            let account = skewed(rng, accounts);
            // No account is its own friend.
            if from != Some(account) && taken.insert((from, account)) {
                items.push(item(rng, operation, account, &mut row));
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
    let (history, purpose) = (CodeHistory::default(), Purpose::Change);
    Request { id, from, items, calls: 0, charged: 0, doubt: Doubt::None, history, purpose }
}

/// Uses the next row. An item with fields sometimes uses two rows.
fn item(rng: &mut SmallRng, operation: &Operation, account: u32, row: &mut RowNo) -> Item {
    let mut rows = vec![*row];
    *row += 1;
    let updates = (!operation.shape.fields.is_empty()).then(|| {
        if rng.random_bool(0.3) {
            rows.push(*row);
            *row += 1;
        }
        let fields = FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text("r".into()))]);
        Box::new(rows.iter().map(|row| (*row, fields.clone())).collect())
    });
    Item { account: id(account), row: rows[0], updates }
}
