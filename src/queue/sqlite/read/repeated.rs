//! Finds the requests of a run that needed several calls, and the first rows of accounts.

use std::collections::BTreeMap;

use crate::domain::ids::RunId;
use crate::queue::error::QueueError;
use crate::queue::figures_of_run::{ManyCalls, RepeatedRows, RowPlace};
use crate::queue::sqlite::read::run_figures::place_of;
use crate::queue::sqlite::reader::Reader;

/// The first row of a request. Table `payload` stores a list for an item with several rows.
macro_rules! first_row {
    () => {
        "CASE json_type(payload.rows, '$[0]') WHEN 'array' THEN payload.rows ->> '$[0][0]'
              ELSE payload.rows ->> '$[0]' END"
    };
}

impl Reader {
    /// The numbers of rows that were sent again, or were in doubt.
    pub async fn repeated_rows(&self, run: RunId) -> Result<RepeatedRows, QueueError> {
        let (again, doubtful, damaged): (i64, i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(row_count) FILTER (WHERE attempts > 1), 0),
                    coalesce(sum(row_count) FILTER (WHERE in_doubt > 0), 0),
                    count(*) FILTER (WHERE checksum_ok IS NOT 1)
             FROM request WHERE run = ?",
        )
        .bind(run)
        .fetch_one(&self.pool)
        .await
        .map_err(self.fail())?;
        if damaged > 0 {
            return Err(QueueError::Damaged(format!("{damaged} requests of run {run} have a wrong checksum")));
        }
        Ok(RepeatedRows { several_calls: again.cast_unsigned(), once_in_doubt: doubtful.cast_unsigned() })
    }

    /// The requests with the most calls, where several were needed, and where their first rows are.
    pub async fn most_calls(&self, run: RunId, limit: u32) -> Result<Vec<ManyCalls>, QueueError> {
        let found: Vec<(i64, i64, i64)> = sqlx::query_as(concat!(
            "SELECT most.attempts, most.row_count, ",
            first_row!(),
            " FROM (SELECT id, attempts, row_count FROM request WHERE run = ? AND attempts > 1
                    ORDER BY attempts DESC, id LIMIT ?) AS most
              JOIN payload ON payload.request = most.id ORDER BY most.attempts DESC, most.id"
        ))
        .bind(run)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let mut snapshot = self.snapshot().await?;
        let files = snapshot.input_files(run).await?;
        let mut all = Vec::with_capacity(found.len());
        for (calls, rows, row) in found {
            let first = place_of(&mut snapshot, run, &files, row.cast_unsigned()).await?;
            all.push(ManyCalls { calls: calls.cast_unsigned(), rows: rows.cast_unsigned(), first });
        }
        Ok(all)
    }

    /// Where the first row of each of these From_Accounts is. Reads all requests, unless there are no accounts.
    pub async fn first_rows(&self, run: RunId, from: &[&str]) -> Result<BTreeMap<String, RowPlace>, QueueError> {
        if from.is_empty() {
            return Ok(BTreeMap::new());
        }
        let accounts = serde_json::to_string(from).expect("texts are JSON");
        let found: Vec<(String, i64)> = sqlx::query_as(concat!(
            "SELECT payload.from_account, min(",
            first_row!(),
            ") FROM request JOIN payload ON payload.request = request.id
             WHERE request.run = ? AND payload.from_account IN (SELECT value FROM json_each(?))
             GROUP BY payload.from_account"
        ))
        .bind(run)
        .bind(accounts)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
        let mut snapshot = self.snapshot().await?;
        let files = snapshot.input_files(run).await?;
        let mut all = BTreeMap::new();
        for (account, row) in found {
            all.insert(account, place_of(&mut snapshot, run, &files, row.cast_unsigned()).await?);
        }
        Ok(all)
    }
}
