//! Benchmarks of single parts of the program: `cargo bench --bench parts`, or `-- NAME` for some of them.
//! See docs/explanation/benchmarks.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::{RequestId, RunId, uuid_v7};
use imbulk::domain::job::{Encoding, InputSettings, RejectPolicy, Retry, Stop, UnusualIds};
use imbulk::domain::operation::BoundOperation;
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::row::{RejectedRow, RowRef};
use imbulk::domain::request::{Doubt, Item, Purpose, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::code_history::CodeHistory;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::Settlement;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::response::verdict::{CallContext, Charging, NewUserSig, assess};
use imbulk::domain::schedule::{Action, CallToSend, Event, Schedule, ScheduleTime, ScheduledJob};
use imbulk::domain::target::RunTarget;
use imbulk::export::{self, Division, ExportOptions, Format};
use imbulk::input::Source;
use imbulk::intake::{Intake, IntakeOptions, IntakeOutput, MAX_ROW_BYTES_IN_MEMORY};
use imbulk::queue::{Loader, NewRun, Queue};
use imbulk::rate_limiter::{Limiter, LimiterSettings};
use imbulk::stored_request::{BODY_BYTES, StoredRequest};
use imbulk_fixtures::operations::bound;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Rows of an input: some tenths of a second at most.
const ROWS: u64 = 200_000;
/// Requests of a queue.
const REQUESTS: i64 = 2_000;
/// As many intents or outcomes as come together at full speed.
const BATCH: usize = 64;
const NOW: i64 = 1_790_000_000_000;

fn accounts() -> BoundOperation {
    bound("account_delete")
}

fn friends() -> BoundOperation {
    bound("friend_delete")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

fn id(number: u64) -> String {
    format!("user{:08x}", number.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF)
}

/// The ids of the row: its account is one in twenty.
fn pair(row: u64) -> (String, String) {
    (id(row * 7_368_787 % (ROWS / 20)), id(ROWS + row))
}

fn input(folder: &Path, name: &str, text: &str) -> (Vec<Source>, InputSettings) {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder can be written to");
    let input = InputSettings {
        paths: vec![path.display().to_string()],
        columns: BTreeMap::new(),
        encoding: Encoding::Utf8,
        delimiter: None,
        rejects: RejectPolicy::Count,
        unusual_ids: UnusualIds::Reject,
    };
    (imbulk::input::open(&input, folder).expect("it was just written"), input)
}

fn reading(c: &mut Criterion) {
    let folder = TempDir::new().expect("a folder");
    let (mut csv, mut jsonl) = ("From_Account,To_Account\n".to_owned(), String::new());
    for (from, to) in (0..ROWS).map(pair) {
        // Writing to a String can't fail.
        let _always = writeln!(csv, "{from},{to}");
        let _always = writeln!(jsonl, r#"{{"From_Account":"{from}","To_Account":"{to}"}}"#);
    }
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(ROWS)).sample_size(20);
    for (name, text) in [("rows.csv", csv), ("rows.jsonl", jsonl)] {
        let (sources, input) = input(folder.path(), name, &text);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut rows = 0;
                let mut count = |row: Result<RowRef<'_>, RejectedRow>| {
                    black_box(&row).as_ref().expect("all rows are good");
                    rows += 1;
                    ControlFlow::Continue(())
                };
                sources[0].read(&friends().shape, &input, &mut count).expect("it is readable");
                assert_eq!(rows, ROWS);
            });
        });
    }
    group.finish();
}

/// Everything that intake makes of the rows.
fn intake(folder: &Path, rows: &[(String, String)]) -> Vec<IntakeOutput> {
    let options = IntakeOptions {
        shape: friends().shape,
        items_per_request: NonZeroU32::new(1000).expect("not zero"),
        protects: &|_| false,
        temp_dir: folder,
        expected_bytes: ROWS * 28,
        memory: MAX_ROW_BYTES_IN_MEMORY,
        body_bytes: BODY_BYTES,
    };
    let mut outputs = Vec::new();
    let mut intake = Intake::new(options, |output| {
        outputs.push(output);
        Ok(())
    });
    for (line, (from, account)) in (2..).zip(rows) {
        intake
            .row(0, RowRef { line, from: Some(from.as_bytes()), account: account.as_bytes(), fields: b"" })
            .expect("memory is enough");
    }
    intake.finish().expect("the sums are right");
    outputs
}

fn grouping(c: &mut Criterion) {
    let folder = TempDir::new().expect("a folder");
    let rows: Vec<_> = (0..ROWS).map(pair).collect();
    let mut group = c.benchmark_group("intake");
    group.throughput(Throughput::Elements(ROWS)).sample_size(20);
    group.bench_function("part, group, pack", |b| b.iter(|| intake(folder.path(), &rows)));
    group.finish();
}

