//! Rows of table `session`.

use crate::domain::call_counts::CallCounts;
use crate::domain::ids::RunId;
use crate::domain::session_start::SessionStart;
use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::Reader;
use crate::queue::sqlite::store::Queue;
use crate::queue::stored_session::StoredSession;

impl Queue {
    /// Stores that a session begins to send a run. `now` is in milliseconds since 1970.
    pub async fn store_session(&mut self, run: RunId, now: i64, start: &SessionStart) -> Result<(), QueueError> {
        let fail = self.fail();
        let start = serde_json::to_string(start).expect("texts and numbers are JSON");
        let stored = async {
            let mut transaction = self.transaction().await?;
            let insert = "INSERT INTO session (run, began_at, start, checksum) VALUES (?, ?, ?, ?)";
            let insert = sqlx::query(insert).bind(run).bind(now).bind(&start);
            let insert = insert.bind(checksum::session(run, now, &start, None));
            expect("sessions stored", 1, insert.execute(&mut *transaction).await?.rows_affected())?;
            Ok(transaction.commit().await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }

    /// Stores the calls of the session that sends a run.
    pub async fn store_session_calls(&mut self, run: RunId, calls: &CallCounts) -> Result<(), QueueError> {
        let fail = self.fail();
        let calls = serde_json::to_string(calls).expect("numbers are JSON");
        let stored = async {
            let mut transaction = self.transaction().await?;
            let last = "SELECT id, began_at, start FROM session WHERE run = ? ORDER BY id DESC LIMIT 1";
            let (id, began_at, start): (i64, i64, String) =
                sqlx::query_as(last).bind(run).fetch_one(&mut *transaction).await?;
            let sum = checksum::session(run, began_at, &start, Some(&calls));
            let update = sqlx::query("UPDATE session SET calls = ?, checksum = ? WHERE id = ?");
            let update = update.bind(&calls).bind(sum).bind(id);
            expect("sessions changed", 1, update.execute(&mut *transaction).await?.rows_affected())?;
            Ok(transaction.commit().await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}

impl Reader {
    /// The sessions of a run, the first one first. Those of earlier versions were not stored.
    pub async fn sessions(&self, run: RunId) -> Result<Vec<StoredSession>, QueueError> {
        let columns = "SELECT began_at, start, calls, checksum FROM session WHERE run = ? ORDER BY id";
        let rows: Vec<(i64, String, Option<String>, i64)> =
            sqlx::query_as(columns).bind(run).fetch_all(&self.pool).await.map_err(self.fail())?;
        let read = |(began_at, start, calls, sum): (i64, String, Option<String>, i64)| {
            let damaged = |what| QueueError::Damaged(format!("a session of run {run} has {what}"));
            if sum != checksum::session(run, began_at, &start, calls.as_deref()) {
                return Err(damaged("a wrong checksum"));
            }
            let no_json = |_| damaged("a text that is not its JSON");
            let calls = calls.map(|calls| serde_json::from_str(&calls)).transpose().map_err(no_json)?;
            Ok(StoredSession { began_at, start: serde_json::from_str(&start).map_err(no_json)?, calls })
        };
        rows.into_iter().map(read).collect()
    }
}
