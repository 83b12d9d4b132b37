//! Rows of table `source`: the files of a run's input, and what reading each found.

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::domain::source_facts::SourceFacts;
use crate::queue::error::QueueError;
use crate::queue::input_file::InputFile;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::reader::{Reader, Snapshot};

/// The columns number, name, row_count, blank_rows, notes, carried_from and checksum.
type SourceRow = (i64, String, i64, i64, String, Option<String>, i64);

/// Inserts a file before anything of it was read.
pub(in crate::queue) async fn insert(
    connection: &mut SqliteConnection,
    run: RunId,
    number: i64,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO source (run, number, name, row_count, blank_rows, notes, checksum)
             VALUES (?, ?, ?, 0, 0, '[]', ?)",
    )
    .bind(run)
    .bind(number)
    .bind(name)
    .bind(checksum::source((run, number), name, (0, 0), "[]", None))
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts a file of an earlier run, of which this number of rows was carried over.
pub(in crate::queue) async fn insert_carried(
    connection: &mut SqliteConnection,
    (run, number): (RunId, i64),
    name: &str,
    rows: u64,
    from: &str,
) -> Result<(), sqlx::Error> {
    let rows = rows.cast_signed();
    sqlx::query(
        "INSERT INTO source (run, number, name, row_count, blank_rows, notes, carried_from, checksum)
             VALUES (?, ?, ?, ?, 0, '[]', ?, ?)",
    )
    .bind(run)
    .bind(number)
    .bind(name)
    .bind(rows)
    .bind(from)
    .bind(checksum::source((run, number), name, (rows, 0), "[]", Some(from)))
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what reading the files found. `facts` has the sequence of the files.
pub(in crate::queue) async fn describe(
    connection: &mut SqliteConnection,
    run: RunId,
    facts: &[SourceFacts],
) -> Result<(), sqlx::Error> {
    for (number, facts) in (0..).zip(facts) {
        let counts = (facts.rows.cast_signed(), facts.blank_rows.cast_signed());
        let notes = serde_json::to_string(&facts.notes).expect("texts and numbers are JSON");
        let select = sqlx::query_scalar("SELECT name FROM source WHERE run = ? AND number = ?");
        let name: String = select.bind(run).bind(number).fetch_one(&mut *connection).await?;
        let checksum = checksum::source((run, number), &name, counts, &notes, None);
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
    /// The files of a run's input, in input order.
    pub async fn input_files(&self, run: RunId) -> Result<Vec<InputFile>, QueueError> {
        self.snapshot().await?.input_files(run).await
    }
}

impl Snapshot {
    /// The files of a run's input, in input order.
    pub async fn input_files(&mut self, run: RunId) -> Result<Vec<InputFile>, QueueError> {
        let select = "SELECT number, name, row_count, blank_rows, notes, carried_from, checksum FROM source
             WHERE run = ? ORDER BY number";
        let files: Vec<SourceRow> =
            sqlx::query_as(select).bind(run).fetch_all(&mut *self.transaction).await.map_err(self.fail())?;
        (0..).zip(files).map(|(place, stored)| read(run, place, stored)).collect()
    }
}

fn read(run: RunId, place: i64, stored: SourceRow) -> Result<InputFile, QueueError> {
    let (number, name, rows, blank_rows, notes, carried_from, checksum) = stored;
    let wrong = |what: &str| QueueError::Damaged(format!("file {place} of run {run} has {what} in table source"));
    let expected = checksum::source((run, number), &name, (rows, blank_rows), &notes, carried_from.as_deref());
    if place != number || checksum != expected {
        return Err(wrong("a wrong checksum"));
    }
    let notes = serde_json::from_str(&notes).map_err(|_| wrong("notes that cannot be read"))?;
    let facts = SourceFacts { rows: rows.cast_unsigned(), blank_rows: blank_rows.cast_unsigned(), notes };
    Ok(InputFile { name, carried_from, facts })
}
