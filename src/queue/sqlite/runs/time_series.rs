//! Rows of table `time_series`.

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::domain::time_series::TimeSeries;
use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::Reader;

/// Stores the time series of a run, in place of an earlier one.
pub(in crate::queue) async fn store(
    connection: &mut SqliteConnection,
    run: RunId,
    series: &str,
) -> Result<(), Failure> {
    let insert = sqlx::query("INSERT OR REPLACE INTO time_series (run, series, checksum) VALUES (?, ?, ?)");
    let insert = insert.bind(run).bind(series).bind(checksum::time_series(run, series));
    expect("time series stored", 1, insert.execute(connection).await?.rows_affected())
}

impl Reader {
    /// The time series of a run; none before its first session, if an earlier version sent it, and after
    /// `imbulk forget`.
    pub async fn time_series(&self, run: RunId) -> Result<Option<TimeSeries>, QueueError> {
        let found: Option<(String, i64)> = sqlx::query_as("SELECT series, checksum FROM time_series WHERE run = ?")
            .bind(run)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail())?;
        let Some((series, sum)) = found else { return Ok(None) };
        if sum != checksum::time_series(run, &series) {
            return Err(QueueError::Damaged(format!("the time series of run {run} has a wrong checksum")));
        }
        let read = serde_json::from_str(&series);
        read.map(Some).map_err(|_| QueueError::Damaged(format!("the time series of run {run} is not a series")))
    }
}
