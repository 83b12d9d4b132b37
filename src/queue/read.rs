//! Reading what became of the rows, page by page and in no particular order: `results` sorts.

use std::path::PathBuf;

use sqlx::{FromRow, SqlitePool};

use super::{QueueError, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::packed::Packed;
use crate::domain::request::{Item, RequestId};
use crate::domain::row::{RowNo, Tags};

/// Requests of a page of results.
const REQUESTS: u32 = 256;
/// Rows of a page of results.
const ROWS: u32 = 10_000;

/// Reads a queue beside its owner, in short reads that hold up nobody.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) path: PathBuf,
    pub(super) pool: SqlitePool,
}

/// A request, as results need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestResult {
    /// Its number.
    pub id: RequestId,
    /// The account whose list was to be changed.
    pub from: Option<String>,
    /// What was asked for.
    pub items: Vec<Item>,
    /// What holds of all its rows but those of [`Reader::exceptions`]: succeeded once it is settled, else pending.
    pub outcome: Outcome,
    /// HTTP exchanges begun for its items.
    pub attempts: u32,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
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
    /// The row that says the same.
    pub duplicate_of: Option<RowNo>,
    /// The column at fault.
    pub column: Option<String>,
    /// In words.
    pub reason: Option<String>,
    /// As it stands in the file.
    pub from: Option<String>,
    /// As it stands in the file.
    pub account: Option<String>,
    /// As far as they were read.
    pub tags: Tags,
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

#[derive(FromRow)]
struct StoredAside {
    row: i64,
    outcome: String,
    duplicate_of: Option<i64>,
    column_name: Option<String>,
    reason: Option<String>,
    from_account: Option<String>,
    account: Option<String>,
    tags: Option<String>,
}

impl Reader {
    /// The next requests of a run, with numbers above `after`; none: that was all.
    pub async fn request_results(&self, run: RunId, after: RequestId) -> Result<Vec<RequestResult>, QueueError> {
        let page: Vec<StoredResult> = sqlx::query_as(
            "SELECT id, state = 'settled' AS settled, attempts, finished_at, from_account, accounts, rows, tags
             FROM request NOT INDEXED JOIN payload ON payload.request = request.id
             WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(run)
        .bind(after)
        .bind(REQUESTS)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        page.into_iter().map(StoredResult::read).collect()
    }

    /// The next rows of settled requests that did not simply succeed, from this row on; none: that was all.
    pub async fn exceptions(&self, run: RunId, from_row: RowNo) -> Result<Vec<Exception>, QueueError> {
        let page: Vec<(i64, String, Option<i64>, String)> = sqlx::query_as(
            "SELECT row, outcome, code, reason FROM outcome WHERE run = ? AND row >= ? ORDER BY row LIMIT ?",
        )
        .bind(run)
        .bind(from_row.cast_signed())
        .bind(ROWS)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let read = |(row, outcome, code, reason): (i64, String, Option<i64>, String)| {
            Ok(Exception { row: row.cast_unsigned(), outcome: named(&outcome)?, code, reason })
        };
        page.into_iter().map(read).collect()
    }

    /// The next rows that are not sent, from this row on; none: that was all.
    pub async fn asides(&self, run: RunId, from_row: RowNo) -> Result<Vec<AsideResult>, QueueError> {
        let page: Vec<StoredAside> = sqlx::query_as(
            "SELECT row, outcome, duplicate_of, column_name, reason, from_account, account, tags
             FROM aside WHERE run = ? AND row >= ? ORDER BY row LIMIT ?",
        )
        .bind(run)
        .bind(from_row.cast_signed())
        .bind(ROWS)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        page.into_iter().map(StoredAside::read).collect()
    }

    /// How often each code ended rows of a run otherwise than in plain success.
    pub async fn codes(&self, run: RunId) -> Result<Vec<(Outcome, Option<i64>, u64)>, QueueError> {
        let codes: Vec<(String, Option<i64>, i64)> = sqlx::query_as(
            "SELECT outcome, code, count(*) FROM outcome WHERE run = ? GROUP BY outcome, code ORDER BY 3 DESC, 1, 2",
        )
        .bind(run)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        codes.into_iter().map(|(name, code, rows)| Ok((named(&name)?, code, rows.cast_unsigned()))).collect()
    }

    pub(super) fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        let path = self.path.clone();
        move |source| QueueError::Database { path: path.clone(), source }
    }
}

impl StoredResult {
    fn read(self) -> Result<RequestResult, QueueError> {
        let damaged = |source| QueueError::Damaged { request: self.id, source };
        Ok(RequestResult {
            id: self.id,
            items: Packed::unpack(&self.accounts, &self.rows, self.tags.as_deref()).map_err(damaged)?,
            from: self.from_account,
            outcome: if self.settled { Outcome::Succeeded } else { Outcome::Pending },
            attempts: self.attempts,
            finished_at: self.finished_at,
        })
    }
}

impl StoredAside {
    fn read(self) -> Result<AsideResult, QueueError> {
        let tags = self.tags.as_deref().map(serde_json::from_str).transpose();
        let tags = tags.map_err(|error| QueueError::Unexpected(format!("tags of row {}: {error}", self.row)))?;
        Ok(AsideResult {
            row: self.row.cast_unsigned(),
            outcome: named(&self.outcome)?,
            duplicate_of: self.duplicate_of.map(i64::cast_unsigned),
            column: self.column_name,
            reason: self.reason,
            from: self.from_account,
            account: self.account,
            tags: tags.unwrap_or_default(),
        })
    }
}

fn named(outcome: &str) -> Result<Outcome, QueueError> {
    outcome.parse().map_err(|_| QueueError::Unexpected(format!("an outcome named {outcome}")))
}
