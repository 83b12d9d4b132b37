//! A folder with a queue, and functions that fill and read it.

use std::path::{Path, PathBuf};

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::{RequestId, RunId, uuid_v7};
use imbulk::domain::operation::by_name;
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::row::{FieldValue, FieldValues, RowNo};
use imbulk::domain::request::{AccountKeys, Doubt, Item, Request};
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::Settlement;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::response::verdict::{BatchSplit, Charge, ItemResult, Resend, Verdict, Verdicts, Wait};
use imbulk::domain::target::RunTarget;
use imbulk::queue::{Loader, NewRun, Queue, QueueError, RetrySelection, Snapshot};
use imbulk::stored_request::StoredRequest;
use imbulk_fixtures::operations::bound_with;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub(crate) const NOW: i64 = 1_790_000_000_000;
pub(crate) const FAILED: RetrySelection = RetrySelection::Ended { outcome: Outcome::Failed, code: None };

/// A folder of its own for every test.
pub(crate) struct QueueFolder(tempfile::TempDir);

impl QueueFolder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("q.db")
    }

    pub(crate) async fn open(&self) -> Queue {
        Queue::open(&self.file()).await.unwrap()
    }

    /// The number that a query returns.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
        let mut connection = options.connect().await.unwrap();
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    }

    /// The number of rows in all tables that belong to runs.
    pub(crate) async fn lines(&self) -> i64 {
        let tables = ["run", "source", "line_span", "request", "payload", "outcome", "skipped", "tally"];
        let counts = tables.map(|table| format!("(SELECT count(*) FROM {table})"));
        self.number(&format!("SELECT {}", counts.join(" + "))).await
    }

    /// Changes the file as another program would.
    pub(crate) async fn tamper(&self, sql: &str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
        let mut connection = options.connect().await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

pub(crate) fn new_run(operation: &'static str) -> NewRun {
    NewRun {
        uuid: uuid_v7(NOW, rand::random()),
        job: "job".into(),
        target: RunTarget::Sandbox,
        operation: bound_with(operation, "both"),
        definition_digest: "definition".into(),
        input_digest: "digest".into(),
        file_stamps: Some("stamp".to_owned()),
        protected_digest: "protected".into(),
        files: Vec::new(),
        sources: vec!["a.csv".into(), "b.csv".into()],
        carries: None,
        created_at: NOW,
    }
}

pub(crate) fn id(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

/// An item of one row.
pub(crate) fn item(row: RowNo) -> Item {
    Item { account: id(&format!("u{row}")), row, updates: None }
}

/// A friend that these rows update, each with different fields.
pub(crate) fn merged(rows: &[RowNo]) -> Item {
    let fields =
        |row| FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text(format!("\"用\" {row}").into()))]);
    let updates: Vec<_> = rows.iter().map(|row| (*row, fields(row))).collect();
    Item { account: id(&format!("u{}", rows[0])), row: rows[0], updates: Some(Box::new(updates)) }
}

pub(crate) fn items(rows: std::ops::Range<RowNo>) -> Vec<Item> {
    rows.map(item).collect()
}

/// Loads a run of these requests, and begins it.
pub(crate) async fn begun(queue: &mut Queue, operation: &'static str, requests: &[(Option<&str>, Vec<Item>)]) -> RunId {
    let mut loader = Loader::begin(queue, &new_run(operation)).await.unwrap();
    for (from, items) in requests {
        loader.request(StoredRequest::encode(from.map(id).as_ref(), items)).await.unwrap();
    }
    let run = loader.finish(&[]).await.unwrap();
    queue.begin(run, NOW, None).await.unwrap();
    run
}

pub(crate) async fn pending(queue: &Queue, run: RunId) -> Vec<Request> {
    queue.reader().await.unwrap().page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 1_000_000).await.unwrap()
}

/// Counts the rows by outcome and returns the numbers that are not zero.
pub(crate) async fn sums(queue: &mut Queue, run: RunId) -> Vec<(Outcome, u64)> {
    let run = queue.run(run).await.unwrap();
    let tally: Tally = queue.check_sums(&run).await.unwrap();
    tally.iter().filter(|(_, rows)| *rows > 0).collect()
}

/// Recovers the requests that a crash left `sending`, and makes them pending again.
pub(crate) async fn recover(queue: &mut Queue) -> Vec<(RunId, Request, AccountKeys)> {
    let recovered = queue.recover().await.unwrap();
    let reopen = recovered.iter().map(|(_, request, _)| Change::Reopen(request.id)).collect();
    queue.write(reopen, NOW).await.unwrap();
    recovered
}

pub(crate) async fn snapshot(queue: &Queue) -> Snapshot {
    queue.reader().await.unwrap().snapshot().await.unwrap()
}

/// The ids of requests with these numbers.
pub(crate) fn ids(numbers: impl IntoIterator<Item = i64>) -> Vec<RequestId> {
    numbers.into_iter().map(RequestId::new).collect()
}

pub(crate) async fn intend(queue: &mut Queue, requests: &[RequestId]) -> Result<Vec<Changed>, QueueError> {
    queue.write(vec![Change::Intend(requests.to_vec())], NOW).await
}

/// Stores the intent of a request, and then the verdict on each item.
pub(crate) async fn record_call(
    queue: &mut Queue,
    run: RunId,
    request: &Request,
    verdicts: Vec<Verdict>,
) -> Vec<imbulk::domain::response::settlement::FollowUp> {
    intend(queue, &[request.id]).await.unwrap();
    let settlement = settlement(request, verdicts);
    let written = queue.write(vec![Change::Record { run, settlement }], NOW).await.unwrap();
    match written.into_iter().next().unwrap() {
        Changed::Recorded { follow_ups, .. } => follow_ups,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn settlement(request: &Request, verdicts: Vec<Verdict>) -> Settlement {
    let sent = Request { calls: request.calls + 1, ..request.clone() };
    Settlement::new(by_name("account_delete").unwrap(), sent, Verdicts::Each(verdicts))
}

pub(crate) fn done() -> Verdict {
    ended(Outcome::Succeeded, None)
}

pub(crate) fn failed(code: i64) -> Verdict {
    ended(Outcome::Failed, Some(code))
}

pub(crate) fn ended(outcome: Outcome, code: Option<i64>) -> Verdict {
    let reason = code.map_or_else(String::new, |code| format!("it's \"{code}\"; DROP TABLE run --"));
    Verdict::Final(ItemResult { outcome, code, reason })
}

pub(crate) fn again(doubt: Doubt, split: BatchSplit) -> Verdict {
    Verdict::Resend(Resend { charge: Charge::Attempt, doubt, wait: Wait::Backoff, split, met: None })
}

/// As [`again`], after a response with this code.
pub(crate) fn again_after(code: i64) -> Verdict {
    let (charge, doubt, wait, split) = (Charge::Attempt, Doubt::None, Wait::Backoff, BatchSplit::Whole);
    Verdict::Resend(Resend { charge, doubt, wait, split, met: Some(code) })
}

/// The number of rows that a retry made pending again.
pub(crate) fn retried_rows(retried: &[imbulk::queue::CodeRows]) -> u64 {
    retried.iter().map(|entry| entry.rows).sum()
}
