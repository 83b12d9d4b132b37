//! Finding, resuming and ending verifications.

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::Reader;
use crate::queue::sqlite::runs::run_row::{RunRow, select_run};
use crate::queue::sqlite::store::Queue;
use crate::queue::verification::Verification;

impl Queue {
    /// The verification of a run that was begun and is not complete.
    pub async fn verification_of(&mut self, of_run: RunId) -> Result<Option<Verification>, QueueError> {
        let fail = self.fail();
        let found: Option<(RunId, String, i64)> =
            sqlx::query_as("SELECT run, selection, checksum FROM verification WHERE of_run = ? ORDER BY run LIMIT 1")
                .bind(of_run)
                .fetch_optional(&mut self.connection)
                .await
                .map_err(fail)?;
        let Some((run, selection, checksum)) = found else { return Ok(None) };
        let damaged = |what: &str| QueueError::Damaged(format!("verification {run} has {what}"));
        if checksum != checksum::verification(run, of_run, &selection) {
            return Err(damaged("a wrong checksum in table verification"));
        }
        let selection = serde_json::from_str(&selection).map_err(|_| damaged("a selection that cannot be read"))?;
        Ok(Some(Verification { run: self.run(run).await?, selection }))
    }

    /// Marks a verification as begun again.
    pub async fn resume_verification(&mut self, verification: RunId) -> Result<(), QueueError> {
        let begin = sqlx::query(
            "UPDATE run SET end_reason = NULL, end_hint = NULL, ended_by = NULL, ended_at = NULL, heartbeat = NULL
             WHERE id = ? AND state = 'running'",
        );
        self.move_run(FailPoint::Begin, verification, begin.bind(verification)).await
    }

    /// Removes a verification. What its lookups showed stays with the rows of the run.
    pub async fn end_verification(&mut self, verification: RunId) -> Result<(), QueueError> {
        let fail = self.fail();
        let ended = async {
            let mut transaction = self.transaction().await?;
            let query = sqlx::query("DELETE FROM run WHERE id IN (SELECT run FROM verification WHERE run = ?)");
            let removed = query.bind(verification).execute(&mut *transaction).await?.rows_affected();
            expect("verifications removed", 1, removed)?;
            Ok(guarded(FailPoint::Discard, transaction.commit()).await?)
        };
        ended.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}

impl Reader {
    /// The verification of a run that the owner of the queue sends now; none if there is no owner.
    pub async fn active_verification(&self, of_run: RunId) -> Result<Option<Run>, QueueError> {
        if !self.is_owned() {
            return Ok(None);
        }
        let of_run = sqlx::query_as(select_run!(
            "WHERE ended_by IS NULL AND id IN (SELECT run FROM verification WHERE of_run = ?)"
        ))
        .bind(of_run);
        let found: Option<RunRow> = of_run.fetch_optional(&self.pool).await.map_err(self.fail())?;
        found.map(RunRow::into_run).transpose()
    }
}

/// Removes the verifications of a run whose rows are about to change.
pub(in crate::queue) async fn remove_of(connection: &mut SqliteConnection, run: RunId) -> Result<(), sqlx::Error> {
    let query = sqlx::query("DELETE FROM run WHERE id IN (SELECT run FROM verification WHERE of_run = ?)");
    query.bind(run).execute(connection).await.map(drop)
}
