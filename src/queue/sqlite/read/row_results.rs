//! Reads the outcomes of rows: requests page by page in no particular sequence, the rest by ranges of rows.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use sqlx::FromRow;

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::Item;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;
use crate::queue::error::QueueError;
use crate::queue::row_outcome::{Original, RowOutcome, SkippedResult};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::reader::{REQUESTS_PER_PAGE, Snapshot};
use crate::queue::sqlite::requests::request_row::{RequestRow, select_request};
use crate::queue::sqlite::states::StoredState;

/// A request, as results need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestResult(RequestRow);

/// The columns that [`Snapshot::exceptions`] selects.
#[derive(Deserialize)]
pub(super) struct ExceptionColumns<'a>(
    pub(super) RowNo,
    #[serde(borrow)] pub(super) Cow<'a, str>,
    pub(super) Option<i64>,
    pub(super) String,
    pub(super) i64,
);

/// The columns that [`Snapshot::skipped_rows`] selects.
#[derive(Deserialize)]
struct SkippedColumns<'a> {
    row: RowNo,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    duplicate_of: Option<RowNo>,
    column: Option<String>,
    reason: Option<String>,
    from: Option<String>,
    account: Option<String>,
    fields: Option<String>,
    checksum: i64,
    original: Option<LineSpanColumns>,
}

#[derive(FromRow, Deserialize)]
pub(super) struct LineSpanColumns {
    first_row: i64,
    source: i64,
    first_line: i64,
    step: i64,
    checksum: i64,
}

impl Snapshot {
    /// The next requests of a run, with ids above `after`; empty at the end.
    pub async fn request_results(&mut self, run: RunId, after: RequestId) -> Result<Vec<RequestResult>, QueueError> {
        let page: Vec<RequestRow> =
            sqlx::query_as(select_request!("NOT INDEXED", "run = ? AND id > ? ORDER BY id LIMIT ?"))
                .bind(run)
                .bind(after)
                .bind(REQUESTS_PER_PAGE)
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(self.fail())?;
        let mut before = after;
        for stored in &page {
            if stored.id <= before || stored.run != run {
                return Err(stored.damaged("is in the wrong place"));
            }
            before = stored.id;
        }
        Ok(page.into_iter().map(RequestResult).collect())
    }

    /// The outcomes of those of these rows that have one in table `outcome`, in row order.
    pub async fn exceptions(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<RowOutcome>, QueueError> {
        let list: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(row, outcome, code, reason, checksum))
             FROM (SELECT * FROM outcome WHERE run = ? AND row >= ? AND row < ? ORDER BY row)",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let list: Vec<ExceptionColumns<'_>> = parse(&list)?;
        list.into_iter().map(|exception| exception.read(run)).collect()
    }

    /// Those of these rows that are skipped, in row order.
    pub async fn skipped_rows(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<SkippedResult>, QueueError> {
        let list: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(row, outcome, duplicate_of, column_name, reason, from_account, account,
                 fields, checksum, (SELECT json_array(first_row, source, first_line, step, checksum) FROM line_span
                  WHERE run = ?1 AND first_row <= duplicate_of ORDER BY first_row DESC LIMIT 1)))
             FROM (SELECT * FROM skipped WHERE run = ?1 AND row >= ?2 AND row < ?3 ORDER BY row)",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let list: Vec<SkippedColumns<'_>> = parse(&list)?;
        list.into_iter().map(|skipped| skipped.read(run)).collect()
    }

    /// The first rows of a run that cannot be sent.
    pub(in crate::queue) async fn rejected_rows(&mut self, run: RunId, limit: u32) -> Result<Vec<RowNo>, QueueError> {
        let rows =
            sqlx::query_scalar("SELECT row FROM skipped WHERE run = ? AND outcome = 'rejected' ORDER BY row LIMIT ?");
        let rows = rows.bind(run).bind(limit).fetch_all(&mut *self.transaction).await;
        let rows: Vec<i64> = rows.map_err(self.fail())?;
        Ok(rows.into_iter().map(i64::cast_unsigned).collect())
    }

