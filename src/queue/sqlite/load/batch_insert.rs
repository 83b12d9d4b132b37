//! Collects what a load stores into INSERTs of many rows. While SQLite executes one, the next is composed.

use super::carried_items::CarriedItems;
use crate::queue::carried::{CarriedOver, CarriedRow, StoredCarry};
use crate::queue::load_totals::LoadTotals;
use crate::queue::run_state::CarrySource;
use crate::queue::sqlite::bulk_insert::Value::{Bound, Null, Number};
use crate::queue::sqlite::bulk_insert::{MAX_ROWS, insert};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::requests::edit::NewRequest;
use crate::queue::sqlite::requests::skipped_rows::bind_skipped_rows;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, query};

use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::skipped_row::SkippedRow;
use crate::stored_request::StoredRequest;

/// Bytes of requests in one INSERT: 1024 requests with a thousand long fields each would be 512 MB.
const MAX_INSERT_BYTES: usize = 4 << 20;

type InsertStatement = Query<'static, Sqlite, SqliteArguments>;

/// Table rows to be inserted together.
pub struct BatchInsert {
    pub(in crate::queue) statements: Vec<InsertStatement>,
    /// Requests of carried items.
    pub(in crate::queue) carried: Vec<NewRequest>,
    pub(in crate::queue) rows: usize,
    pub(in crate::queue) bytes: usize,
}

/// Rows that wait to be inserted. Adding one that completes a batch returns the batch.
#[derive(Debug)]
pub struct Gathering {
    run: RunId,
    first_request: RequestId,
    next_request: RequestId,
    carried_from: Option<StoredCarry>,
    carried: CarriedItems,
    /// Requests of carried items that wait.
    carried_requests: Vec<NewRequest>,
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
            first_request: next_request,
            next_request,
            carried_from: None,
            carried: CarriedItems::new(run, next_request),
            carried_requests: Vec::new(),
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
        let (request, carried) = self.carried.take_from(request);
        self.waiting_bytes += request.iter().chain(carried.iter().map(|new| &new.encoded)).map(bytes_of).sum::<usize>();
        self.requests.extend(request);
        self.carried_requests.extend(carried);
        let waiting = self.requests.len().max(self.carried_requests.len());
        (waiting >= MAX_ROWS || self.waiting_bytes >= MAX_INSERT_BYTES).then(|| self.insert_requests())
    }

    /// Notes the next rows that are carried over. Returns the batches that store where they come from.
    pub(in crate::queue) fn carry(&mut self, source: RunId, rows: &[CarriedRow]) -> Vec<BatchInsert> {
        let batch = |rows: &[CarriedRow]| {
            let columns = "carried (run, row, source_run, source_row, nights, checksum)";
            let mut query = query(insert(columns, &[Bound; 6], rows.len()));
            for row in rows {
                let number = self.carried.row_count();
                self.carried.add(row);
                query = query.bind(self.run).bind(number.cast_signed()).bind(source).bind(row.row.cast_signed());
                query = query.bind(row.nights);
                query = query.bind(checksum::carried((self.run, number), (source, row.row), row.nights));
            }
            BatchInsert::of(query, rows.len())
        };
        rows.chunks(MAX_ROWS).map(batch).collect()
    }

    /// Sets the run from which rows were carried over, and the number of those that stayed there.
    pub(in crate::queue) fn carried_from(&mut self, source: &CarrySource, left_behind: u64) {
        self.carried.limit_items(source.run.operation.items_per_request);
        let over = CarriedOver { run: source.run.uuid.clone(), rows: self.carried.row_count(), items: 0, left_behind };
        self.carried_from = Some(StoredCarry { digest: source.digest.clone(), over });
    }

    /// What the run has taken over.
    pub(in crate::queue) fn carried_over(&self) -> Option<StoredCarry> {
        let StoredCarry { digest, over } = self.carried_from.clone()?;
        Some(StoredCarry { digest, over: CarriedOver { items: self.carried.only_carried(), ..over } })
    }

    /// Adds a skipped row.
    pub fn skipped_row(&mut self, skipped: SkippedRow) -> Option<BatchInsert> {
        self.totals.add_skipped(&skipped);
        self.carried.add_skipped(&skipped);
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
        self.carried.next_request(self.first_request).unwrap_or(self.next_request)
    }

    /// The batches of the rows that still wait.
    pub(in crate::queue) fn rest(&mut self) -> Vec<BatchInsert> {
        self.carried_requests.extend(self.carried.finish());
        vec![self.insert_requests(), self.insert_skipped_rows(), self.insert_line_spans()]
    }

    pub(in crate::queue) fn totals(self) -> LoadTotals {
        self.totals
    }

    fn insert_requests(&mut self) -> BatchInsert {
        let requests = std::mem::take(&mut self.requests);
        let (rows, bytes) = (requests.len(), std::mem::take(&mut self.waiting_bytes));
        let carried = std::mem::take(&mut self.carried_requests);
        if rows == 0 {
            return BatchInsert { rows: carried.len(), statements: Vec::new(), carried, bytes };
        }
        let optional = |exists| if exists { Bound } else { Null };
        let from = optional(requests.iter().any(|request| request.from.is_some()));
        let fields = optional(requests.iter().any(|request| request.fields.is_some()));
        let columns = [Bound, Number(self.run.get()), Bound, Bound, Bound];
        let mut narrow = query(insert("request (id, run, item_count, row_count, checksum)", &columns, rows));
        let columns = [Bound, from, Bound, Bound, fields, Bound];
        let mut wide =
            query(insert("payload (request, from_account, accounts, rows, fields, checksum)", &columns, rows));
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
            if fields == Bound {
                wide = wide.bind(request.fields);
            }
            wide = wide.bind(checksum);
        }
        BatchInsert { statements: vec![narrow, wide], rows: rows + carried.len(), carried, bytes }
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
        Self { statements: Vec::new(), carried: Vec::new(), rows: 0, bytes: 0 }
    }

    fn of(statement: InsertStatement, rows: usize) -> Self {
        Self { statements: vec![statement], carried: Vec::new(), rows, bytes: 0 }
    }
}

impl std::fmt::Debug for BatchInsert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchInsert").field("rows", &self.rows).finish_non_exhaustive()
    }
}

fn bytes_of(request: &StoredRequest) -> usize {
    request.accounts.len() + request.rows.len() + request.fields.as_ref().map_or(0, String::len)
}
