//! The queue as any SQL tool reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::ItemId;

/// The tables, for the last run of a job.
#[derive(Debug, Clone)]
pub struct QueueContent {
    /// One per input row, in any order.
    pub rows: Vec<QueueRow>,
    /// The view `item`: one per item.
    pub items: Vec<QueueRow>,
    /// Rows per outcome.
    pub tally: BTreeMap<String, u64>,
    /// Rows with an outcome whose request is not settled.
    pub unsettled: Vec<i64>,
}

/// A row in the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRow {
    /// The number of the input row, from 0.
    pub row: usize,
    /// Its request; none for a skipped row.
    pub request: Option<i64>,
    /// Whether it is the first row of its item.
    pub is_first: bool,
    /// `From_Account`, for operations on pairs.
    pub from: Option<String>,
    /// The other account of the pair, or the only account.
    pub account: String,
    /// Such as `succeeded`.
    pub outcome: String,
    /// The code that decided the outcome.
    pub code: Option<i64>,
    /// The calls with the item, those that do not count against `max_attempts` included.
    pub attempts: u32,
}

/// A request that is in flight according to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlightRequest {
    /// The name of its job.
    pub job: String,
    /// Its id in the table `request`.
    pub request: i64,
    /// The calls with the item, those that do not count against `max_attempts` included.
    pub attempts: u32,
    /// `From_Account`, if the operation has one.
    pub from: Option<String>,
    /// The other accounts, in order.
    pub accounts: Vec<String>,
}

type ViewLine = (i64, Option<i64>, Option<String>, Option<String>, String, Option<i64>, u32);
type Outcomes = HashMap<i64, (String, Option<i64>)>;

impl QueueRow {
    /// The item of the row.
    pub fn item(&self) -> ItemId<'_> {
        (self.from.as_deref(), &self.account)
    }
}

impl QueueContent {
    /// Reads the tables with SQL.
    pub fn read(queue: &Path, job: &str) -> Self {
        with(queue, async |connection| {
            let last = "SELECT max(id) FROM run WHERE job = ?";
            let run = sqlx::query_scalar(last).bind(job).fetch_one(&mut *connection).await.expect("a run");
            let (mut outcomes, tally) = (outcomes(connection, run).await, tally(connection, run).await);
            let mut rows = skipped(connection, run).await;
            rows.extend(requests(connection, run, &mut outcomes).await);
            Self { rows, items: view(connection, run).await, tally, unsettled: outcomes.into_keys().collect() }
        })
    }
}

impl InFlightRequest {
    /// Reads the requests that are in flight, without those that were in flight with the same attempt at the last call.
    /// `before` holds these between calls.
    pub fn read(queue: &Path, before: &mut HashSet<(i64, u32)>) -> Vec<Self> {
        // The process was killed before it had created the queue. A rollback journal belongs to SQLite's first
        // transaction, which only a writer can undo.
        if !queue.exists() || queue.with_extension("db-journal").exists() {
            return Vec::new();
        }
        let found: Vec<(String, i64, u32, Option<String>, String)> = with(queue, async |connection| {
            // The process was killed before it had created the tables.
            let there = "SELECT count(*) FROM sqlite_schema WHERE name = 'payload'";
            let there: i64 = sqlx::query_scalar(there).fetch_one(&mut *connection).await.expect("a database");
            let sending = "SELECT job, request.id, attempts, from_account, accounts FROM request
                           JOIN payload ON payload.request = request.id
                           JOIN run ON run.id = request.run WHERE request.state = 'sending'";
            match there {
                0 => Vec::new(),
                _ => sqlx::query_as(sending).fetch_all(connection).await.expect("rows"),
            }
        });
        let now = found.iter().map(|(_, request, attempts, ..)| (*request, *attempts)).collect();
        let before = std::mem::replace(before, now);
        let new = found.into_iter().filter(|(_, request, attempts, ..)| !before.contains(&(*request, *attempts)));
        let sending = |(job, request, attempts, from, accounts): (_, i64, u32, _, String)| Self {
            job,
            request,
            attempts,
            from,
            accounts: accounts.lines().map(str::to_owned).collect(),
        };
        new.map(sending).collect()
    }
}

/// Opens the queue for reading only, so that the next process finds everything as the killed one left it.
fn with<T>(queue: &Path, read: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(queue).read_only(true);
        read(&mut options.connect().await.expect("the queue opens")).await
    })
}

