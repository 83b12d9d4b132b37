//! Reads the figures of a run.

use crate::domain::ids::RunId;
use crate::queue::error::QueueError;
use crate::queue::figures_of_run::{CodeRows, Rejected};
use crate::queue::sqlite::read::row_results::outcome_named;
use crate::queue::sqlite::reader::Reader;

impl Reader {
    /// The number of rows for each outcome and code, except for success without a code, the most frequent first.
    pub async fn codes(&self, run: RunId) -> Result<Vec<CodeRows>, QueueError> {
        self.codes_of_first(run, i64::MAX).await
    }

    /// The same for the first of these rows.
    pub async fn codes_of_first(&self, run: RunId, rows: i64) -> Result<Vec<CodeRows>, QueueError> {
        let codes: Vec<(String, Option<i64>, i64)> = sqlx::query_as(
            "SELECT outcome, code, count(*) FROM (SELECT outcome, code FROM outcome WHERE run = ? ORDER BY row LIMIT ?)
             GROUP BY outcome, code ORDER BY 3 DESC, 1, 2",
        )
        .bind(run)
        .bind(rows)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let read = |(outcome, code, rows): (String, Option<i64>, i64)| {
            Ok(CodeRows { outcome: outcome_named(&outcome)?, code, rows: rows.cast_unsigned() })
        };
        codes.into_iter().map(read).collect()
    }

    /// The first rows of a run that cannot be sent.
    pub async fn rejected(&self, run: RunId, limit: u32) -> Result<Vec<Rejected>, QueueError> {
        let mut snapshot = self.snapshot().await?;
        let rows = snapshot.rejected_rows(run, limit).await?;
        let files = snapshot.input_files(run).await?;
        let mut rejected = Vec::with_capacity(rows.len());
        for row in rows {
            // Read one by one, so that the checksum of everything that is shown is compared.
            let lost = || QueueError::Damaged(format!("row {row} is missing in table skipped or line_span"));
            let skipped = snapshot.skipped_rows(run, row..row.saturating_add(1)).await?.pop().ok_or_else(lost)?;
            let span = snapshot.line_spans(run, row..row.saturating_add(1)).await?.pop().ok_or_else(lost)?;
            let file = usize::try_from(span.source).ok().and_then(|source| files.get(source));
            rejected.push(Rejected {
                source: file.ok_or_else(lost)?.name.clone(),
                line: span.line_of(row),
                column: skipped.column,
                reason: skipped.reason.unwrap_or_default(),
            });
        }
        Ok(rejected)
    }
}
