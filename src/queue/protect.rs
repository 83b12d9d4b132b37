//! Taking ids that were protected after a load out of its pending requests.

use sqlx::{Connection, FromRow};

use super::{Queue, QueueError, Run};
use crate::domain::packed::Packed;
use crate::domain::request::{Item, RequestId};

/// Requests that are read at once: some of them may be large.
const PAGE: u32 = 64;

#[derive(FromRow)]
struct Stored {
    id: RequestId,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

impl Queue {
    /// Sets every row aside that has no outcome yet and names a protected id. Returns how many.
    ///
    /// Rows of requests that a killed runner left `sending` too: [`Queue::rescue`] would have them sent once more.
    /// `digest` stands for the list from now on.
    pub async fn protect(
        &mut self,
        run: &Run,
        protects: &(dyn Fn(&str) -> bool + Sync),
        digest: &str,
    ) -> Result<u64, QueueError> {
        let fail = self.fail();
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let (mut after, mut protected) = (0, 0);
        loop {
            let page = page(&mut transaction, run, after).await.map_err(&fail)?;
            let Some(end) = page.last() else { break };
            after = end.id;
            for stored in &page {
                let damaged = |source| QueueError::Damaged { request: stored.id, source };
                let items = Packed::unpack(&stored.accounts, &stored.rows, stored.tags.as_deref()).map_err(damaged)?;
                protected += cut(&mut transaction, run, stored, items, protects).await.map_err(&fail)?;
            }
        }
        count(&mut transaction, run, protected, digest).await.map_err(&fail)?;
        transaction.commit().await.map_err(&fail)?;
        Ok(protected)
    }
}

/// Sets the rows of a request aside that name a protected id. Returns how many.
async fn cut(
    connection: &mut sqlx::SqliteConnection,
    run: &Run,
    stored: &Stored,
    items: Vec<Item>,
    protects: &(dyn Fn(&str) -> bool + Sync),
) -> Result<u64, sqlx::Error> {
    let lane = stored.from_account.as_deref().filter(|from| protects(from));
    let names = |item: &Item| lane.is_some() || protects(item.account.as_str());
    let (taken, kept): (Vec<Item>, Vec<Item>) = items.into_iter().partition(names);
    for item in &taken {
        set_aside(connection, run, stored, item, lane.unwrap_or(item.account.as_str())).await?;
    }
    if !taken.is_empty() {
        keep(connection, stored.id, &kept).await?;
    }
    Ok(taken.iter().map(Item::row_count).sum())
}

async fn page(
    connection: &mut sqlx::SqliteConnection,
    run: &Run,
    after: RequestId,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, from_account, accounts, rows, tags
         FROM request NOT INDEXED JOIN payload ON payload.request = request.id
         WHERE run = ? AND id > ? AND state <> 'settled' ORDER BY id LIMIT ?",
    )
    .bind(run.id)
    .bind(after)
    .bind(PAGE)
    .fetch_all(connection)
    .await
}

async fn set_aside(
    connection: &mut sqlx::SqliteConnection,
    run: &Run,
    stored: &Stored,
    item: &Item,
    id: &str,
) -> Result<(), sqlx::Error> {
    let tags_of = |row| item.updates.iter().flat_map(|updates| updates.iter()).find(|(own, _)| *own == row);
    for row in item.rows() {
        let tags = tags_of(row).map(|(_, tags)| serde_json::to_string(tags).unwrap_or_default());
        sqlx::query(
            "INSERT INTO aside (run, row, outcome, reason, from_account, account, tags)
             VALUES (?, ?, 'protected', ?, ?, ?, ?)",
        )
        .bind(run.id)
        .bind(row.cast_signed())
        .bind(format!("`{id}` is on the protected list"))
        .bind(&stored.from_account)
        .bind(item.account.as_str())
        .bind(tags)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn keep(connection: &mut sqlx::SqliteConnection, request: RequestId, kept: &[Item]) -> Result<(), sqlx::Error> {
    if kept.is_empty() {
        sqlx::query("DELETE FROM request WHERE id = ? AND state <> 'settled'")
            .bind(request)
            .execute(connection)
            .await?;
        return Ok(());
    }
    let packed = Packed::of(None, kept);
    sqlx::query("UPDATE payload SET accounts = ?, rows = ?, tags = ? WHERE request = ?")
        .bind(packed.accounts)
        .bind(packed.rows)
        .bind(packed.tags)
        .bind(request)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE request SET item_count = ?, row_count = ? WHERE id = ? AND state <> 'settled'")
        .bind(packed.item_count)
        .bind(packed.row_count)
        .bind(request)
        .execute(connection)
        .await?;
    Ok(())
}

async fn count(connection: &mut sqlx::SqliteConnection, run: &Run, rows: u64, digest: &str) -> Result<(), sqlx::Error> {
    for (outcome, rows) in [("pending", -rows.cast_signed()), ("protected", rows.cast_signed())] {
        sqlx::query("UPDATE tally SET rows = rows + ? WHERE run = ? AND outcome = ?")
            .bind(rows)
            .bind(run.id)
            .bind(outcome)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE run SET protected = ? WHERE id = ?").bind(digest).bind(run.id).execute(connection).await?;
    Ok(())
}
