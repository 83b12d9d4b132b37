//! Changes that recording, retrying and protecting share, each refused where it meets another state than it must.

use sqlx::SqliteConnection;

use super::{QueueError, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::packed::Packed;
use crate::domain::request::{Doubt, Item, RequestId};

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
    pub(super) packed: Packed,
    pub(super) attempts: u32,
    pub(super) charged: u32,
    pub(super) doubt: Doubt,
    pub(super) parent: Option<RequestId>,
    /// When it was settled; none while it is pending.
    pub(super) finished_at: Option<i64>,
}

pub(super) async fn insert_request(connection: &mut SqliteConnection, new: NewRequest) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO request (id, run, item_count, row_count, attempts, charged, in_doubt, parent, finished_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, CASE WHEN ?9 IS NULL THEN 'pending' ELSE 'settled' END)",
    )
    .bind(new.id)
    .bind(new.run)
    .bind(new.packed.item_count)
    .bind(new.packed.row_count)
    .bind(new.attempts)
    .bind(new.charged)
    .bind(new.doubt.number())
    .bind(new.parent)
    .bind(new.finished_at)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO payload (request, from_account, accounts, rows, tags) VALUES (?, ?, ?, ?, ?)")
        .bind(new.id)
        .bind(new.packed.from)
        .bind(new.packed.accounts)
        .bind(new.packed.rows)
        .bind(new.packed.tags)
        .execute(connection)
        .await?;
    Ok(())
}

/// Leaves a request only these items; without any it goes.
pub(super) async fn keep_items(
    connection: &mut SqliteConnection,
    request: RequestId,
    kept: &[Item],
) -> Result<(), Failure> {
    if kept.is_empty() {
        let query = sqlx::query("DELETE FROM request WHERE id = ?").bind(request);
        return expect("requests emptied", 1, query.execute(connection).await?.rows_affected());
    }
    let packed = Packed::of(None, kept);
    let query = sqlx::query("UPDATE payload SET accounts = ?, rows = ?, tags = ? WHERE request = ?");
    let query = query.bind(packed.accounts).bind(packed.rows).bind(packed.tags).bind(request);
    expect("payloads cut", 1, query.execute(&mut *connection).await?.rows_affected())?;
    let query = sqlx::query("UPDATE request SET item_count = ?, row_count = ? WHERE id = ?");
    let query = query.bind(packed.item_count).bind(packed.row_count).bind(request);
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