    /// The line spans of these rows, in row order. The first span may begin before the rows.
    pub async fn line_spans(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<LineSpan>, QueueError> {
        let line_spans: Vec<LineSpanColumns> = sqlx::query_as(
            "SELECT first_row, source, first_line, step, checksum FROM line_span
             WHERE run = ?1 AND first_row < ?3 AND first_row >= coalesce(
                 (SELECT max(first_row) FROM line_span WHERE run = ?1 AND first_row <= ?2), 0)
             ORDER BY first_row",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        line_spans.iter().map(|span| span.read(run)).collect()
    }
}

impl From<RequestRow> for RequestResult {
    fn from(request: RequestRow) -> Self {
        Self(request)
    }
}

impl RequestResult {
    /// Its run.
    pub fn run(&self) -> RunId {
        self.0.run
    }

    /// Its id.
    pub fn id(&self) -> RequestId {
        self.0.id
    }

    /// The account whose list of friends it changes.
    pub fn from(&self) -> Option<&str> {
        self.0.from_account.as_deref()
    }

    /// The outcome of all its rows except those of [`Snapshot::exceptions`]: succeeded if it is settled, else pending.
    pub fn outcome(&self) -> Outcome {
        match self.0.state {
            StoredState::Settled => Outcome::Succeeded,
            StoredState::Pending | StoredState::Sending => Outcome::Pending,
        }
    }

    /// The codes of earlier responses in words; empty without any. Call [`RequestResult::items`] first.
    pub fn earlier_codes(&self) -> Result<String, QueueError> {
        Ok(self.0.history()?.earlier())
    }

    /// The calls that were begun for its items.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Milliseconds since 1970.
    pub fn finished_at(&self) -> Option<i64> {
        self.0.finished_at
    }

    /// The number of its rows, if the request is as it was written.
    pub(in crate::queue) fn row_count(&self) -> Result<u64, QueueError> {
        self.0.row_count()
    }

    /// Its items, if the request is as it was written. Decoded one request at a time, since the items of a page of
    /// large requests take much memory.
    pub fn items(&self) -> Result<Vec<Item>, QueueError> {
        self.0.items()
    }
}

impl ExceptionColumns<'_> {
    pub(super) fn read(self, run: RunId) -> Result<RowOutcome, QueueError> {
        let Self(row, outcome, code, reason, checksum) = self;
        if checksum != checksum::outcome(run, row, &outcome, code, &reason) {
            return Err(wrong_checksum("outcome", row));
        }
        Ok(RowOutcome { row, outcome: outcome_named(&outcome)?, code, reason })
    }
}

impl SkippedColumns<'_> {
    fn read(self, run: RunId) -> Result<SkippedResult, QueueError> {
        let Self { row, duplicate_of, .. } = self;
        let texts = [&self.column, &self.reason, &self.from, &self.account, &self.fields].map(Option::as_deref);
        if self.checksum != checksum::skipped(run, row, &self.outcome, duplicate_of, texts) {
            return Err(wrong_checksum("skipped", row));
        }
        let original = |of| {
            let nowhere = || QueueError::Damaged(format!("row {of}, which row {row} repeats, has no line"));
            let span = self.original.as_ref().ok_or_else(nowhere)?.read(run)?;
            Ok(Original { row: of, span })
        };
        let fields = self.fields.as_deref().map(serde_json::from_str).transpose();
        Ok(SkippedResult {
            row,
            outcome: outcome_named(&self.outcome)?,
            duplicate_of: duplicate_of.map(original).transpose()?,
            column: self.column,
            reason: self.reason,
            from: self.from,
            account: self.account,
            fields: fields
                .map_err(|error| QueueError::Damaged(format!("fields of row {row}: {error}")))?
                .unwrap_or_default(),
        })
    }
}

pub(super) fn wrong_checksum(table: &str, row: RowNo) -> QueueError {
    QueueError::Damaged(format!("row {row} has a wrong checksum in table {table}"))
}

/// Parses the JSON list that a query returns for many rows. The driver's cost per row and column is several times the
/// cost of JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(list: &'a str) -> Result<Vec<T>, QueueError> {
    serde_json::from_str(list).map_err(|error| QueueError::Damaged(error.to_string()))
}

impl LineSpanColumns {
    pub(super) fn read(&self, run: RunId) -> Result<LineSpan, QueueError> {
        let span = LineSpan {
            first_row: self.first_row.cast_unsigned(),
            source: u32::try_from(self.source).unwrap_or(u32::MAX),
            first_line: self.first_line.cast_unsigned(),
            step: self.step.cast_unsigned(),
        };
        if self.checksum == checksum::line_span(run, &span) {
            return Ok(span);
        }
        Err(wrong_checksum("line_span", span.first_row))
    }
}

pub(in crate::queue) fn outcome_named(outcome: &str) -> Result<Outcome, QueueError> {
    outcome.parse().map_err(|_| QueueError::Damaged(format!("an outcome named {outcome}")))
}
