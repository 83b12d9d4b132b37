//! Changes of requests and outcomes that several operations share. Each is refused if it finds an unexpected state.

use crate::queue::sqlite::bulk_insert::{MAX_ROWS, Value, insert};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use sqlx::SqliteConnection;

use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::{Doubt, Item, Purpose};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::verdict::ItemResult;
use crate::stored_request::StoredRequest;

/// A request for items that were in other requests before.
#[derive(Debug)]
pub(in crate::queue) struct NewRequest {
    pub(in crate::queue) id: RequestId,
    pub(in crate::queue) run: RunId,
    pub(in crate::queue) encoded: StoredRequest,
    pub(in crate::queue) attempts: u32,
    pub(in crate::queue) charged: u32,
    pub(in crate::queue) doubt: Doubt,
    pub(in crate::queue) history: CodeHistory,
    pub(in crate::queue) purpose: Purpose,
    pub(in crate::queue) parent: Option<RequestId>,
    /// The time when it was settled; none while it is pending.
    pub(in crate::queue) finished_at: Option<i64>,
}

pub(in crate::queue) async fn insert_request(
    connection: &mut SqliteConnection,
    new: NewRequest,
) -> Result<(), Failure> {
    let (items, rows) = (new.encoded.item_count, new.encoded.row_count);
    // The columns first get the values that a load writes, so that the table updates the checksum with the change.
    sqlx::query("INSERT INTO request (id, run, item_count, row_count, checksum) VALUES (?, ?, ?, ?, ?)")
        .bind(new.id)
        .bind(new.run)
        .bind(items)
        .bind(rows)
        .bind(checksum::new_request(new.id, new.run, items, rows))
        .execute(&mut *connection)
        .await?;
    let query = sqlx::query(
        "UPDATE request SET attempts = ?2, charged = ?3, in_doubt = ?4, parent = ?5, finished_at = ?6,
                            state = CASE WHEN ?6 IS NULL THEN 'pending' ELSE 'settled' END WHERE id = ?1",
    );
    let query = query.bind(new.id).bind(new.attempts).bind(new.charged).bind(new.doubt.number());
    let query = query.bind(new.parent).bind(new.finished_at);
    expect("requests made", 1, query.execute(&mut *connection).await?.rows_affected())?;
    let (history, purpose) = (new.history.to_json(), new.purpose.to_json());
    let checksum = checksum::payload(new.id, new.run, &new.encoded, (history.as_deref(), purpose.as_deref()));
    let columns = "INSERT INTO payload (request, from_account, accounts, rows, fields, history, purpose, checksum)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(columns)
        .bind(new.id)
        .bind(&new.encoded.from)
        .bind(&new.encoded.accounts)
        .bind(&new.encoded.rows)
        .bind(&new.encoded.fields)
        .bind(history)
        .bind(purpose)
        .bind(checksum)
        .execute(connection)
        .await?;
    Ok(())
}

/// Inserts the outcomes of rows.
pub(in crate::queue) async fn insert_outcomes(
    connection: &mut SqliteConnection,
    run: RunId,
    rows: &[(RowNo, &ItemResult)],
) -> Result<(), Failure> {
    // If everything was done before, each item has a row here: at 200,000 per second a statement for each is too slow.
    for rows in rows.chunks(MAX_ROWS) {
        let sql = insert("outcome (run, row, outcome, code, reason, checksum)", &[Value::Bound; 6], rows.len());
        let mut query = sqlx::query(sql);
        for (row, result) in rows {
            let checksum = checksum::outcome(run, *row, result.outcome.name(), result.code, &result.reason);
            query = query.bind(run).bind(row.cast_signed()).bind(result.outcome.name()).bind(result.code);
            query = query.bind(&result.reason).bind(checksum);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Keeps only these items in a request and stores their codes and what their next call is for. A request without items
/// is deleted.
pub(in crate::queue) async fn keep_items(
    connection: &mut SqliteConnection,
    (run, request): (RunId, RequestId),
    from: Option<&UserId>,
    kept: &[Item],
    (history, purpose): (&CodeHistory, &Purpose),
) -> Result<(), Failure> {
    if kept.is_empty() {
        let query = sqlx::query("DELETE FROM request WHERE id = ?").bind(request);
        return expect("requests emptied", 1, query.execute(connection).await?.rows_affected());
    }
    let (encoded, history, purpose) = (StoredRequest::encode(from, kept), history.to_json(), purpose.to_json());
    let columns = "UPDATE payload SET accounts = ?, rows = ?, fields = ?, history = ?, purpose = ?, checksum = ?
                   WHERE request = ?";
    let query = sqlx::query(columns).bind(&encoded.accounts).bind(&encoded.rows).bind(&encoded.fields);
    let query = query.bind(&history).bind(&purpose);
    let checksum = checksum::payload(request, run, &encoded, (history.as_deref(), purpose.as_deref()));
    let query = query.bind(checksum).bind(request);
    expect("payloads cut", 1, query.execute(&mut *connection).await?.rows_affected())?;
    let query = sqlx::query("UPDATE request SET item_count = ?, row_count = ? WHERE id = ?");
    let query = query.bind(encoded.item_count).bind(encoded.row_count).bind(request);
    expect("requests cut", 1, query.execute(connection).await?.rows_affected())
}
