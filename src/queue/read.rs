//! Reading what became of the rows: requests page by page and in no particular order (`results` sorts), the rest by
//! ranges of rows.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sqlx::{FromRow, Sqlite, SqlitePool, Transaction};

use super::{QueueError, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::packed::{Packed, Segment};
use crate::domain::request::{Item, RequestId};
use crate::domain::row::{RowNo, Tags};

/// Requests of a page of results.
const REQUESTS: u32 = 256;

/// Reads a queue beside its owner, in short reads that hold up nobody.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) path: PathBuf,
    pub(super) pool: SqlitePool,
}

/// One moment of a queue.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    transaction: Transaction<'static, Sqlite>,
}

/// A request, as results need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestResult {
    /// Its number.
    pub id: RequestId,
    /// The account whose list was to be changed.
    pub from: Option<String>,
    /// What holds of all its rows but those of [`Snapshot::exceptions`]: succeeded once it is settled, else pending.
    pub outcome: Outcome,
    /// HTTP exchanges begun for its items.
    pub attempts: u32,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

/// A row of a settled request that did not simply succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The row.
    pub row: RowNo,
    /// Where it ended.
    pub outcome: Outcome,
    /// The code that said so.
    pub code: Option<i64>,
    /// In words.
    pub reason: String,
}

/// A row that is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideResult {
    /// The row.
    pub row: RowNo,
    /// Rejected, duplicate or protected.
    pub outcome: Outcome,
    /// The earlier row that says the same.
    pub duplicate_of: Option<Original>,
    /// In words.
    pub reason: Option<String>,
    /// As it stands in the file.
    pub from: Option<String>,
    /// As it stands in the file.
    pub account: Option<String>,
    /// As far as they were read.
    pub tags: Tags,
}

/// The row that a duplicate repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// The row.
    pub row: RowNo,
    /// The stretch that it stands in.
    pub segment: Segment,
}

#[derive(FromRow)]
struct StoredResult {
    id: RequestId,
    settled: bool,
    attempts: u32,
    finished_at: Option<i64>,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

/// In the order of the columns that [`Snapshot::asides`] selects.
#[derive(Deserialize)]
struct StoredAside<'a> {
    row: RowNo,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    reason: Option<String>,
    from: Option<String>,
    account: Option<String>,
    tags: Option<Tags>,
    duplicate_of: Option<RowNo>,
    original: Option<StoredSegment>,
}

#[derive(FromRow, Deserialize)]
struct StoredSegment {
    first_row: i64,
    source: i64,
    first_line: i64,
    step: i64,
}

impl Reader {
    /// The queue as it stands at the first read and stays for all later ones, whatever its owner writes meanwhile.
    ///
    /// SQLite's log can't be folded into the file while a snapshot is held, so it is dropped once all is read.
    pub async fn snapshot(&self) -> Result<Snapshot, QueueError> {
        let transaction = self.pool.begin().await.map_err(self.fail())?;
        Ok(Snapshot { path: self.path.clone(), transaction })
    }

    pub(super) fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        database(&self.path)
    }
}

