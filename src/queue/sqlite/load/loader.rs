//! Stores a new run with INSERTs of many rows in several transactions. The run is invisible until the load is complete.

use super::batch_insert::{BatchInsert, Gathering};
use crate::domain::ids::RunId;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::skipped_row::SkippedRow;
use crate::domain::source_facts::SourceFacts;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::carried::StoredCarry;
use crate::queue::error::QueueError;
use crate::queue::load_totals::LoadTotals;
use crate::queue::run_state::{NewRun, RunState};
use crate::queue::sqlite::requests::edit::insert_request;
use crate::queue::sqlite::runs::input_files;
use crate::queue::sqlite::runs::run_row::update_checksum;
use crate::queue::sqlite::store::Queue;
use crate::stored_request::StoredRequest;

/// Table rows of one transaction, so that the cost of a commit is small for each.
const ROWS_PER_COMMIT: usize = 65_536;
/// Bytes of one transaction, which limit the growth of the WAL.
const BYTES_PER_COMMIT: usize = 32 << 20;

/// Every table row of a load belongs to the run that was inserted before it, or to a request of the same statements. So
/// SQLite need not look for them, which takes a quarter of its time (docs/decisions/0001). The CHECKs of the tables
/// would only repeat what the types of the rows and the counts of intake guarantee. The first has no effect within a
/// transaction.
const SKIP_CHECKS: &str = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON";
const RESUME_CHECKS: &str = "PRAGMA foreign_keys = ON; PRAGMA ignore_check_constraints = OFF";

/// A run that is being loaded.
#[derive(Debug)]
pub struct Loader<'a> {
    pub(super) gathering: Gathering,
    pub(super) writer: Writer<'a>,
}

/// The part of a load that writes.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) queue: &'a mut Queue,
    pub(super) run: RunId,
    uncommitted: Volume,
}

/// The size of a transaction.
#[derive(Debug, Default)]
struct Volume {
    rows: usize,
    bytes: usize,
}

impl<'a> Loader<'a> {
    /// Begins to load a run. Until [`Loader::finish`] it is invisible, and it is removed if this process is killed.
    pub async fn begin(queue: &'a mut Queue, run: &NewRun) -> Result<Self, QueueError> {
        let run = queue.insert_run(run).await?;
        let gathering = Gathering::new(run, queue.next_request);
        let mut writer = Writer { queue, run, uncommitted: Volume::default() };
        writer.execute(SKIP_CHECKS).await?;
        writer.begin().await?;
        Ok(Self { gathering, writer })
    }

    /// The part that collects rows and the part that writes them, so that both can work at the same time.
    pub fn halves(&mut self) -> (&mut Gathering, &mut Writer<'a>) {
        (&mut self.gathering, &mut self.writer)
    }

    /// Stores a request. Those of one From_Account must follow each other.
    pub async fn request(&mut self, request: StoredRequest) -> Result<(), QueueError> {
        let full = self.gathering.request(request);
        self.writer.insert_if_any(full).await
    }

    /// Stores a skipped row.
    pub async fn skipped_row(&mut self, skipped: SkippedRow) -> Result<(), QueueError> {
        let full = self.gathering.skipped_row(skipped);
        self.writer.insert_if_any(full).await
    }

    /// Stores a line span.
    pub async fn line_span(&mut self, span: LineSpan) -> Result<(), QueueError> {
        let full = self.gathering.line_span(span);
        self.writer.insert_if_any(full).await
    }

    /// Stores what reading the files of the input found. `facts` has the sequence of the files.
    pub async fn describe_input(&mut self, facts: &[SourceFacts]) -> Result<(), QueueError> {
        let Writer { queue, run, .. } = &mut self.writer;
        let fail = queue.fail();
        input_files::describe(&mut queue.connection, *run, facts).await.map_err(fail)
    }

    /// Completes the run, which is planned from now on.
    pub async fn finish(mut self, fields: &[String]) -> Result<RunId, QueueError> {
        for rest in self.gathering.rest() {
            self.writer.insert(rest).await?;
        }
        self.writer.queue.next_request = self.gathering.next_request();
        let carried = self.gathering.carried_over();
        self.writer.finish(self.gathering.totals(), fields, carried).await
    }

    /// Removes the run.
    pub async fn abandon(mut self) -> Result<(), QueueError> {
        // If the disk is full or fails, SQLite has already rolled back and refuses this statement.
        let _rolled_back_already = self.writer.execute("ROLLBACK").await;
        // If the run cannot be removed now, its request ids stay unused.
        self.writer.queue.next_request = self.gathering.next_request();
        // The run's requests are removed with it.
        self.writer.execute(RESUME_CHECKS).await?;
        self.writer.queue.discard(self.writer.run).await
    }
}

impl Writer<'_> {
    /// Executes the INSERTs of a batch.
    pub async fn insert(&mut self, batch: BatchInsert) -> Result<(), QueueError> {
        for statement in batch.statements {
            statement.execute(&mut self.queue.connection).await.map_err(self.queue.fail())?;
        }
        for request in batch.carried {
            let stored = insert_request(&mut self.queue.connection, request).await;
            stored.map_err(|failure| failure.into_error(self.queue.fail()))?;
        }
        self.uncommitted.rows += batch.rows;
        self.uncommitted.bytes += batch.bytes;
        if self.uncommitted.rows >= ROWS_PER_COMMIT || self.uncommitted.bytes >= BYTES_PER_COMMIT {
            self.uncommitted = Volume::default();
            guarded(FailPoint::LoadChunk, self.execute("COMMIT")).await?;
            self.begin().await?;
        }
        Ok(())
    }

    async fn insert_if_any(&mut self, batch: Option<BatchInsert>) -> Result<(), QueueError> {
        match batch {
            Some(batch) => self.insert(batch).await,
            None => Ok(()),
        }
    }

    async fn finish(
        mut self,
        totals: LoadTotals,
        fields: &[String],
        carried: Option<StoredCarry>,
    ) -> Result<RunId, QueueError> {
        let (tally, items, largest) = totals.finish();
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
            "UPDATE run SET state = ?, fields = ?, largest_accounts = ?, row_count = ?, item_count = ?, carried = ?
             WHERE id = ? AND state = 'loading'",
        )
        .bind(RunState::Planned.name())
        .bind(serde_json::to_string(fields).expect("texts and numbers are JSON"))
        .bind(serde_json::to_string(&largest).expect("texts and numbers are JSON"))
        .bind(tally.total().cast_signed())
        .bind(items)
        .bind(carried.map(|carried| serde_json::to_string(&carried).expect("texts and numbers are JSON")))
        .bind(self.run)
        .execute(&mut self.queue.connection)
        .await
        .map_err(&fail)?;
        update_checksum(&mut self.queue.connection, self.run).await.map_err(&fail)?;
        guarded(FailPoint::FinishLoad, self.execute("COMMIT")).await?;
        self.execute(RESUME_CHECKS).await?;
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
