//! What `imbulk plan` showed last, so that `imbulk run` can say what is different.

use super::checksum::Checksum;
use super::edit::{Failure, expect};
use super::{Queue, QueueError};

/// A plan as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ShownPlan {
    /// JSON: all that its id is a digest of.
    pub parts: String,
    /// Milliseconds since 1970.
    pub shown_at: i64,
    checksum: i64,
}

impl Queue {
    /// The plan that was shown last for a job on a target, unless a run has begun there since.
    pub async fn shown_plan(&mut self, job: &str, target: &str) -> Result<Option<ShownPlan>, QueueError> {
        let fail = self.fail();
        let found: Option<ShownPlan> =
            sqlx::query_as("SELECT parts, shown_at, checksum FROM shown_plan WHERE job = ? AND target = ?")
                .bind(job)
                .bind(target)
                .fetch_optional(&mut self.connection)
                .await
                .map_err(fail)?;
        match found {
            Some(plan) if plan.checksum != checksum(job, target, &plan.parts, plan.shown_at) => {
                Err(QueueError::Damaged(format!("the plan of {job} has a wrong checksum in table shown_plan")))
            }
            found => Ok(found),
        }
    }

    /// Keeps a plan in place of the one before. `now` is in milliseconds since 1970.
    pub async fn note_plan(&mut self, job: &str, target: &str, parts: &str, now: i64) -> Result<(), QueueError> {
        let fail = self.fail();
        let noted = async {
            let mut transaction = self.transaction().await?;
            let query = sqlx::query(
                "INSERT OR REPLACE INTO shown_plan (job, target, parts, shown_at, checksum) VALUES (?, ?, ?, ?, ?)",
            );
            let query = query.bind(job).bind(target).bind(parts).bind(now);
            let query = query.bind(checksum(job, target, parts, now));
            expect("plans noted", 1, query.execute(&mut *transaction).await?.rows_affected())?;
            Ok(transaction.commit().await?)
        };
        noted.await.map_err(|failure: Failure| failure.told(fail))
    }
}

/// The checksum of a row of `shown_plan`.
fn checksum(job: &str, target: &str, parts: &str, shown_at: i64) -> i64 {
    Checksum::new().text(job).text(target).text(parts).number(shown_at).sum()
}
