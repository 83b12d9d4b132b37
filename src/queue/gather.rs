//! Gathering what a load stores into statements of many lines, without waiting for the queue: while SQLite carries one out, the
//! next is put together.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, query};

use super::RunId;
use super::aside::bind_asides;
use super::change::payload_crc;
use super::crc::{Crc, seal};
use super::largest::{LargeAccount, Largest};
use super::sql::{LINES, insert};
use crate::domain::packed::{Aside, Packed, Segment};
use crate::domain::request::RequestId;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;

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
    requests: Vec<Packed>,
    asides: Vec<Aside>,
    segments: Vec<Segment>,
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
            asides: Vec::with_capacity(LINES),
            segments: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a request. Those of one From_Account follow each other.
    pub fn request(&mut self, request: Packed) -> Option<Insert> {
        self.tally[Outcome::Pending] += u64::from(request.row_count);
        self.items += i64::from(request.item_count);
        self.largest.request(&request);
        self.waiting_bytes += bytes_of(&request);
        self.requests.push(request);
        (self.requests.len() == LINES || self.waiting_bytes >= BYTES).then(|| self.insert_requests())
    }

    /// Takes a row that is not sent.
    pub fn aside(&mut self, aside: Aside) -> Option<Insert> {
        self.tally[aside.cause.outcome()] += 1;
        self.asides.push(aside);
        (self.asides.len() == LINES).then(|| self.insert_asides())
    }

    /// Takes where rows stand in their file.
    pub fn segment(&mut self, segment: Segment) -> Option<Insert> {
        self.segments.push(segment);
        (self.segments.len() == LINES).then(|| self.insert_segments())
    }

    /// The number of the request that comes next.
    pub(super) fn next_request(&self) -> RequestId {
        self.next_request
    }

    /// What still waits.
    pub(super) fn rest(&mut self) -> Vec<Insert> {
        vec![self.insert_requests(), self.insert_asides(), self.insert_segments()]
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
        let first = self.next_request;
        self.next_request += RequestId::try_from(lines).unwrap_or(RequestId::MAX);
        let mut narrow = query(insert("request (id, run, item_count, row_count, seal)", 5, lines));
        let mut wide = query(insert("payload (request, from_account, accounts, rows, tags, crc)", 6, lines));
        for (id, request) in (first..).zip(requests) {
            let (items, rows) = (request.item_count, request.row_count);
            narrow = narrow.bind(id).bind(self.run).bind(items).bind(rows).bind(seal(id, self.run, items, rows));
            let crc = payload_crc(id, self.run, &request, None);
            wide = wide.bind(id).bind(request.from).bind(request.accounts).bind(request.rows).bind(request.tags);
            wide = wide.bind(crc);
        }
        Insert { statements: vec![narrow, wide], lines, bytes }
    }

    fn insert_asides(&mut self) -> Insert {
        let asides = std::mem::take(&mut self.asides);
        let lines = asides.len();
        if lines == 0 { Insert::nothing() } else { Insert::of(bind_asides(self.run, asides), lines) }
    }

    fn insert_segments(&mut self) -> Insert {
        let segments = std::mem::take(&mut self.segments);
        if segments.is_empty() {
            return Insert::nothing();
        }
        let mut query = query(insert("segment (run, first_row, source, first_line, step, crc)", 6, segments.len()));
        for segment in &segments {
            query = query.bind(self.run).bind(segment.first_row.cast_signed()).bind(segment.source);
            query = query.bind(segment.first_line.cast_signed()).bind(segment.step.cast_signed());
            query = query.bind(segment_crc(self.run, segment));
        }
        Insert::of(query, segments.len())
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
pub(super) fn segment_crc(run: RunId, segment: &Segment) -> i64 {
    let start = Crc::new().number(run).row(segment.first_row).number(segment.source.into());
    start.number(segment.first_line.cast_signed()).number(segment.step.cast_signed()).sum()
}

fn bytes_of(request: &Packed) -> usize {
    request.accounts.len() + request.rows.len() + request.tags.as_ref().map_or(0, String::len)
}
