//! Rows of table `shown_plan`.

use crate::domain::target::RunTarget;
use crate::queue::error::QueueError;
use crate::queue::shown_plan::ShownPlan;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::store::Queue;

impl Queue {
    /// The plan that was shown last for a job on a target, unless a run has begun there since.
    pub async fn shown_plan(&mut self, job: &str, target: RunTarget) -> Result<Option<ShownPlan>, QueueError> {
        let (fail, target) = (self.fail(), target.to_string());
        let found: Option<(String, i64, i64)> =
            sqlx::query_as("SELECT parts, shown_at, checksum FROM shown_plan WHERE job = ? AND target = ?")
                .bind(job)
                .bind(&target)
                .fetch_optional(&mut self.connection)
                .await
                .map_err(fail)?;
        let Some((parts, shown_at, checksum)) = found else { return Ok(None) };
        if checksum != checksum::shown_plan(job, &target, &parts, shown_at) {
            return Err(QueueError::Damaged(format!("the plan of {job} has a wrong checksum in table shown_plan")));
        }
        Ok(Some(ShownPlan { parts, shown_at }))
    }

    /// Stores a plan and replaces the previous one. `now` is in milliseconds since 1970.
    pub async fn store_plan(&mut self, job: &str, target: RunTarget, parts: &str, now: i64) -> Result<(), QueueError> {
        let (fail, target) = (self.fail(), target.to_string());
        let stored = async {
            let mut transaction = self.transaction().await?;
            let query = sqlx::query(
                "INSERT OR REPLACE INTO shown_plan (job, target, parts, shown_at, checksum) VALUES (?, ?, ?, ?, ?)",
            );
            let query = query.bind(job).bind(&target).bind(parts).bind(now);
            let query = query.bind(checksum::shown_plan(job, &target, parts, now));
            expect("plans stored", 1, query.execute(&mut *transaction).await?.rows_affected())?;
            Ok(transaction.commit().await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}
