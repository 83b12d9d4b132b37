//! Rows of table `approval`.

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::queue::approval::StoredApproval;
use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::store::Queue;

/// Stores with which approval a run begins. A run that has begun before is approved anew.
pub(in crate::queue) async fn insert(
    connection: &mut SqliteConnection,
    run: RunId,
    StoredApproval { request, requester, approver }: &StoredApproval,
) -> Result<(), Failure> {
    let insert = "INSERT OR REPLACE INTO approval (run, request, requester, approver, checksum) VALUES (?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert).bind(run).bind(request).bind(requester).bind(approver);
    let insert = insert.bind(checksum::approval(run, [request, requester, approver]));
    expect("approvals stored", 1, insert.execute(connection).await?.rows_affected())
}

impl Queue {
    /// The approvals of all runs.
    pub async fn approvals(&mut self) -> Result<Vec<(RunId, StoredApproval)>, QueueError> {
        let fail = self.fail();
        let rows: Vec<(RunId, String, String, String, i64)> =
            sqlx::query_as("SELECT run, request, requester, approver, checksum FROM approval ORDER BY run")
                .fetch_all(&mut self.connection)
                .await
                .map_err(fail)?;
        let read = |(run, request, requester, approver, sum): (RunId, String, String, String, i64)| {
            if sum != checksum::approval(run, [&request, &requester, &approver]) {
                return Err(QueueError::Damaged(format!("the approval of run {run} has a wrong checksum")));
            }
            Ok((run, StoredApproval { request, requester, approver }))
        };
        rows.into_iter().map(read).collect()
    }
}
