//! Storing a new run: multi-row inserts in transactions of their own, invisible until the load is complete.

use super::largest::Largest;
use super::sql::{LINES, insert};
use super::{NewRun, Queue, QueueError, RunId, RunState};
use crate::domain::outcome::Outcome;
use crate::domain::packed::{Aside, Cause, Packed, Segment};
use crate::domain::request::RequestId;
use crate::domain::tally::Tally;
use crate::fail_point::{Deed, around};

/// Bytes of requests that wait for one INSERT: 256 of a thousand long tags each would be 128 MB.
const BYTES: usize = 4 << 20;
/// Lines of one transaction: a commit's cost is spread thin.
const LINES_PER_COMMIT: usize = 65_536;
/// Bytes of one transaction: about as far as the log grows.
const BYTES_PER_COMMIT: usize = 32 << 20;

/// A run being loaded.
#[derive(Debug)]
pub struct Loader<'a> {
    queue: &'a mut Queue,
    run: RunId,
    tally: Tally,
    items: i64,
    largest: Largest,
    requests: Vec<Packed>,
    asides: Vec<Aside>,
    segments: Vec<Segment>,
    waiting_bytes: usize,
    uncommitted: Volume,
}

/// How much a transaction holds.
#[derive(Debug, Default)]
struct Volume {
    lines: usize,
    bytes: usize,
}

impl<'a> Loader<'a> {
    /// Begins a run. Until [`Loader::finish`] it is seen by nobody, and gone if this process dies.
    pub async fn begin(queue: &'a mut Queue, run: &NewRun) -> Result<Self, QueueError> {
        let run = queue.insert_run(run).await?;
        let mut loader = Self {
            queue,
            run,
            tally: Tally::default(),
            items: 0,
            largest: Largest::default(),
            requests: Vec::with_capacity(LINES),
            asides: Vec::with_capacity(LINES),
            segments: Vec::new(),
            waiting_bytes: 0,
            uncommitted: Volume::default(),
        };
        loader.execute("BEGIN IMMEDIATE").await?;
        Ok(loader)
    }

    /// Stores a request. Those of one From_Account follow each other.
    pub async fn request(&mut self, request: Packed) -> Result<(), QueueError> {
        self.tally[Outcome::Pending] += u64::from(request.row_count);
        self.items += i64::from(request.item_count);
        self.largest.request(&request);
        self.waiting_bytes += bytes_of(&request);
        self.requests.push(request);
        if self.requests.len() == LINES || self.waiting_bytes >= BYTES { self.flush_requests().await } else { Ok(()) }
    }

    /// Stores a row that is not sent.
    pub async fn aside(&mut self, aside: Aside) -> Result<(), QueueError> {
        self.tally[aside.cause.outcome()] += 1;
        self.asides.push(aside);
        if self.asides.len() == LINES { self.flush_asides().await } else { Ok(()) }
    }

    /// Stores where rows stand in their file.
    pub async fn segment(&mut self, segment: Segment) -> Result<(), QueueError> {
        self.segments.push(segment);
        if self.segments.len() == LINES { self.flush_segments().await } else { Ok(()) }
    }

    /// Completes the run: from now on it is planned.
    pub async fn finish(mut self, tags: &[String]) -> Result<RunId, QueueError> {
        self.flush_requests().await?;
        self.flush_asides().await?;
        self.flush_segments().await?;
        let fail = self.queue.fail();
        for (outcome, rows) in self.tally.iter() {
            sqlx::query("INSERT INTO tally (run, outcome, rows) VALUES (?, ?, ?)")
                .bind(self.run)
                .bind(outcome.name())
                .bind(rows.cast_signed())
                .execute(&mut self.queue.connection)
                .await
                .map_err(&fail)?;
        }
        sqlx::query(
            "UPDATE run SET state = ?, tags = ?, largest = ?, row_count = ?, item_count = ?
             WHERE id = ? AND state = 'loading'",
        )
        .bind(RunState::Planned.name())
        .bind(serde_json::to_string(tags).unwrap_or_default())
        .bind(serde_json::to_string(&std::mem::take(&mut self.largest).finish()).unwrap_or_default())
        .bind(self.tally.total().cast_signed())
        .bind(self.items)
        .bind(self.run)
        .execute(&mut self.queue.connection)
        .await
        .map_err(&fail)?;
        around(Deed::FinishLoad, self.execute("COMMIT")).await?;
        self.queue.use_wal().await?;
        Ok(self.run)
    }

