//! Rows of table `skipped`.

use crate::queue::sqlite::bulk_insert::{MAX_ROWS, Value, insert};
use crate::queue::sqlite::checksum;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use crate::domain::ids::RunId;
use crate::domain::request::Item;
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::skipped_row::{SkipReason, SkippedRow};

const COLUMNS: &str =
    "skipped (run, row, outcome, duplicate_of, column_name, reason, from_account, account, fields, checksum)";

/// Inserts skipped rows, [`MAX_ROWS`] with each statement.
pub(in crate::queue) async fn insert_skipped_rows(
    connection: &mut SqliteConnection,
    run: RunId,
    mut skipped_rows: Vec<SkippedRow>,
) -> Result<(), sqlx::Error> {
    while !skipped_rows.is_empty() {
        let later = skipped_rows.split_off(skipped_rows.len().min(MAX_ROWS));
        bind_skipped_rows(run, skipped_rows).execute(&mut *connection).await?;
        skipped_rows = later;
    }
    Ok(())
}

/// The rows of an item that is never sent.
pub(in crate::queue) fn skipped_rows_of(item: &Item, from: Option<&UserId>, reason: &SkipReason) -> Vec<SkippedRow> {
    let fields_of = |row| item.updates.iter().flat_map(|updates| updates.iter()).find(|(own, _)| *own == row);
    let skipped = |row| SkippedRow {
        row,
        reason: reason.clone(),
        from: from.map(|from| from.as_str().to_owned()),
        account: Some(item.account.as_str().to_owned()),
        fields: fields_of(row).map(|(_, fields)| fields.clone()).unwrap_or_default(),
    };
    item.rows().map(skipped).collect()
}

/// The statement that inserts skipped rows, at most [`MAX_ROWS`].
pub(in crate::queue) fn bind_skipped_rows(
    run: RunId,
    skipped_rows: Vec<SkippedRow>,
) -> Query<'static, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(insert(COLUMNS, &[Value::Bound; 10], skipped_rows.len()));
    for skipped in skipped_rows {
        let outcome = skipped.reason.outcome().name();
        let (duplicate_of, column, reason) = match skipped.reason {
            SkipReason::Rejected { column, reason } => (None, column, Some(reason)),
            SkipReason::Guarded { reason } => (None, None, Some(reason)),
            SkipReason::Duplicate { of } => (Some(of), None, None),
            SkipReason::Protected { id } => (None, None, Some(format!("`{id}` is on the protected list"))),
        };
        let fields = (!skipped.fields.is_empty())
            .then(|| serde_json::to_string(&skipped.fields).expect("texts and numbers are JSON"));
        let texts = [&column, &reason, &skipped.from, &skipped.account, &fields].map(Option::as_deref);
        let checksum = checksum::skipped(run, skipped.row, outcome, duplicate_of, texts);
        let duplicate_of = duplicate_of.map(RowNo::cast_signed);
        query = query.bind(run).bind(skipped.row.cast_signed()).bind(outcome).bind(duplicate_of);
        query = query.bind(column).bind(reason).bind(skipped.from).bind(skipped.account).bind(fields).bind(checksum);
    }
    query
}
