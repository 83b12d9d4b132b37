//! Figures of a run, for summaries and plans.

use super::read::named;
use super::{QueueError, Reader};
use crate::domain::ids::RunId;
use crate::domain::response::outcome::{Count, Outcome};

/// How many rows one code ended in one way, plain success apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRows {
    /// How they ended.
    pub outcome: Outcome,
    /// The code; none where no answer came.
    pub code: Option<i64>,
    /// How many.
    pub rows: Count,
}

/// A row that can't be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its file, as results name it.
    pub source: String,
    /// Its line.
    pub line: u64,
    /// The column at fault, where one is.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl Reader {
    /// How often each code ended rows of a run otherwise than in plain success, the most frequent first.
    pub async fn codes(&self, run: RunId) -> Result<Vec<CodeRows>, QueueError> {
        let codes: Vec<(String, Option<i64>, i64)> = sqlx::query_as(
            "SELECT outcome, code, count(*) FROM outcome WHERE run = ? GROUP BY outcome, code ORDER BY 3 DESC, 1, 2",
        )
        .bind(run)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let read = |(outcome, code, rows): (String, Option<i64>, i64)| {
            Ok(CodeRows { outcome: named(&outcome)?, code, rows: rows.cast_unsigned() })
        };
        codes.into_iter().map(read).collect()
    }

    /// The first rows of a run that can't be sent.
    pub async fn rejected(&self, run: RunId, limit: u32) -> Result<Vec<Rejected>, QueueError> {
        let mut snapshot = self.snapshot().await?;
        let rows = snapshot.rejected_rows(run, limit).await?;
        let files = snapshot.input_files(run).await?;
        let mut rejected = Vec::with_capacity(rows.len());
        for row in rows {
            // Each by its own way: what is shown has passed its checksums.
            let lost = || QueueError::Damaged(format!("row {row} has lost its line in table skipped or line_span"));
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
