//! Storing a new run: multi-row inserts in transactions of their own, invisible until the load is complete.

use super::batch_insert::{Gathering, Insert, Totals};
use super::runs::write_run_checksum;
use super::{NewRun, Queue, QueueError, RunState, source};
use crate::domain::ids::RunId;
use crate::domain::line_span::LineSpan;
use crate::domain::skipped_row::SkippedRow;
use crate::domain::source_facts::SourceFacts;
use crate::fail_point::{FailPoint, guarded};
use crate::stored_request::StoredRequest;

/// Lines of one transaction: a commit's cost is spread thin.
const LINES_PER_COMMIT: usize = 65_536;
/// Bytes of one transaction: about as far as the log grows.
const BYTES_PER_COMMIT: usize = 32 << 20;

/// A run being loaded.
#[derive(Debug)]
pub struct Loader<'a> {
    gathering: Gathering,
    writer: Writer<'a>,
}

/// The half of a load that writes.
#[derive(Debug)]
pub struct Writer<'a> {
    queue: &'a mut Queue,
    run: RunId,
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
        let gathering = Gathering::new(run, queue.next_request);
        let mut writer = Writer { queue, run, uncommitted: Volume::default() };
        writer.begin().await?;
        Ok(Self { gathering, writer })
    }

    /// What gathers and what writes, to be at work at the same time.
    pub fn halves(&mut self) -> (&mut Gathering, &mut Writer<'a>) {
        (&mut self.gathering, &mut self.writer)
    }

    /// Stores a request. Those of one From_Account follow each other.
    pub async fn request(&mut self, request: StoredRequest) -> Result<(), QueueError> {
        let full = self.gathering.request(request);
        self.writer.insert_if_any(full).await
    }

    /// Stores a row that is not sent.
    pub async fn skipped_row(&mut self, skipped: SkippedRow) -> Result<(), QueueError> {
        let full = self.gathering.skipped_row(skipped);
        self.writer.insert_if_any(full).await
    }

    /// Stores where rows stand in their file.
    pub async fn line_span(&mut self, span: LineSpan) -> Result<(), QueueError> {
        let full = self.gathering.line_span(span);
        self.writer.insert_if_any(full).await
    }

    /// Stores what the reading of the input's files found, in their order.
    pub async fn describe_input(&mut self, facts: &[SourceFacts]) -> Result<(), QueueError> {
        let Writer { queue, run, .. } = &mut self.writer;
        let fail = queue.fail();
        source::describe(&mut queue.connection, *run, facts).await.map_err(fail)
    }

    /// Completes the run: from now on it is planned.
    pub async fn finish(mut self, tags: &[String]) -> Result<RunId, QueueError> {
        for rest in self.gathering.rest() {
            self.writer.insert(rest).await?;
        }
        self.writer.queue.next_request = self.gathering.next_request();
        self.writer.finish(self.gathering.totals(), tags).await
    }

    /// Gives the run up: nothing of it stays.
    pub async fn abandon(mut self) -> Result<(), QueueError> {
        // Where the disk is full or broken, SQLite has rolled back by itself and says no to this.
        let _rolled_back_already = self.writer.execute("ROLLBACK").await;
        // Whatever can't be discarded now keeps its numbers to itself.
        self.writer.queue.next_request = self.gathering.next_request();
        self.writer.queue.discard(self.writer.run).await
    }
}

impl Writer<'_> {
    /// Writes what was gathered.
    pub async fn insert(&mut self, insert: Insert) -> Result<(), QueueError> {
        for statement in insert.statements {
            statement.execute(&mut self.queue.connection).await.map_err(self.queue.fail())?;
        }
        self.uncommitted.lines += insert.lines;
        self.uncommitted.bytes += insert.bytes;
        if self.uncommitted.lines >= LINES_PER_COMMIT || self.uncommitted.bytes >= BYTES_PER_COMMIT {
            self.uncommitted = Volume::default();
            guarded(FailPoint::LoadChunk, self.execute("COMMIT")).await?;
            self.begin().await?;
        }
        Ok(())
    }

    async fn insert_if_any(&mut self, insert: Option<Insert>) -> Result<(), QueueError> {
        match insert {
            Some(insert) => self.insert(insert).await,
            None => Ok(()),
        }
    }

    async fn finish(mut self, totals: Totals, tags: &[String]) -> Result<RunId, QueueError> {
        let Totals { tally, items, largest } = totals;
        let fail = self.queue.fail();
        for (outcome, rows) in tally.iter() {
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
        .bind(serde_json::to_string(&largest).unwrap_or_default())
        .bind(tally.total().cast_signed())
        .bind(items)
        .bind(self.run)
        .execute(&mut self.queue.connection)
        .await
        .map_err(&fail)?;
        write_run_checksum(&mut self.queue.connection, self.run).await.map_err(&fail)?;
        guarded(FailPoint::FinishLoad, self.execute("COMMIT")).await?;
        self.queue.use_wal().await?;
        Ok(self.run)
    }

    async fn begin(&mut self) -> Result<(), QueueError> {
        let busy = self.queue.busy();
        busy.wait(self.execute("BEGIN IMMEDIATE")).await
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), QueueError> {
        let fail = self.queue.fail();
        sqlx::query(sql).execute(&mut self.queue.connection).await.map_err(fail)?;
        Ok(())
    }
}