async fn outcomes(connection: &mut SqliteConnection, run: i64) -> Outcomes {
    let lines: Vec<(i64, String, Option<i64>)> = sqlx::query_as("SELECT row, outcome, code FROM outcome WHERE run = ?")
        .bind(run)
        .fetch_all(connection)
        .await
        .expect("rows");
    lines.into_iter().map(|(row, outcome, code)| (row, (outcome, code))).collect()
}

async fn tally(connection: &mut SqliteConnection, run: i64) -> BTreeMap<String, u64> {
    let lines: Vec<(String, i64)> = sqlx::query_as("SELECT outcome, rows FROM tally WHERE run = ?")
        .bind(run)
        .fetch_all(connection)
        .await
        .expect("rows");
    lines.into_iter().map(|(outcome, rows)| (outcome, rows.cast_unsigned())).collect()
}

async fn skipped(connection: &mut SqliteConnection, run: i64) -> Vec<QueueRow> {
    let lines: Vec<(i64, String, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT row, outcome, from_account, account FROM skipped WHERE run = ?")
            .bind(run)
            .fetch_all(connection)
            .await
            .expect("rows");
    let line = |(row, outcome, from, account): (i64, _, _, Option<String>)| QueueRow {
        row: number(row),
        request: None,
        is_first: true,
        from,
        account: account.unwrap_or_default(),
        outcome,
        code: None,
        attempts: 0,
    };
    lines.into_iter().map(line).collect()
}

/// Takes the outcomes that belong to a settled request out of `outcomes`.
async fn requests(connection: &mut SqliteConnection, run: i64, outcomes: &mut Outcomes) -> Vec<QueueRow> {
    let found: Vec<(i64, String, u32, Option<String>, String, String)> = sqlx::query_as(
        "SELECT id, state, attempts, from_account, accounts, rows FROM request
         JOIN payload ON payload.request = request.id WHERE run = ?",
    )
    .bind(run)
    .fetch_all(connection)
    .await
    .expect("rows");
    let mut lines = Vec::new();
    for (request, state, attempts, from, accounts, rows) in found {
        let accounts: Vec<&str> = accounts.lines().collect();
        let rows: Vec<Value> = serde_json::from_str(&rows).expect("a list");
        assert_eq!(accounts.len(), rows.len(), "request {request} is not parallel");
        let mut before = 0;
        for (account, rows) in accounts.into_iter().zip(&rows) {
            let rows = rows_of(rows, before);
            before = rows[0];
            for (place, row) in rows.into_iter().enumerate() {
                let ended = if state == "settled" {
                    outcomes.remove(&row).unwrap_or_else(|| ("succeeded".to_owned(), None))
                } else {
                    ("pending".to_owned(), None)
                };
                lines.push(QueueRow {
                    row: number(row),
                    request: Some(request),
                    is_first: place == 0,
                    from: from.clone(),
                    account: account.to_owned(),
                    outcome: ended.0,
                    code: ended.1,
                    attempts,
                });
            }
        }
    }
    lines
}

/// The rows of an item. The first is stored as the distance from the first row of the item before, the others as the
/// distance from it.
fn rows_of(distances: &Value, before: i64) -> Vec<i64> {
    let list = distances.as_array().map_or(std::slice::from_ref(distances), Vec::as_slice);
    let distances: Vec<i64> = list.iter().map(|distance| distance.as_i64().expect("a number")).collect();
    let (first, others) = distances.split_first().expect("an item has a row");
    std::iter::once(before + first).chain(others.iter().map(|other| before + first + other)).collect()
}

async fn view(connection: &mut SqliteConnection, run: i64) -> Vec<QueueRow> {
    let lines: Vec<ViewLine> = sqlx::query_as(
        "SELECT row, request, from_account, account, outcome, code, attempts FROM item
         WHERE run = (SELECT uuid FROM run WHERE id = ?)",
    )
    .bind(run)
    .fetch_all(connection)
    .await
    .expect("rows");
    let line = |(row, request, from, account, outcome, code, attempts): ViewLine| QueueRow {
        row: number(row),
        request,
        is_first: true,
        from,
        account: account.unwrap_or_default(),
        outcome,
        code,
        attempts,
    };
    lines.into_iter().map(line).collect()
}

fn number(row: i64) -> usize {
    usize::try_from(row).expect("rows are numbered from 0")
}
