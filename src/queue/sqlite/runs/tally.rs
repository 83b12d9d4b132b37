//! Rows by outcome: the tally that every change updates, and the same numbers counted from the tables.

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::{Reader, Snapshot};
use crate::queue::sqlite::store::Queue;

impl Queue {
    /// Counts the rows of a run by outcome, and compares the result with the tally and with the number of rows that
    /// were read. Called at the end of every session, in release builds as well.
    pub async fn check_sums(&mut self, run: &Run) -> Result<Tally, QueueError> {
        let fail = self.fail();
        checked_tally(&mut self.connection, run).await.map_err(|failure| failure.into_error(fail))
    }
}

impl Snapshot {
    /// The same at the moment of the snapshot.
    pub async fn check_sums(&mut self, run: &Run) -> Result<Tally, QueueError> {
        let fail = self.fail();
        checked_tally(&mut self.transaction, run).await.map_err(|failure| failure.into_error(fail))
    }
}

impl Reader {
    /// Rows by outcome.
    pub async fn tally(&self, run: &Run) -> Result<Tally, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(self.fail())?;
        let tally = kept_tally(&mut connection, run.id).await.map_err(self.fail())?;
        let (rows, counted) = (run.row_count.cast_unsigned(), tally.total());
        if rows == counted {
            return Ok(tally);
        }
        Err(QueueError::Sums { run: run.uuid.clone(), what: format!("{rows} rows were read, the tally has {counted}") })
    }
}

/// Adds a number of rows to an outcome of a run. The number may be negative.
pub(in crate::queue) async fn add_to_tally(
    connection: &mut SqliteConnection,
    run: RunId,
    outcome: Outcome,
    rows: i64,
) -> Result<(), Failure> {
    let query = sqlx::query("UPDATE tally SET rows = rows + ? WHERE run = ? AND outcome = ?");
    let query = query.bind(rows).bind(run).bind(outcome.name());
    expect("counts", 1, query.execute(connection).await?.rows_affected())
}

/// The tally of a run.
pub(in crate::queue) async fn kept_tally(connection: &mut SqliteConnection, run: RunId) -> Result<Tally, sqlx::Error> {
    let rows = sqlx::query_as("SELECT outcome, rows FROM tally WHERE run = ?").bind(run).fetch_all(connection).await?;
    Ok(tally_of(rows))
}

/// The rows by outcome, counted from the tables and compared with the tally.
async fn checked_tally(connection: &mut SqliteConnection, run: &Run) -> Result<Tally, Failure> {
    let kept = kept_tally(connection, run.id).await?;
    let counted = counted_tally(connection, run.id).await?;
    let rows = run.row_count.cast_unsigned();
    if kept == counted && counted.total() == rows {
        return Ok(counted);
    }
    let what = format!("{rows} rows were read, the tally says {kept:?}, the tables say {counted:?}");
    Err(QueueError::Sums { run: run.uuid.clone(), what }.into())
}

async fn counted_tally(connection: &mut SqliteConnection, run: RunId) -> Result<Tally, sqlx::Error> {
    let rows = sqlx::query_as(
        "WITH settled (rows) AS (SELECT coalesce(sum(row_count), 0) FROM request NOT INDEXED
                                   WHERE run = ?1 AND state = 'settled')
         SELECT 'pending', coalesce(sum(row_count), 0) FROM request NOT INDEXED
             WHERE run = ?1 AND state IN ('pending', 'sending')
         UNION ALL SELECT outcome, count(*) FROM outcome WHERE run = ?1 GROUP BY outcome
         UNION ALL SELECT outcome, count(*) FROM skipped WHERE run = ?1 GROUP BY outcome
         UNION ALL SELECT 'succeeded', max(0, (SELECT rows FROM settled)
                                              - (SELECT count(*) FROM outcome WHERE run = ?1))",
    );
    Ok(tally_of(rows.bind(run).fetch_all(connection).await?))
}

fn tally_of(rows: Vec<(String, i64)>) -> Tally {
    let known =
        rows.into_iter().filter_map(|(name, rows)| Some((name.parse::<Outcome>().ok()?, u64::try_from(rows).ok()?)));
    known.collect()
}
