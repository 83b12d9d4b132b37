//! Figures of a run, for summaries and plans.

use sqlx::FromRow;

use super::read::named;
use super::{QueueError, Reader, RunId};
use crate::domain::outcome::{Count, Outcome};

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
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Rejected {
    /// Its file, as results name it.
    pub source: String,
    /// Its line.
    pub line: i64,
    /// The column at fault, where one is.
    #[sqlx(rename = "column_name")]
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
        let rejected = sqlx::query_as(
            "SELECT source.name AS source, segment.first_line + (row - segment.first_row) * segment.step AS line,
                    column_name, coalesce(reason, '') AS reason
             FROM aside JOIN segment ON segment.run = aside.run AND segment.first_row =
                 (SELECT max(first_row) FROM segment WHERE run = aside.run AND first_row <= aside.row)
             JOIN source ON source.run = aside.run AND source.number = segment.source
             WHERE aside.run = ? AND outcome = 'rejected' ORDER BY row LIMIT ?",
        );
        let rejected = rejected.bind(run).bind(limit).fetch_all(&self.pool).await;
        rejected.map_err(self.fail())
    }
}
