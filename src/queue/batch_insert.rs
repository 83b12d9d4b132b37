//! Gathering what a load stores into statements of many lines, without waiting for the queue: while SQLite carries one out, the
//! next is put together.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, query};

use super::bulk_insert::{LINES, insert};
use super::checksum::{Checksum, request_checksum};
use super::edit::payload_checksum;
use super::largest::{LargeAccount, Largest};
use super::skipped_rows::bind_skipped_rows;
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::line_span::LineSpan;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::skipped_row::SkippedRow;
use crate::stored_request::StoredRequest;

/// Bytes of requests that wait for one INSERT: 1024 of a thousand long tags each would be 512 MB.
const BYTES: usize = 4 << 20;

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Lines to be written together.
pub struct Insert {
    pub(super) statements: Vec<Statement>,
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// What a load holds in all.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) tally: Tally,
    pub(super) items: i64,
    pub(super) largest: Vec<LargeAccount>,
}

/// What waits to be written. Each line that completes a statement gives it back.
#[derive(Debug)]
pub struct Gathering {
    run: RunId,
    next_request: RequestId,
    tally: Tally,
    items: i64,
    largest: Largest,
    requests: Vec<StoredRequest>,
    skipped_rows: Vec<SkippedRow>,
    line_spans: Vec<LineSpan>,
    waiting_bytes: usize,
}

impl Gathering {
    pub(super) fn new(run: RunId, next_request: RequestId) -> Self {
        Self {
            run,
            next_request,
            tally: Tally::default(),
            items: 0,
            largest: Largest::default(),
            requests: Vec::with_capacity(LINES),
            skipped_rows: Vec::with_capacity(LINES),
            line_spans: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a request. Those of one From_Account follow each other.
    pub fn request(&mut self, request: StoredRequest) -> Option<Insert> {
        self.tally[Outcome::Pending] += u64::from(request.row_count);
        self.items += i64::from(request.item_count);
        self.largest.request(&request);
        self.waiting_bytes += bytes_of(&request);
        self.requests.push(request);
        (self.requests.len() == LINES || self.waiting_bytes >= BYTES).then(|| self.insert_requests())
    }

    /// Takes a row that is not sent.
    pub fn skipped_row(&mut self, skipped: SkippedRow) -> Option<Insert> {
        self.tally[skipped.reason.outcome()] += 1;
        self.skipped_rows.push(skipped);
        (self.skipped_rows.len() == LINES).then(|| self.insert_skipped_rows())
    }

    /// Takes where rows stand in their file.
    pub fn line_span(&mut self, span: LineSpan) -> Option<Insert> {
        self.line_spans.push(span);
        (self.line_spans.len() == LINES).then(|| self.insert_line_spans())
    }

    /// The number of the request that comes next.
    pub(super) fn next_request(&self) -> RequestId {
        self.next_request
    }

    /// What still waits.
    pub(super) fn rest(&mut self) -> Vec<Insert> {
        vec![self.insert_requests(), self.insert_skipped_rows(), self.insert_line_spans()]
    }

    pub(super) fn totals(self) -> Totals {
        Totals { tally: self.tally, items: self.items, largest: self.largest.finish() }
    }

    fn insert_requests(&mut self) -> Insert {
        let requests = std::mem::take(&mut self.requests);
        let (lines, bytes) = (requests.len(), std::mem::take(&mut self.waiting_bytes));
        if lines == 0 {
            return Insert::nothing();
        }
        let mut narrow = query(insert("request (id, run, item_count, row_count, checksum)", 5, lines));
        let mut wide = query(insert("payload (request, from_account, accounts, rows, tags, checksum)", 6, lines));
        for request in requests {
            let id = self.next_request.take();
            let (items, rows) = (request.item_count, request.row_count);
            narrow =
                narrow.bind(id).bind(self.run).bind(items).bind(rows).bind(request_checksum(id, self.run, items, rows));
            let checksum = payload_checksum(id, self.run, &request, None);
            wide = wide.bind(id).bind(request.from).bind(request.accounts).bind(request.rows).bind(request.tags);
            wide = wide.bind(checksum);
        }
        Insert { statements: vec![narrow, wide], lines, bytes }
    }

    fn insert_skipped_rows(&mut self) -> Insert {
        let skipped_rows = std::mem::take(&mut self.skipped_rows);
        let lines = skipped_rows.len();
        if lines == 0 { Insert::nothing() } else { Insert::of(bind_skipped_rows(self.run, skipped_rows), lines) }
    }

    fn insert_line_spans(&mut self) -> Insert {
        let line_spans = std::mem::take(&mut self.line_spans);
        if line_spans.is_empty() {
            return Insert::nothing();
        }
        let mut query =
            query(insert("line_span (run, first_row, source, first_line, step, checksum)", 6, line_spans.len()));
        for span in &line_spans {
            query = query.bind(self.run).bind(span.first_row.cast_signed()).bind(span.source);
            query = query.bind(span.first_line.cast_signed()).bind(span.step.cast_signed());
            query = query.bind(line_span_checksum(self.run, span));
        }
        Insert::of(query, line_spans.len())
    }
}

impl Insert {
    fn nothing() -> Self {
        Self { statements: Vec::new(), lines: 0, bytes: 0 }
    }

    fn of(statement: Statement, lines: usize) -> Self {
        Self { statements: vec![statement], lines, bytes: 0 }
    }
}

impl std::fmt::Debug for Insert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insert").field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// The checksum of a stretch of rows.
pub(super) fn line_span_checksum(run: RunId, span: &LineSpan) -> i64 {
    let start = Checksum::new().number(run.get()).row(span.first_row).number(span.source.into());
    start.number(span.first_line.cast_signed()).number(span.step.cast_signed()).sum()
}

fn bytes_of(request: &StoredRequest) -> usize {
    request.accounts.len() + request.rows.len() + request.tags.as_ref().map_or(0, String::len)
}
