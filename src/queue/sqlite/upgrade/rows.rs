//! Converts the rows whose checksums cover other columns than before, after comparing those that they had.

use serde::Deserialize;
use sqlx::{FromRow, SqliteConnection};

use super::layout::{EarlierLayout, Lists};
use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::row::RowNo;
use crate::queue::error::QueueError;
use crate::queue::run_state::RunState;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::runs::run_row::update_checksum;
use crate::stored_request::distance;

/// Requests that are read at once.
const REQUESTS_PER_READ: i64 = 256;

/// A run as an earlier version stored it.
#[derive(FromRow)]
struct OldRun {
    id: RunId,
    uuid: String,
    job: String,
    target: String,
    operation: String,
    delete_type: String,
    definition: String,
    digest: String,
    stamp: String,
    protected: String,
    files: String,
    tags: String,
    largest: String,
    state: RunState,
    stopped: Option<String>,
    settings: Option<String>,
    ended_by: Option<String>,
    row_count: i64,
    item_count: i64,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    crc: i64,
}

impl OldRun {
    fn checksum(&self, layout: &EarlierLayout) -> i64 {
        let texts = [&self.uuid, &self.job, &self.target, &self.operation, &self.delete_type, &self.definition];
        let texts = texts.into_iter().chain([&self.digest, &self.stamp, &self.protected]);
        let files = layout.is_complete.then_some(&self.files);
        let texts = texts.chain(files).chain([&self.tags, &self.largest]).map(String::as_str);
        let texts = texts.chain([self.state.name()]);
        let later = [self.settings.as_deref(), self.ended_by.as_deref()];
        let optional_texts =
            std::iter::once(self.stopped.as_deref()).chain(later.into_iter().filter(|_| layout.is_complete));
        let numbers = [self.row_count, self.item_count, self.created_at];
        checksum::earlier_run(self.id, texts, optional_texts, numbers, [self.started_at, self.finished_at])
    }
}

/// A row of `payload` with the columns of its request that its checksum covers.
#[derive(FromRow)]
struct OldPayload {
    request: RequestId,
    run: RunId,
    item_count: u32,
    row_count: u32,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    fields: Option<String>,
    checksum: i64,
}

/// The rows of one item in a list of row numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberedRows {
    One(RowNo),
    Merged(Vec<RowNo>),
}

/// Compares and renews the checksums of the runs. A run that is loading has none.
pub(super) async fn convert_runs(connection: &mut SqliteConnection, layout: &EarlierLayout) -> Result<(), Failure> {
    let runs: Vec<OldRun> = sqlx::query_as(
        "SELECT id, uuid, job, target, operation, delete_type, definition, digest, stamp, protected, files, tags,
                largest, state, stopped, settings, ended_by, row_count, item_count, created_at, started_at,
                finished_at, crc
         FROM old_run WHERE state <> 'loading'",
    )
    .fetch_all(&mut *connection)
    .await?;
    for run in runs {
        if layout.has_checksums && signed(run.crc) != run.checksum(layout) {
            return Err(damaged(&format!("run {} ({})", run.id, run.uuid), "run"));
        }
        update_checksum(connection, run.id).await?;
    }
    Ok(())
}