impl Snapshot {
    /// The next requests of a run, with numbers above `after`; none: that was all.
    pub async fn request_results(&mut self, run: RunId, after: RequestId) -> Result<Vec<RequestResult>, QueueError> {
        let page: Vec<StoredResult> = sqlx::query_as(
            "SELECT id, state = 'settled' AS settled, attempts, finished_at, from_account, accounts, rows, tags
             FROM request NOT INDEXED JOIN payload ON payload.request = request.id
             WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(run)
        .bind(after)
        .bind(REQUESTS)
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        Ok(page.into_iter().map(RequestResult::from).collect())
    }

    /// Those of these rows that did not simply succeed though their request is settled, in order.
    pub async fn exceptions(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<Exception>, QueueError> {
        let list: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(row, outcome, code, reason))
             FROM (SELECT * FROM outcome WHERE run = ? AND row >= ? AND row < ? ORDER BY row)",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let list: Vec<(RowNo, Cow<'_, str>, Option<i64>, String)> = parse(&list)?;
        let read = |(row, outcome, code, reason): (RowNo, Cow<'_, str>, Option<i64>, String)| {
            Ok(Exception { row, outcome: named(&outcome)?, code, reason })
        };
        list.into_iter().map(read).collect()
    }

    /// Those of these rows that are not sent, in order.
    pub async fn asides(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<AsideResult>, QueueError> {
        let list: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(row, outcome, reason, from_account, account, json(tags), duplicate_of,
                 (SELECT json_array(first_row, source, first_line, step) FROM segment
                  WHERE run = ?1 AND first_row <= duplicate_of ORDER BY first_row DESC LIMIT 1)))
             FROM (SELECT * FROM aside WHERE run = ?1 AND row >= ?2 AND row < ?3 ORDER BY row)",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let list: Vec<StoredAside<'_>> = parse(&list)?;
        list.into_iter().map(StoredAside::read).collect()
    }

    /// The files of a run's input, as results name them.
    pub async fn sources(&mut self, run: RunId) -> Result<Vec<String>, QueueError> {
        let names = sqlx::query_scalar("SELECT name FROM source WHERE run = ? ORDER BY number");
        let names = names.bind(run).fetch_all(&mut *self.transaction).await;
        names.map_err(self.fail())
    }

    /// Where these rows stand in their files, in order: the first stretch may begin before them.
    pub async fn segments(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<Segment>, QueueError> {
        let segments: Vec<StoredSegment> = sqlx::query_as(
            "SELECT first_row, source, first_line, step FROM segment
             WHERE run = ?1 AND first_row < ?3 AND first_row >= coalesce(
                 (SELECT max(first_row) FROM segment WHERE run = ?1 AND first_row <= ?2), 0)
             ORDER BY first_row",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        Ok(segments.iter().map(StoredSegment::read).collect())
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        database(&self.path)
    }
}

fn database(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    let path = path.to_owned();
    move |source| QueueError::Database { path: path.clone(), source }
}

impl RequestResult {
    /// What was asked for. Unpacked one request at a time: a page of large requests takes much memory.
    pub fn items(&self) -> Result<Vec<Item>, QueueError> {
        let items = Packed::unpack(&self.accounts, &self.rows, self.tags.as_deref());
        items.map_err(|source| QueueError::Damaged { request: self.id, source })
    }
}

impl From<StoredResult> for RequestResult {
    fn from(stored: StoredResult) -> Self {
        Self {
            id: stored.id,
            from: stored.from_account,
            outcome: if stored.settled { Outcome::Succeeded } else { Outcome::Pending },
            attempts: stored.attempts,
            finished_at: stored.finished_at,
            accounts: stored.accounts,
            rows: stored.rows,
            tags: stored.tags,
        }
    }
}

impl StoredAside<'_> {
    fn read(self) -> Result<AsideResult, QueueError> {
        let original = |row| {
            let nowhere = || QueueError::Unexpected(format!("row {row}, which row {} repeats, has no line", self.row));
            let segment = self.original.as_ref().map(StoredSegment::read).ok_or_else(nowhere)?;
            Ok(Original { row, segment })
        };
        Ok(AsideResult {
            row: self.row,
            outcome: named(&self.outcome)?,
            duplicate_of: self.duplicate_of.map(original).transpose()?,
            reason: self.reason,
            from: self.from,
            account: self.account,
            tags: self.tags.unwrap_or_default(),
        })
    }
}

/// One list for many rows: the library's own cost a row and column is several times that of JSON.
fn parse<'a, T: Deserialize<'a>>(list: &'a str) -> Result<Vec<T>, QueueError> {
    serde_json::from_str(list).map_err(|error| QueueError::Unexpected(error.to_string()))
}

impl StoredSegment {
    fn read(&self) -> Segment {
        Segment {
            first_row: self.first_row.cast_unsigned(),
            source: u32::try_from(self.source).unwrap_or(u32::MAX),
            first_line: self.first_line.cast_unsigned(),
            step: self.step.cast_unsigned(),
        }
    }
}

pub(super) fn named(outcome: &str) -> Result<Outcome, QueueError> {
    outcome.parse().map_err(|_| QueueError::Unexpected(format!("an outcome named {outcome}")))
}
