//! Rows of table `verified`.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::SqliteConnection;

use crate::domain::ids::RunId;
use crate::domain::request::Item;
use crate::domain::request::row::RowNo;
use crate::domain::response::settlement::EndedItems;
use crate::domain::response::verification::{Verified, VerifiedRows};
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::bulk_insert::{MAX_ROWS, Value, insert};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::reader::{Contents, Reader, Snapshot};
use crate::queue::verification::{VerifiedReason, VerifiedRow};

/// Stores what lookups showed of items, in place of earlier results.
pub(in crate::queue) async fn store(
    connection: &mut SqliteConnection,
    run: RunId,
    ended: &[EndedItems],
    now: i64,
) -> Result<(), Failure> {
    let found = ended.iter().filter_map(|EndedItems { result, items }| {
        let verified = Verified::of_stored(result.outcome)?;
        Some(items.iter().flat_map(Item::rows).map(move |row| (row, verified.name(), &result.reason)))
    });
    let rows: Vec<(RowNo, &'static str, &String)> = found.flatten().collect();
    let numbers: Vec<RowNo> = rows.iter().map(|(row, ..)| *row).collect();
    remove(&mut *connection, run, &numbers).await?;
    let mut found: BTreeMap<&str, i64> = BTreeMap::new();
    rows.iter().for_each(|(_, verified, _)| *found.entry(verified).or_default() += 1);
    add_to_tally(&mut *connection, run, found).await?;
    for rows in rows.chunks(MAX_ROWS) {
        let table = "verified (run, row, verified, reason, verified_at, checksum)";
        let mut query = sqlx::query(insert(table, &[Value::Bound; 6], rows.len()));
        for (row, verified, reason) in rows {
            let checksum = checksum::verified(run, *row, verified, reason, now);
            query = query.bind(run).bind(row.cast_signed()).bind(*verified).bind(*reason).bind(now).bind(checksum);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes what lookups showed of rows that are sent again.
pub(in crate::queue) async fn remove(
    connection: &mut SqliteConnection,
    run: RunId,
    rows: &[RowNo],
) -> Result<(), sqlx::Error> {
    let query = sqlx::query_scalar(
        "DELETE FROM verified WHERE run = ? AND row IN (SELECT value FROM json_each(?)) RETURNING verified",
    );
    let query = query.bind(run).bind(serde_json::to_string(rows).expect("texts and numbers are JSON"));
    let found: Vec<String> = query.fetch_all(&mut *connection).await?;
    let mut removed: BTreeMap<&str, i64> = BTreeMap::new();
    found.iter().for_each(|verified| *removed.entry(verified).or_default() -= 1);
    add_to_tally(connection, run, removed).await
}

async fn add_to_tally(
    connection: &mut SqliteConnection,
    run: RunId,
    changes: BTreeMap<&str, i64>,
) -> Result<(), sqlx::Error> {
    for (verified, rows) in changes {
        // With `ON CONFLICT`, SQLite would check a negative number of new rows.
        let absent = sqlx::query("INSERT OR IGNORE INTO verified_tally (run, verified, rows) VALUES (?, ?, 0)");
        absent.bind(run).bind(verified).execute(&mut *connection).await?;
        let change = sqlx::query("UPDATE verified_tally SET rows = rows + ?3 WHERE run = ?1 AND verified = ?2");
        change.bind(run).bind(verified).bind(rows).execute(&mut *connection).await?;
    }
    Ok(())
}

impl Reader {
    /// The rows of a run by what the last lookup of each showed.
    pub async fn verified_rows(&self, run: RunId) -> Result<VerifiedRows, QueueError> {
        if self.contents == Contents::Nothing {
            return Ok(VerifiedRows::default());
        }
        let counts = sqlx::query_as("SELECT verified, rows FROM verified_tally WHERE run = ?");
        let counts: Vec<(String, i64)> = counts.bind(run).fetch_all(&self.pool).await.map_err(self.fail())?;
        let read = |(name, rows): (String, i64)| Ok((verified_named(&name)?, rows.cast_unsigned()));
        counts.into_iter().map(read).collect()
    }

    /// What the lookups of a verification showed, other than the requested state, the most frequent first.
    pub async fn verified_reasons(&self, verification: &Run) -> Result<Vec<VerifiedReason>, QueueError> {
        let reasons: Vec<(String, Option<i64>, String, i64)> = sqlx::query_as(
            "SELECT outcome, code, reason, count(*) FROM outcome WHERE run = ? GROUP BY outcome, code, reason
             ORDER BY 4 DESC, 1, 2, 3",
        )
        .bind(verification.id)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let read = |(outcome, code, reason, rows): (String, Option<i64>, String, i64)| {
            let verified = outcome.parse().ok().and_then(Verified::of_stored);
            let verified = verified.ok_or_else(|| QueueError::Damaged(format!("an outcome named {outcome}")))?;
            Ok(VerifiedReason { verified, code, reason, rows: rows.cast_unsigned() })
        };
        reasons.into_iter().map(read).collect()
    }
}

impl Snapshot {
    /// What the last lookups of those of these rows showed that were looked up, in row order.
    pub async fn verified(&mut self, run: RunId, rows: Range<RowNo>) -> Result<Vec<VerifiedRow>, QueueError> {
        let found: Vec<(i64, String, String, i64, i64)> = sqlx::query_as(
            "SELECT row, verified, reason, verified_at, checksum FROM verified
             WHERE run = ? AND row >= ? AND row < ? ORDER BY row",
        )
        .bind(run)
        .bind(rows.start.cast_signed())
        .bind(rows.end.cast_signed())
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let read = |(row, name, reason, at, checksum): (i64, String, String, i64, i64)| {
            let row = row.cast_unsigned();
            if checksum != checksum::verified(run, row, &name, &reason, at) {
                return Err(QueueError::Damaged(format!("row {row} has a wrong checksum in table verified")));
            }
            Ok(VerifiedRow { row, verified: verified_named(&name)?, at })
        };
        found.into_iter().map(read).collect()
    }
}

fn verified_named(name: &str) -> Result<Verified, QueueError> {
    name.parse().map_err(|_| QueueError::Damaged(format!("a verified row with the result {name}")))
}