    /// Gives the run up: nothing of it stays.
    pub async fn abandon(mut self) -> Result<(), QueueError> {
        // Where the disk is full or broken, SQLite has rolled back by itself and says no to this.
        let _rolled_back_already = self.execute("ROLLBACK").await;
        self.queue.discard(self.run).await
    }

    async fn flush_requests(&mut self) -> Result<(), QueueError> {
        let requests = std::mem::take(&mut self.requests);
        let bytes = std::mem::take(&mut self.waiting_bytes);
        if requests.is_empty() {
            return Ok(());
        }
        let first = self.queue.next_request;
        self.queue.next_request += RequestId::try_from(requests.len()).unwrap_or(RequestId::MAX);
        let fail = self.queue.fail();
        let sql = insert("request (id, run, item_count, row_count)", 4, requests.len());
        let mut query = sqlx::query(sql);
        for (id, request) in (first..).zip(&requests) {
            query = query.bind(id).bind(self.run).bind(request.item_count).bind(request.row_count);
        }
        query.execute(&mut self.queue.connection).await.map_err(&fail)?;
        let sql = insert("payload (request, from_account, accounts, rows, tags)", 5, requests.len());
        let mut query = sqlx::query(sql);
        let lines = requests.len();
        for (id, request) in (first..).zip(requests) {
            query = query.bind(id).bind(request.from).bind(request.accounts).bind(request.rows).bind(request.tags);
        }
        query.execute(&mut self.queue.connection).await.map_err(&fail)?;
        self.uncommitted.bytes += bytes;
        self.wrote(lines).await
    }

    async fn flush_asides(&mut self) -> Result<(), QueueError> {
        let asides = std::mem::take(&mut self.asides);
        if asides.is_empty() {
            return Ok(());
        }
        let columns = "aside (run, row, outcome, duplicate_of, column_name, reason, from_account, account, tags)";
        let mut query = sqlx::query(insert(columns, 9, asides.len()));
        let lines = asides.len();
        for aside in asides {
            let outcome = aside.cause.outcome().name();
            let (duplicate_of, column, reason) = match aside.cause {
                Cause::Rejected { column, reason } => (None, column, Some(reason)),
                Cause::Duplicate { of } => (Some(of.cast_signed()), None, None),
                Cause::Protected { id } => (None, None, Some(format!("`{id}` is on the protected list"))),
            };
            let tags = (!aside.tags.is_empty()).then(|| serde_json::to_string(&aside.tags).unwrap_or_default());
            query = query.bind(self.run).bind(aside.row.cast_signed()).bind(outcome).bind(duplicate_of);
            query = query.bind(column).bind(reason).bind(aside.from).bind(aside.account).bind(tags);
        }
        query.execute(&mut self.queue.connection).await.map_err(self.queue.fail())?;
        self.wrote(lines).await
    }

    async fn flush_segments(&mut self) -> Result<(), QueueError> {
        let segments = std::mem::take(&mut self.segments);
        if segments.is_empty() {
            return Ok(());
        }
        let sql = insert("segment (run, first_row, source, first_line, step)", 5, segments.len());
        let mut query = sqlx::query(sql);
        for segment in &segments {
            query = query.bind(self.run).bind(segment.first_row.cast_signed()).bind(segment.source);
            query = query.bind(segment.first_line.cast_signed()).bind(segment.step.cast_signed());
        }
        query.execute(&mut self.queue.connection).await.map_err(self.queue.fail())?;
        self.wrote(segments.len()).await
    }

    async fn wrote(&mut self, lines: usize) -> Result<(), QueueError> {
        self.uncommitted.lines += lines;
        if self.uncommitted.lines >= LINES_PER_COMMIT || self.uncommitted.bytes >= BYTES_PER_COMMIT {
            self.uncommitted = Volume::default();
            around(Deed::LoadChunk, self.execute("COMMIT")).await?;
            self.execute("BEGIN IMMEDIATE").await?;
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), QueueError> {
        let fail = self.queue.fail();
        sqlx::query(sql).execute(&mut self.queue.connection).await.map_err(fail)?;
        Ok(())
    }
}

fn bytes_of(request: &Packed) -> usize {
    request.accounts.len() + request.rows.len() + request.tags.as_ref().map_or(0, String::len)
}
