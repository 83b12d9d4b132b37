//! The files of a run's input, and what the reading of each found.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::checksum::Checksum;
use super::{QueueError, Reader, Snapshot};
use crate::domain::ids::RunId;
use crate::domain::source_facts::SourceFacts;

/// A file of a run's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputFile {
    /// The name in results and messages.
    pub name: String,
    /// What the reading of it found.
    #[serde(flatten)]
    pub facts: SourceFacts,
}

/// Columns of table `source` in their order there.
type Stored = (i64, String, i64, i64, String, i64);

/// Adds a file, of which nothing was read yet.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    run: RunId,
    number: i64,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO source (run, number, name, row_count, blank_rows, notes, checksum) VALUES (?, ?, ?, 0, 0, '[]', ?)",
    )
    .bind(run)
    .bind(number)
    .bind(name)
    .bind(checksum(run, number, name, (0, 0), "[]"))
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what the reading of the files found, in the order of the files.
pub(super) async fn describe(
    connection: &mut SqliteConnection,
    run: RunId,
    facts: &[SourceFacts],
) -> Result<(), sqlx::Error> {
    for (number, facts) in (0..).zip(facts) {
        let counts = (facts.rows.cast_signed(), facts.blank_rows.cast_signed());
        let notes = serde_json::to_string(&facts.notes).unwrap_or_default();
        let select = sqlx::query_scalar("SELECT name FROM source WHERE run = ? AND number = ?");
        let name: String = select.bind(run).bind(number).fetch_one(&mut *connection).await?;
        let checksum = checksum(run, number, &name, counts, &notes);
        sqlx::query(
            "UPDATE source SET row_count = ?, blank_rows = ?, notes = ?, checksum = ? WHERE run = ? AND number = ?",
        )
        .bind(counts.0)
        .bind(counts.1)
        .bind(notes)
        .bind(checksum)
        .bind(run)
        .bind(number)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Reader {
    /// The files of a run's input, in their order.
    pub async fn input_files(&self, run: RunId) -> Result<Vec<InputFile>, QueueError> {
        self.snapshot().await?.input_files(run).await
    }
}

impl Snapshot {
    /// The files of a run's input, in their order.
    pub async fn input_files(&mut self, run: RunId) -> Result<Vec<InputFile>, QueueError> {
        let select =
            "SELECT number, name, row_count, blank_rows, notes, checksum FROM source WHERE run = ? ORDER BY number";
        let files: Vec<Stored> =
            sqlx::query_as(select).bind(run).fetch_all(&mut *self.transaction).await.map_err(self.fail())?;
        (0..).zip(files).map(|(place, stored)| read(run, place, stored)).collect()
    }
}

fn read(run: RunId, place: i64, stored: Stored) -> Result<InputFile, QueueError> {
    let (number, name, rows, blank_rows, notes, stored_checksum) = stored;
    let wrong = |what: &str| QueueError::Damaged(format!("file {place} of run {run} has {what} in table source"));
    if place != number || stored_checksum != checksum(run, number, &name, (rows, blank_rows), &notes) {
        return Err(wrong("a wrong checksum"));
    }
    let notes = serde_json::from_str(&notes).map_err(|_| wrong("notes that cannot be read"))?;
    let facts = SourceFacts { rows: rows.cast_unsigned(), blank_rows: blank_rows.cast_unsigned(), notes };
    Ok(InputFile { name, facts })
}

fn checksum(run: RunId, number: i64, name: &str, (rows, blank_rows): (i64, i64), notes: &str) -> i64 {
    Checksum::new().number(run.get()).number(number).text(name).number(rows).number(blank_rows).text(notes).sum()
}
