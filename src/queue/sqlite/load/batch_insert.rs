//! Collects what a load stores into INSERTs of many rows. While SQLite executes one, the next is composed.

use crate::queue::load_totals::LoadTotals;
use crate::queue::sqlite::bulk_insert::Value::{Bound, Null, Number};
use crate::queue::sqlite::bulk_insert::{MAX_ROWS, insert};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::requests::skipped_rows::bind_skipped_rows;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, query};

use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::skipped_row::SkippedRow;
use crate::stored_request::StoredRequest;

/// Bytes of requests in one INSERT: 1024 requests with a thousand long tags each would be 512 MB.
const BYTES: usize = 4 << 20;

type InsertStatement = Query<'static, Sqlite, SqliteArguments>;

/// Table rows to be inserted together.
pub struct BatchInsert {
    pub(in crate::queue) statements: Vec<InsertStatement>,
    pub(in crate::queue) rows: usize,
    pub(in crate::queue) bytes: usize,
}

/// Rows that wait to be inserted. Adding one that completes a batch returns the batch.
#[derive(Debug)]
pub struct Gathering {
    run: RunId,
    next_request: RequestId,
    totals: LoadTotals,
    requests: Vec<StoredRequest>,
    skipped_rows: Vec<SkippedRow>,
    line_spans: Vec<LineSpan>,
    waiting_bytes: usize,
}

impl Gathering {
    pub(in crate::queue) fn new(run: RunId, next_request: RequestId) -> Self {
        Self {
            run,
            next_request,
            totals: LoadTotals::default(),
            requests: Vec::with_capacity(MAX_ROWS),
            skipped_rows: Vec::with_capacity(MAX_ROWS),
            line_spans: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Adds a request. Those of one From_Account must follow each other.
    pub fn request(&mut self, request: StoredRequest) -> Option<BatchInsert> {
        self.totals.add_request(&request);
        self.waiting_bytes += bytes_of(&request);
        self.requests.push(request);
        (self.requests.len() == MAX_ROWS || self.waiting_bytes >= BYTES).then(|| self.insert_requests())
    }

    /// Adds a skipped row.
    pub fn skipped_row(&mut self, skipped: SkippedRow) -> Option<BatchInsert> {
        self.totals.add_skipped(&skipped);
        self.skipped_rows.push(skipped);
        (self.skipped_rows.len() == MAX_ROWS).then(|| self.insert_skipped_rows())
    }

    /// Adds a line span.
    pub fn line_span(&mut self, span: LineSpan) -> Option<BatchInsert> {
        self.line_spans.push(span);
        (self.line_spans.len() == MAX_ROWS).then(|| self.insert_line_spans())
    }

    /// The id of the next request.
    pub(in crate::queue) fn next_request(&self) -> RequestId {
        self.next_request
    }

    /// The batches of the rows that still wait.
    pub(in crate::queue) fn rest(&mut self) -> Vec<BatchInsert> {
        vec![self.insert_requests(), self.insert_skipped_rows(), self.insert_line_spans()]
    }

    pub(in crate::queue) fn totals(self) -> LoadTotals {
        self.totals
    }

    fn insert_requests(&mut self) -> BatchInsert {
        let requests = std::mem::take(&mut self.requests);
        let (rows, bytes) = (requests.len(), std::mem::take(&mut self.waiting_bytes));
        if rows == 0 {
            return BatchInsert::nothing();
        }
        let optional = |exists| if exists { Bound } else { Null };
        let from = optional(requests.iter().any(|request| request.from.is_some()));
        let tags = optional(requests.iter().any(|request| request.tags.is_some()));
        let columns = [Bound, Number(self.run.get()), Bound, Bound, Bound];
        let mut narrow = query(insert("request (id, run, item_count, row_count, checksum)", &columns, rows));
        let columns = [Bound, from, Bound, Bound, tags, Bound];
        let mut wide = query(insert("payload (request, from_account, accounts, rows, tags, checksum)", &columns, rows));
        for request in requests {
            let id = self.next_request.take();
            let (items, rows) = (request.item_count, request.row_count);
            narrow = narrow.bind(id).bind(items).bind(rows).bind(checksum::new_request(id, self.run, items, rows));
            let checksum = checksum::payload(id, self.run, &request, (None, None));
            wide = wide.bind(id);
            if from == Bound {
                wide = wide.bind(request.from);
            }
            wide = wide.bind(request.accounts).bind(request.rows);
            if tags == Bound {
                wide = wide.bind(request.tags);
            }
            wide = wide.bind(checksum);
        }
        BatchInsert { statements: vec![narrow, wide], rows, bytes }
    }

    fn insert_skipped_rows(&mut self) -> BatchInsert {
        let skipped_rows = std::mem::take(&mut self.skipped_rows);
        let rows = skipped_rows.len();
        if rows == 0 {
            BatchInsert::nothing()
        } else {
            BatchInsert::of(bind_skipped_rows(self.run, skipped_rows), rows)
        }
    }

    fn insert_line_spans(&mut self) -> BatchInsert {
        let line_spans = std::mem::take(&mut self.line_spans);
        if line_spans.is_empty() {
            return BatchInsert::nothing();
        }
        let mut query = query(insert(
            "line_span (run, first_row, source, first_line, step, checksum)",
            &[Bound; 6],
            line_spans.len(),
        ));
        for span in &line_spans {
            query = query.bind(self.run).bind(span.first_row.cast_signed()).bind(span.source);
            query = query.bind(span.first_line.cast_signed()).bind(span.step.cast_signed());
            query = query.bind(checksum::line_span(self.run, span));
        }
        BatchInsert::of(query, line_spans.len())
    }
}

impl BatchInsert {
    fn nothing() -> Self {
        Self { statements: Vec::new(), rows: 0, bytes: 0 }
    }

    fn of(statement: InsertStatement, rows: usize) -> Self {
        Self { statements: vec![statement], rows, bytes: 0 }
    }
}

impl std::fmt::Debug for BatchInsert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchInsert").field("rows", &self.rows).finish_non_exhaustive()
    }
}

fn bytes_of(request: &StoredRequest) -> usize {
    request.accounts.len() + request.rows.len() + request.tags.as_ref().map_or(0, String::len)
}