fn new_run(operation: BoundOperation) -> NewRun {
    NewRun {
        uuid: uuid_v7(NOW, rand::random()),
        job: "job".into(),
        target: RunTarget::Sandbox,
        operation,
        definition_digest: String::new(),
        input_digest: String::new(),
        file_stamps: None,
        protected_digest: String::new(),
        files: Vec::new(),
        sources: vec!["rows.csv".into()],
        carries: None,
        created_at: NOW,
    }
}

/// Stores a run in a new queue.
async fn load(folder: &Path, operation: BoundOperation, outputs: Vec<IntakeOutput>) -> (Queue, RunId) {
    let path = folder.join(format!("{}.db", uuid_v7(NOW, rand::random())));
    let mut queue = Queue::open(&path).await.expect("a new file");
    let mut loader = Loader::begin(&mut queue, &new_run(operation)).await.expect("the disk has space");
    for output in outputs {
        let stored = match output {
            IntakeOutput::Request(request) => loader.request(request).await,
            IntakeOutput::Skipped(skipped) => loader.skipped_row(skipped).await,
            IntakeOutput::LineSpan(span) => loader.line_span(span).await,
        };
        stored.expect("the disk has space");
    }
    let run = loader.finish(&[]).await.expect("the disk has space");
    queue.begin(run, NOW, None).await.expect("the disk has space");
    (queue, run)
}

fn storing(c: &mut Criterion) {
    let runtime = runtime();
    let folder = TempDir::new().expect("a folder");
    let rows: Vec<_> = (0..ROWS).map(pair).collect();
    let outputs = intake(folder.path(), &rows);
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    group.bench_function("load", |b| {
        let stored = |outputs| runtime.block_on(load(folder.path(), friends(), outputs));
        b.iter_batched(|| outputs.clone(), stored, BatchSize::PerIteration);
    });
    group.finish();
    let mut group = c.benchmark_group("results");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    let (mut queue, run) = runtime.block_on(load(folder.path(), friends(), outputs));
    group.bench_function("export csv", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let reader = queue.reader().await.expect("a queue");
                let run = queue.run(run).await.expect("it is there");
                let options = ExportOptions {
                    format: Format::Csv,
                    only: None,
                    division: Division::None,
                    rows: &AtomicU64::new(0),
                    folder: folder.path(),
                };
                let written = export::write(&reader, &run, options, None, &mut [std::io::sink()]).await;
                assert_eq!(written.expect("the rows are there").total(), ROWS);
            });
        });
    });
    group.finish();
}

fn request(number: i64) -> Request {
    let first = number.cast_unsigned() * 100;
    let item = |row| Item { account: UserId::new(&id(row)).expect("an id"), row, updates: None };
    let items = (first..first + 100).map(item).collect();
    Request {
        id: RequestId::new(number),
        from: None,
        items,
        calls: 0,
        charged: 0,
        doubt: Doubt::None,
        history: CodeHistory::default(),
        purpose: Purpose::Change,
    }
}

fn context() -> CallContext {
    CallContext {
        operation: accounts(),
        preparations: imbulk::domain::operation::Preparations::default(),
        charging: Charging::UpTo(8),
        new_usersig: NewUserSig::MayHelp,
    }
}

