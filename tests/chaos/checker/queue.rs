//! The queue as any SQL tool reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::ItemId;

/// What the tables say of the last run of a job.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    /// A line per row, in no order.
    pub(crate) lines: Vec<Line>,
    /// The view `item`: the same for the first row of each item.
    pub(crate) items: Vec<Line>,
    pub(crate) tally: BTreeMap<String, u64>,
    /// Rows that have an outcome and stand in no settled request.
    pub(crate) astray: Vec<i64>,
}

/// What the queue says of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) row: usize,
    /// The request that it is in; none if it is not sent.
    pub(crate) request: Option<i64>,
    /// Whether it is the first row of its item.
    pub(crate) is_first: bool,
    pub(crate) from: Option<String>,
    pub(crate) account: String,
    pub(crate) outcome: String,
    pub(crate) code: Option<i64>,
    pub(crate) attempts: u32,
}

/// A request that is in flight, as far as the queue knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) job: String,
    pub(crate) request: i64,
    pub(crate) attempts: u32,
    pub(crate) from: Option<String>,
    pub(crate) accounts: Vec<String>,
}

type ViewLine = (i64, Option<i64>, Option<String>, Option<String>, String, Option<i64>, u32);
type Outcomes = HashMap<i64, (String, Option<i64>)>;

impl Line {
    pub(crate) fn item(&self) -> ItemId<'_> {
        (self.from.as_deref(), &self.account)
    }
}

impl Filed {
    pub(crate) fn read(queue: &Path, job: &str) -> Self {
        with(queue, async |connection| {
            let last = "SELECT max(id) FROM run WHERE job = ?";
            let run = sqlx::query_scalar(last).bind(job).fetch_one(&mut *connection).await.expect("a run");
            let (mut outcomes, tally) = (outcomes(connection, run).await, tally(connection, run).await);
            let mut lines = skipped_rows(connection, run).await;
            lines.extend(requests(connection, run, &mut outcomes).await);
            Self { lines, items: view(connection, run).await, tally, astray: outcomes.into_keys().collect() }
        })
    }
}

impl Sending {
    /// What is in flight and was not so, in the same attempt, among `before`; and all that is, for the next time.
    pub(crate) fn read(queue: &Path, before: &mut HashSet<(i64, u32)>) -> Vec<Self> {
        // Killed before the file was there, or before it was a queue: its journal is that of SQLite's first steps, which the
        // next process takes back. Whoever only reads can't.
        if !queue.exists() || queue.with_extension("db-journal").exists() {
            return Vec::new();
        }
        let found: Vec<(String, i64, u32, Option<String>, String)> = with(queue, async |connection| {
            // Killed before the tables were there.
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

/// Reading only, so that what a killed process left is still there for the next one to find.
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

async fn skipped_rows(connection: &mut SqliteConnection, run: i64) -> Vec<Line> {
    let lines: Vec<(i64, String, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT row, outcome, from_account, account FROM skipped WHERE run = ?")
            .bind(run)
            .fetch_all(connection)
            .await
            .expect("rows");
    let line = |(row, outcome, from, account): (i64, _, _, Option<String>)| Line {
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
async fn requests(connection: &mut SqliteConnection, run: i64, outcomes: &mut Outcomes) -> Vec<Line> {
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
                lines.push(Line {
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

/// The rows of an item: its first as the distance from the first row of the item before, the others from its first.
fn rows_of(distances: &Value, before: i64) -> Vec<i64> {
    let list = distances.as_array().map_or(std::slice::from_ref(distances), Vec::as_slice);
    let distances: Vec<i64> = list.iter().map(|distance| distance.as_i64().expect("a number")).collect();
    let (first, others) = distances.split_first().expect("an item has a row");
    std::iter::once(before + first).chain(others.iter().map(|other| before + first + other)).collect()
}

async fn view(connection: &mut SqliteConnection, run: i64) -> Vec<Line> {
    let lines: Vec<ViewLine> = sqlx::query_as(
        "SELECT row, request, from_account, account, outcome, code, attempts FROM item
         WHERE run = (SELECT uuid FROM run WHERE id = ?)",
    )
    .bind(run)
    .fetch_all(connection)
    .await
    .expect("rows");
    let line = |(row, request, from, account, outcome, code, attempts): ViewLine| Line {
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