/// The same for the files of the input.
pub(super) async fn convert_sources(connection: &mut SqliteConnection, layout: &EarlierLayout) -> Result<(), Failure> {
    let select = "SELECT run, number, name, row_count, checksum FROM source";
    let sources: Vec<(RunId, i64, String, i64, i64)> = sqlx::query_as(select).fetch_all(&mut *connection).await?;
    for (run, number, name, rows, earlier) in sources {
        if layout.has_checksums && signed(earlier) != checksum::earlier_source(run, number, &name) {
            return Err(damaged(&format!("file {number} of run {run}"), "source"));
        }
        sqlx::query("UPDATE source SET checksum = ? WHERE run = ? AND number = ?")
            .bind(checksum::source((run, number), &name, (rows, 0), "[]", None))
            .bind(run)
            .bind(number)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The same for the lists of the requests, which also get the current encoding.
pub(super) async fn convert_payloads(connection: &mut SqliteConnection, layout: &EarlierLayout) -> Result<(), Failure> {
    let mut after = RequestId::BEFORE_FIRST;
    loop {
        let page: Vec<OldPayload> = sqlx::query_as(
            "SELECT request, run, item_count, row_count, from_account, accounts, rows, fields, payload.checksum
             FROM payload JOIN request ON request.id = payload.request WHERE request > ? ORDER BY request LIMIT ?",
        )
        .bind(after)
        .bind(REQUESTS_PER_READ)
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.request;
        for payload in page {
            convert_payload(connection, payload, layout).await?;
        }
    }
}

async fn convert_payload(
    connection: &mut SqliteConnection,
    old: OldPayload,
    layout: &EarlierLayout,
) -> Result<(), Failure> {
    let OldPayload { request, run, item_count, row_count, from_account, accounts, rows, fields, checksum } = old;
    let counts = (item_count, row_count);
    let columns = [from_account.as_deref(), Some(accounts.as_str()), Some(rows.as_str()), fields.as_deref()];
    if layout.has_checksums && signed(checksum) != checksum::payload_of_lists(request, run, counts, columns, None) {
        return Err(damaged(&format!("request {request}"), "payload"));
    }
    let (accounts, rows) = match layout.lists {
        Lists::Distances => (accounts, rows),
        Lists::Json => as_distances(&accounts, &rows)
            .map_err(|error| QueueError::Damaged(format!("request {request} cannot be read: {error}")))?,
    };
    let columns = [from_account.as_deref(), Some(accounts.as_str()), Some(rows.as_str()), fields.as_deref(), None];
    let checksum = checksum::payload_of_lists(request, run, counts, columns, None);
    let change = sqlx::query("UPDATE payload SET accounts = ?, rows = ?, checksum = ? WHERE request = ?");
    change.bind(&accounts).bind(&rows).bind(checksum).bind(request).execute(connection).await?;
    Ok(())
}

/// The current encoding of two JSON lists.
fn as_distances(accounts: &str, rows: &str) -> Result<(String, String), serde_json::Error> {
    let accounts: Vec<String> = serde_json::from_str(accounts)?;
    let rows: Vec<NumberedRows> = serde_json::from_str(rows)?;
    let mut before = 0;
    let mut step = |row: RowNo| distance(std::mem::replace(&mut before, row), row);
    let distances = rows.into_iter().map(|rows| match rows {
        NumberedRows::One(row) => serde_json::json!(step(row)),
        NumberedRows::Merged(rows) => {
            let first = rows.first().copied().unwrap_or_default();
            let others = rows.iter().skip(1).map(|row| distance(first, *row));
            std::iter::once(step(first)).chain(others).collect()
        }
    });
    let distances: serde_json::Value = distances.collect();
    Ok((accounts.join("\n"), distances.to_string()))
}

/// The oldest checksums were stored without a sign.
const fn signed(checksum: i64) -> i64 {
    (checksum + (1 << 31)).rem_euclid(1 << 32) - (1 << 31)
}

fn damaged(what: &str, table: &str) -> Failure {
    QueueError::Damaged(format!("{what} has a wrong checksum in table {table}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_row_numbers_become_distances() {
        let (accounts, rows) = as_distances(r#"["b","c","d"]"#, "[7,[9,12],10]").unwrap();
        assert_eq!((accounts.as_str(), rows.as_str()), ("b\nc\nd", "[7,[2,3],1]"));
        assert_eq!(as_distances(r#"["b"]"#, "[[3]]").unwrap().1, "[[3]]");
        as_distances("b", "[1]").unwrap_err();
    }

    #[test]
    fn checksums_without_a_sign_get_one() {
        for (stored, expected) in [(0, 0), (1, 1), (2_147_483_648, -2_147_483_648), (4_294_967_295, -1), (-5, -5)] {
            assert_eq!(signed(stored), expected, "{stored}");
        }
    }
}