fn answer(request: &Request) -> CallResult {
    let item = |item: &Item| format!(r#"{{"UserID":"{}","ResultCode":0,"ResultInfo":""}}"#, item.account.as_str());
    let items: Vec<String> = request.items.iter().map(item).collect();
    let body = format!(r#"{{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ResultItem":[{}]}}"#, items.join(","));
    CallResult::Body(body.into_bytes())
}

/// A batch of intents, then the batch of their outcomes: two commits.
fn recording(c: &mut Criterion) {
    let runtime = runtime();
    let folder = TempDir::new().expect("a folder");
    let requests: Vec<Request> = (1..=REQUESTS * 50).map(request).collect();
    let outputs =
        requests.iter().map(|request| IntakeOutput::Request(StoredRequest::encode(None, &request.items))).collect();
    let (mut queue, run) = runtime.block_on(load(folder.path(), accounts(), outputs));
    let mut left = requests.chunks_exact(BATCH);
    let mut group = c.benchmark_group("queue");
    // Each iteration consumes a batch, and the number of batches is limited.
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.bench_function("intend and record", |b| {
        b.iter_batched(
            || {
                let batch = left.next().expect("enough requests for a second");
                let settle = |request: &Request| {
                    let verdicts = assess(&context(), request, &answer(request)).verdicts;
                    let sent = Request { calls: 1, ..request.clone() };
                    Change::Record { run, settlement: Settlement::new(&accounts(), sent, verdicts) }
                };
                (batch.iter().map(|request| request.id).collect(), batch.iter().map(settle).collect())
            },
            |(intents, records)| {
                runtime.block_on(async {
                    queue.write(vec![Change::Intend(intents)], NOW).await.expect("the disk has space");
                    queue.write(records, NOW).await.expect("the disk has space");
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn coding(c: &mut Criterion) {
    let request = request(1);
    let result = answer(&request);
    let encoded = StoredRequest::encode(None, &request.items);
    let mut group = c.benchmark_group("request of 100");
    group.throughput(Throughput::Elements(100));
    group.bench_function("unpack", |b| b.iter(|| StoredRequest::decode(&encoded.accounts, &encoded.rows, None)));
    group.bench_function("keys", |b| b.iter(|| accounts().keys(&request)));
    group.bench_function("encode", |b| b.iter(|| accounts().body(&request)));
    group.bench_function("decode and assess", |b| b.iter(|| assess(&context(), &request, &result)));
    group.finish();
}

/// A whole night of the schedule alone, answered at once.
fn night(requests: &[Request]) -> u64 {
    let mut tally = Tally::default();
    tally[Outcome::Pending] = requests.len() as u64 * 100;
    let job = ScheduledJob {
        priority: 0,
        sdkappid: None,
        run: RunId::new(1),
        operation: accounts(),
        preparations: imbulk::domain::operation::Preparations::default(),
        calls_per_second: NonZeroU32::new(200).expect("not zero"),
        retry: Retry {
            max_attempts: NonZeroU32::new(8).expect("not zero"),
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_mins(1),
        },
        max_in_flight: None,
        stop: Stop { failed_share: 1.0, after_items: u64::MAX, outage: None },
        max_already_done: None,
        canary: 0,
        ended_items: 0,
        tally,
    };
    let mut schedule = Schedule::new(vec![job], 7);
    let mut events = vec![Event::Tick];
    let mut handled = 0;
    while let Some(event) = events.pop() {
        handled += 1;
        let actions = schedule.handle(ScheduleTime::after_start(Duration::from_millis(handled)), event);
        actions.into_iter().for_each(|action| react(action, requests, &mut events));
    }
    assert!(schedule.is_over());
    handled
}

/// What the world does with an action.
fn react(action: Action, requests: &[Request], events: &mut Vec<Event>) {
    match action {
        Action::Fetch { job, after, limit } => {
            let page = requests.iter().filter(|request| request.id > after).take(limit as usize).cloned().collect();
            events.push(Event::Page { job, requests: page });
        }
        Action::Commit { change: Change::Intend(ids), .. } => events.push(Event::Changed(Changed::Intended(ids))),
        Action::Send(CallToSend { request, .. }) => {
            let result = answer_of(requests, request);
            // Taken from the end.
            events.push(Event::Replied { request, result, generation: 0 });
            events.push(Event::Sent(request));
        }
        Action::Commit { change: Change::Record { settlement, .. }, .. } => {
            let Settlement { request, follow_ups, .. } = settlement;
            events.push(Event::Changed(Changed::Recorded { request, follow_ups }));
        }
        other => panic!("nothing went wrong: {other:?}"),
    }
}

fn answer_of(requests: &[Request], id: RequestId) -> CallResult {
    let place = requests.binary_search_by_key(&id, |request| request.id).expect("one of ours");
    answer(&requests[place])
}

fn scheduling(c: &mut Criterion) {
    let requests: Vec<Request> = (1..=REQUESTS).map(request).collect();
    let events = night(&requests);
    let mut group = c.benchmark_group("schedule");
    group.throughput(Throughput::Elements(events)).sample_size(20);
    group.bench_function("an event, of calls of 100 with their bodies and answers", |b| b.iter(|| night(&requests)));
    group.finish();
}

fn limiting(c: &mut Criterion) {
    let runtime = runtime();
    let folder = TempDir::new().expect("a folder");
    let cap = NonZeroU32::new(65_536).expect("not zero").try_into().expect("the highest cap");
    let settings = LimiterSettings {
        ledger: folder.path().join("slots"),
        app_cap: cap,
        calls_per_day: Vec::new(),
        call_timeout: Duration::from_secs(5),
    };
    let limiter =
        Limiter::open(&settings).expect("a new file").command("account_delete", cap).expect("the disk has space");
    c.bench_function("limiter/acquire and answer", |b| {
        b.iter(|| {
            runtime.block_on(async {
                limiter.acquire().await.expect("the ledger works").answered(Duration::from_millis(1));
            });
        });
    });
}

criterion_group!(parts, reading, grouping, storing, recording, coding, scheduling, limiting);
criterion_main!(parts);
