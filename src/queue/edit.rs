//! Changes that recording, retrying and protecting share, each refused where it meets another state than it must.

use sqlx::SqliteConnection;

use super::bulk_insert::{LINES, insert};
use super::checksum::{Checksum, request_checksum};
use super::{QueueError, request_row};
use crate::domain::account::UserId;
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::{Doubt, Item};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verdict::ItemResult;
use crate::domain::row::RowNo;
use crate::stored_request::StoredRequest;

/// Why a change could not be made.
pub(super) enum Failure {
    Database(sqlx::Error),
    Queue(QueueError),
}

impl Failure {
    /// As the user is told; `fail` says which queue it is.
    pub(super) fn told(self, fail: impl Fn(sqlx::Error) -> QueueError) -> QueueError {
        match self {
            Self::Database(source) => fail(source),
            Self::Queue(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// A request that takes over items of others.
pub(super) struct NewRequest {
    pub(super) id: RequestId,
    pub(super) run: RunId,
    pub(super) encoded: StoredRequest,
    pub(super) attempts: u32,
    pub(super) charged: u32,
    pub(super) doubt: Doubt,
    pub(super) history: CodeHistory,
    pub(super) parent: Option<RequestId>,
    /// When it was settled; none while it is pending.
    pub(super) finished_at: Option<i64>,
}

pub(super) async fn insert_request(connection: &mut SqliteConnection, new: NewRequest) -> Result<(), Failure> {
    let (items, rows) = (new.encoded.item_count, new.encoded.row_count);
    // As a load would leave it; the change after it is sealed by the table itself.
    sqlx::query("INSERT INTO request (id, run, item_count, row_count, checksum) VALUES (?, ?, ?, ?, ?)")
        .bind(new.id)
        .bind(new.run)
        .bind(items)
        .bind(rows)
        .bind(request_checksum(new.id, new.run, items, rows))
        .execute(&mut *connection)
        .await?;
    let query = sqlx::query(
        "UPDATE request SET attempts = ?2, charged = ?3, in_doubt = ?4, parent = ?5, finished_at = ?6,
                            state = CASE WHEN ?6 IS NULL THEN 'pending' ELSE 'settled' END WHERE id = ?1",
    );
    let query = query.bind(new.id).bind(new.attempts).bind(new.charged).bind(new.doubt.number());
    let query = query.bind(new.parent).bind(new.finished_at);
    expect("requests made", 1, query.execute(&mut *connection).await?.rows_affected())?;
    let history = new.history.to_json();
    let checksum = payload_checksum(new.id, new.run, &new.encoded, history.as_deref());
    let columns = "INSERT INTO payload (request, from_account, accounts, rows, tags, history, checksum)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(columns)
        .bind(new.id)
        .bind(&new.encoded.from)
        .bind(&new.encoded.accounts)
        .bind(&new.encoded.rows)
        .bind(&new.encoded.tags)
        .bind(history)
        .bind(checksum)
        .execute(connection)
        .await?;
    Ok(())
}

/// The checksum of a request's line in `payload`.
pub(super) fn payload_checksum(id: RequestId, run: RunId, encoded: &StoredRequest, history: Option<&str>) -> i64 {
    let lists =
        [encoded.from.as_deref(), Some(&encoded.accounts), Some(&encoded.rows), encoded.tags.as_deref(), history];
    request_row::payload(id, run, encoded.item_count, encoded.row_count, lists)
}

/// Rows that ended in one way.
pub(super) async fn insert_outcomes(
    connection: &mut SqliteConnection,
    run: RunId,
    lines: &[(RowNo, &ItemResult)],
) -> Result<(), Failure> {
    // A run over what is done already has a line an item: at 200,000 a second one statement each is too slow.
    for lines in lines.chunks(LINES) {
        let sql = insert("outcome (run, row, outcome, code, reason, checksum)", 6, lines.len());
        let mut query = sqlx::query(sql);
        for (row, result) in lines {
            let checksum = outcome_checksum(run, *row, result.outcome.name(), result.code, &result.reason);
            query = query.bind(run).bind(row.cast_signed()).bind(result.outcome.name()).bind(result.code);
            query = query.bind(&result.reason).bind(checksum);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The checksum of a line of `outcome`.
pub(super) fn outcome_checksum(run: RunId, row: RowNo, outcome: &str, code: Option<i64>, reason: &str) -> i64 {
    Checksum::new().number(run.get()).row(row).text(outcome).number_if_any(code).text(reason).sum()
}

/// Leaves a request of this run and account only these items, which have met these codes; without any item it goes.
pub(super) async fn keep_items(
    connection: &mut SqliteConnection,
    (run, request): (RunId, RequestId),
    from: Option<&UserId>,
    kept: &[Item],
    history: &CodeHistory,
) -> Result<(), Failure> {
    if kept.is_empty() {
        let query = sqlx::query("DELETE FROM request WHERE id = ?").bind(request);
        return expect("requests emptied", 1, query.execute(connection).await?.rows_affected());
    }
    let (encoded, history) = (StoredRequest::encode(from, kept), history.to_json());
    let columns = "UPDATE payload SET accounts = ?, rows = ?, tags = ?, history = ?, checksum = ? WHERE request = ?";
    let query = sqlx::query(columns).bind(&encoded.accounts).bind(&encoded.rows).bind(&encoded.tags).bind(&history);
    let query = query.bind(payload_checksum(request, run, &encoded, history.as_deref())).bind(request);
    expect("payloads cut", 1, query.execute(&mut *connection).await?.rows_affected())?;
    let query = sqlx::query("UPDATE request SET item_count = ?, row_count = ? WHERE id = ?");
    let query = query.bind(encoded.item_count).bind(encoded.row_count).bind(request);
    expect("requests cut", 1, query.execute(connection).await?.rows_affected())
}

/// Adds rows to an outcome of a run, or takes them off.
pub(super) async fn add_to_tally(
    connection: &mut SqliteConnection,
    run: RunId,
    outcome: Outcome,
    rows: i64,
) -> Result<(), Failure> {
    let query = sqlx::query("UPDATE tally SET rows = rows + ? WHERE run = ? AND outcome = ?");
    let query = query.bind(rows).bind(run).bind(outcome.name());
    expect("counts", 1, query.execute(connection).await?.rows_affected())
}

/// Refuses a change that changed more or less than it must.
pub(super) fn expect(what: &str, wanted: usize, changed: u64) -> Result<(), Failure> {
    if changed == wanted as u64 {
        return Ok(());
    }
    Err(QueueError::Unexpected(format!("{what}: {changed} of {wanted}")).into())
}
