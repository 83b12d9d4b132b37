//! Reads the figures of a run.

use crate::domain::ids::RunId;
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;
use crate::queue::error::QueueError;
use crate::queue::figures_of_run::{CodeRows, Rejected, RowPlace};
use crate::queue::input_file::InputFile;
use crate::queue::sqlite::read::row_results::outcome_named;
use crate::queue::sqlite::reader::{Reader, Snapshot};

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
            let lost = || QueueError::Damaged(format!("row {row} is missing in table skipped"));
            let skipped = snapshot.skipped_rows(run, row..row.saturating_add(1)).await?.pop().ok_or_else(lost)?;
            let RowPlace { source, line } = place_of(&mut snapshot, run, &files, row).await?;
            let reason = skipped.reason.unwrap_or_default();
            rejected.push(Rejected { source, line, column: skipped.column, reason });
        }
        Ok(rejected)
    }

    /// Where the first rows with this outcome and code are in the input. Such rows are in table `outcome`.
    pub async fn places(
        &self,
        run: RunId,
        (outcome, code): (Outcome, Option<i64>),
        limit: u32,
    ) -> Result<Vec<RowPlace>, QueueError> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT row FROM outcome WHERE run = ? AND outcome = ? AND code IS ? ORDER BY row LIMIT ?",
        )
        .bind(run)
        .bind(outcome.name())
        .bind(code)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let mut snapshot = self.snapshot().await?;
        let files = snapshot.input_files(run).await?;
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            places.push(place_of(&mut snapshot, run, &files, row.cast_unsigned()).await?);
        }
        Ok(places)
    }
}

/// Where a row is in the input.
pub(super) async fn place_of(
    snapshot: &mut Snapshot,
    run: RunId,
    files: &[InputFile],
    row: RowNo,
) -> Result<RowPlace, QueueError> {
    let lost = || QueueError::Damaged(format!("row {row} is missing in table line_span"));
    let span = snapshot.line_spans(run, row..row.saturating_add(1)).await?.pop().ok_or_else(lost)?;
    let file = usize::try_from(span.source).ok().and_then(|source| files.get(source));
    Ok(RowPlace { source: file.ok_or_else(lost)?.name.clone(), line: span.line_of(row) })
}
