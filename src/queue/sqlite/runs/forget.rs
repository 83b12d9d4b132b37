//! Removing the rows of old runs, so that no byte of them is left in the file.

use sqlx::SqliteConnection;

use super::run_row::change_run;
use crate::domain::ids::RunId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;
use crate::queue::path::folder_of;
use crate::queue::sqlite::bulk_insert::temporary_folder;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::store::Queue;

/// The tables that have rows of a run. A row of `payload` is removed with its request. Table `carried` has only numbers
/// and keeps them, so that `imbulk retry` of an earlier run does not send a row again that this run took over.
const DELETES: [&str; 13] = [
    "DELETE FROM request WHERE run = ?",
    "DELETE FROM outcome WHERE run = ?",
    "DELETE FROM skipped WHERE run = ?",
    "DELETE FROM line_span WHERE run = ?",
    "DELETE FROM source WHERE run = ?",
    "DELETE FROM control WHERE run = ?",
    "DELETE FROM backup WHERE run = ?",
    "DELETE FROM certificate_secret WHERE run = ?",
    "DELETE FROM time_series WHERE run = ?",
    "DELETE FROM session WHERE run = ?",
    "DELETE FROM verified WHERE run = ?",
    "DELETE FROM verified_tally WHERE run = ?",
    "DELETE FROM run WHERE id IN (SELECT run FROM verification WHERE of_run = ?)",
];

/// Keeps what identifies the run, its dates and the digests of its input. Names of files and accounts are removed.
const FORGET: &str = "UPDATE run SET state = CASE state WHEN 'finished' THEN 'finished' ELSE 'superseded' END,
        file_stamps = '', files = '[]', largest_accounts = '[]', heartbeat = NULL, end_reason = NULL, end_hint = NULL,
        call_settings = NULL,
        forgotten_at = ?2, results_digest = ?3
     WHERE id = ?1 AND state <> 'loading' AND forgotten_at IS NULL";

impl Queue {
    /// Removes the rows of a run in one transaction. The run itself and its tally remain. A run that is not finished
    /// becomes superseded. [`Queue::free_space`] must follow, so that the bytes leave the file.
    pub async fn forget(&mut self, run: RunId, results_digest: &str, now: i64) -> Result<(), QueueError> {
        let fail = self.fail();
        let forgotten = async {
            sqlx::query("PRAGMA secure_delete = ON").execute(&mut self.connection).await?;
            let mut transaction = self.transaction().await?;
            let change = sqlx::query(FORGET).bind(run).bind(now).bind(results_digest);
            change_run(&mut transaction, run, change).await?;
            for delete in DELETES {
                sqlx::query(delete).bind(run).execute(&mut *transaction).await?;
            }
            Ok(guarded(FailPoint::Forget, transaction.commit()).await?)
        };
        forgotten.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// Rewrites the file without unused pages, and empties the WAL. Returns false if another program reads the queue:
    /// then the old pages stay in the file until the next time.
    ///
    /// Needs about twice the size of the remaining data on the disk of the queue, and no more memory than a run.
    pub async fn free_space(&mut self) -> Result<bool, QueueError> {
        let (fail, folder) = (self.fail(), temporary_folder(folder_of(&self.path)));
        let freed = async {
            let connection = &mut self.connection;
            // The copy would be in memory otherwise.
            sqlx::query("PRAGMA temp_store = FILE").execute(&mut *connection).await?;
            sqlx::query(folder).execute(&mut *connection).await?;
            sqlx::query("PRAGMA secure_delete = ON").execute(&mut *connection).await?;
            guarded(FailPoint::FreeSpace, sqlx::query("VACUUM").execute(&mut *connection)).await?;
            empty_wal(connection).await
        };
        freed.await.map_err(fail)
    }
}

/// Copies the WAL into the file and truncates both.
async fn empty_wal(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    Ok(busy == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;

    #[tokio::test]
    async fn the_rows_of_a_run_are_removed_from_every_table_that_has_some() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        // Tables `tally` and `carried` have only numbers, and `certificate` and `approval` only numbers and
        // hashes. A row of `verification` is removed with its own run.
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table'
             AND name NOT IN ('tally', 'carried', 'certificate', 'approval', 'verification')
             AND EXISTS (SELECT 1 FROM pragma_table_info(sqlite_schema.name) WHERE name = 'run') ORDER BY name",
        )
        .fetch_all(&mut queue.connection)
        .await
        .unwrap();
        assert!(tables.len() > 8, "{tables:?}");
        for table in tables {
            let delete = format!("DELETE FROM {table} WHERE run = ?");
            assert!(DELETES.contains(&delete.as_str()), "{delete}");
        }
    }
}
