//! The states of runs, and reading them.

use super::approvals;
use super::input_files;
use super::run_row::{RunRow, Statement, change_run, read_run, select_run, store_end};
use crate::clock;
use crate::domain::call_settings::CallSettings;
use crate::domain::hint::Message;
use crate::domain::ids::{RequestId, RunId};
use crate::domain::run_choice::EndedBy;
use crate::domain::target::RunTarget;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::approval::StoredApproval;
use crate::queue::error::QueueError;
use crate::queue::run_state::{KILLED, NewRun, Run};
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::{Contents, Reader};
use crate::queue::sqlite::store::Queue;

pub(in crate::queue) const LAST_PENDING: &str = "SELECT max(id) FROM request WHERE run = ? AND state = 'pending'";

impl Queue {
    /// Begins to load a run; a [`Loader`](crate::queue::Loader) continues.
    pub(in crate::queue) async fn insert_run(&mut self, run: &NewRun) -> Result<RunId, QueueError> {
        let fail = self.fail();
        // An explicit transaction: fetching a single row does not report a commit that fails after it.
        let mut transaction = self.transaction().await.map_err(&fail)?;
        let (id,): (RunId,) = sqlx::query_as(
            "INSERT INTO run (uuid, job, target, operation, options, definition_digest, input_digest, file_stamps,
                              protected_digest, files, fields, state, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '[]', 'loading', ?) RETURNING id",
        )
        .bind(&run.uuid)
        .bind(&run.job)
        .bind(run.target.to_string())
        .bind(run.operation.name)
        .bind(run.operation.options_json())
        .bind(&run.definition_digest)
        .bind(&run.input_digest)
        .bind(run.file_stamps.as_deref().unwrap_or_default())
        .bind(&run.protected_digest)
        .bind(serde_json::to_string(&run.files).expect("texts and numbers are JSON"))
        .bind(run.created_at)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&fail)?;
        for (number, name) in run.sources.iter().enumerate() {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            input_files::insert(&mut transaction, id, number, name).await.map_err(&fail)?;
        }
        guarded(FailPoint::InsertRun, transaction.commit()).await.map_err(fail)?;
        Ok(id)
    }

    /// Marks a run as begun, and removes the shown plan of its job, with which later runs are not compared. From now on
    /// the run is finished before any other input of its job. The approval is stored with it.
    pub async fn begin(&mut self, run: RunId, now: i64, approval: Option<&StoredApproval>) -> Result<(), QueueError> {
        let fail = self.fail();
        let begun = async {
            let mut transaction = self.transaction().await?;
            let plan = "DELETE FROM shown_plan WHERE (job, target) = (SELECT job, target FROM run WHERE id = ?)";
            sqlx::query(plan).bind(run).execute(&mut *transaction).await?;
            let change = sqlx::query(
                "UPDATE run SET state = 'running', end_reason = NULL, end_hint = NULL, ended_by = NULL, ended_at = NULL,
                                heartbeat = NULL, started_at = coalesce(started_at, ?2)
                 WHERE id = ?1 AND state IN ('planned', 'running')",
            );
            change_run(&mut transaction, run, change.bind(run).bind(now)).await?;
            if let Some(approval) = approval {
                approvals::insert(&mut transaction, run, approval).await?;
            }
            Ok(guarded(FailPoint::Begin, transaction.commit()).await?)
        };
        begun.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// Stores with which job settings a run is sent: their digest, and those that later commands need.
    pub async fn store_settings(&mut self, run: RunId, digest: &str, calls: &CallSettings) -> Result<(), QueueError> {
        let fail = self.fail();
        let stored = async {
            let mut transaction = self.transaction().await?;
            let change = sqlx::query("UPDATE run SET settings_digest = ?2, call_settings = ?3 WHERE id = ?1");
            let calls = serde_json::to_string(calls).expect("texts and numbers are JSON");
            let change = change.bind(run).bind(digest).bind(calls);
            change_run(&mut transaction, run, change).await?;
            Ok(transaction.commit().await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// Stores a kill as the end of each unfinished run whose session stored none. Every new owner of the queue does so,
    /// whatever its command: an unfinished run without an end is therefore one that the owner is sending.
    pub(in crate::queue) async fn store_kills(&mut self) -> Result<(), QueueError> {
        let fail = self.fail();
        let killed: Vec<RunId> =
            sqlx::query_scalar("SELECT id FROM run NOT INDEXED WHERE state = 'running' AND ended_by IS NULL")
                .fetch_all(&mut self.connection)
                .await
                .map_err(fail)?;
        let why = Message::new(KILLED);
        for run in killed {
            let last_seen = self.run(run).await?.heartbeat.map(|heartbeat| heartbeat.at);
            self.store_end_at(run, EndedBy::Kill, &why, last_seen).await?;
        }
        Ok(())
    }

    /// Stores why a session ended before its run did: the kind of reason, and the reason in words with its hint.
    pub async fn store_stop(&mut self, run: RunId, by: EndedBy, why: &Message) -> Result<(), QueueError> {
        self.store_end_at(run, by, why, Some(clock::now().as_millisecond())).await
    }

    async fn store_end_at(
        &mut self,
        run: RunId,
        by: EndedBy,
        why: &Message,
        at: Option<i64>,
    ) -> Result<(), QueueError> {
        let fail = self.fail();
        let stored = async {
            let mut transaction = self.transaction().await?;
            store_end(&mut transaction, run, by, why, at).await?;
            Ok(guarded(FailPoint::StoreEnd, transaction.commit()).await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// Gives a run up for a new one. Its pending rows stay pending.
    pub async fn supersede(&mut self, run: RunId) -> Result<(), QueueError> {
        let given_up =
            sqlx::query("UPDATE run SET state = 'superseded', ended_at = ?2 WHERE id = ?1 AND state = 'running'");
        let now = clock::now().as_millisecond();
        self.move_run(FailPoint::Supersede, run, given_up.bind(run).bind(now)).await
    }

    /// Removes a run of which nothing was sent.
    pub async fn discard(&mut self, run: RunId) -> Result<(), QueueError> {
        let fail = self.fail();
        let discarded = async {
            let mut transaction = self.transaction().await?;
            let query = sqlx::query("DELETE FROM run WHERE id = ? AND state IN ('loading', 'planned')").bind(run);
            expect("runs discarded", 1, query.execute(&mut *transaction).await?.rows_affected())?;
            Ok(guarded(FailPoint::Discard, transaction.commit()).await?)
        };
        discarded.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// The run with this id.
    pub async fn run(&mut self, id: RunId) -> Result<Run, QueueError> {
        let fail = self.fail();
        read_run(&mut self.connection, id).await.map_err(|failure| failure.into_error(fail))
    }

    /// Changes the state of a run between two fail points.
    pub(in crate::queue) async fn move_run(
        &mut self,
        point: FailPoint,
        run: RunId,
        change: Statement<'_>,
    ) -> Result<(), QueueError> {
        let fail = self.fail();
        let moved = async {
            let mut transaction = self.transaction().await?;
            change_run(&mut transaction, run, change).await?;
            Ok(guarded(point, transaction.commit()).await?)
        };
        moved.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}

impl Reader {
    /// All runs, oldest first.
    pub async fn runs(&self) -> Result<Vec<Run>, QueueError> {
        match self.contents {
            Contents::Nothing => return Ok(Vec::new()),
            Contents::Tables => {}
        }
        // Read without an index and compared with another table: a run that is not found would be sent again.
        let runs: Vec<RunRow> = sqlx::query_as(select_run!(
            "NOT INDEXED WHERE state <> 'loading' AND id NOT IN (SELECT run FROM verification) ORDER BY id"
        ))
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let counted: Vec<RunId> = sqlx::query_scalar(
            "SELECT DISTINCT run FROM tally WHERE run NOT IN (SELECT run FROM verification) ORDER BY run",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let runs = runs.into_iter().map(RunRow::into_run).collect::<Result<Vec<_>, _>>()?;
        if runs.iter().map(|run| run.id).eq(counted.iter().copied()) {
            return Ok(runs);
        }
        let found: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        Err(QueueError::Damaged(format!("table run has the runs {found:?}, table tally {counted:?}")))
    }

    /// The runs that are being loaded. Their rows have no checksum yet.
    pub async fn loading_runs(&self) -> Result<Vec<Run>, QueueError> {
        if self.contents == Contents::Nothing {
            return Ok(Vec::new());
        }
        let runs: Vec<RunRow> = sqlx::query_as(select_run!("WHERE state = 'loading' ORDER BY id"))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        runs.into_iter().map(RunRow::into_unchecked).collect()
    }

    /// The runs of a job that send to this target, oldest first.
    pub async fn runs_of(&self, job: &str, target: RunTarget) -> Result<Vec<Run>, QueueError> {
        let runs = self.runs().await?.into_iter();
        Ok(runs.filter(|run| run.job == job && run.target == target).collect())
    }

    /// The number of a run's requests that are not settled, and of all its requests.
    pub async fn request_counts(&self, run: RunId) -> Result<(i64, i64), QueueError> {
        let counts: (i64, i64) =
            sqlx::query_as("SELECT count(*) FILTER (WHERE state <> 'settled'), count(*) FROM request WHERE run = ?")
                .bind(run)
                .fetch_one(&self.pool)
                .await
                .map_err(self.fail())?;
        Ok(counts)
    }

    /// The calls for the items of a run's requests that are not settled, if a call has at most `size` of them and those
    /// of different requests travel apart.
    pub async fn batches_left(&self, run: RunId, size: usize) -> Result<u64, QueueError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let batches: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum((item_count - 1) / ?2 + 1), 0) FROM request WHERE run = ?1 AND state <> 'settled'",
        )
        .bind(run)
        .bind(size)
        .fetch_one(&self.pool)
        .await
        .map_err(self.fail())?;
        Ok(batches.cast_unsigned())
    }

    /// The last pending request of a run as it is now; requests with higher ids are split off from these later.
    pub async fn last_request(&self, run: RunId) -> Result<RequestId, QueueError> {
        let last: Option<RequestId> =
            sqlx::query_scalar(LAST_PENDING).bind(run).fetch_one(&self.pool).await.map_err(self.fail())?;
        Ok(last.unwrap_or(RequestId::BEFORE_FIRST))
    }
}
