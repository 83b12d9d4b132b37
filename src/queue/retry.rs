//! Making failed items pending again.

use std::collections::HashSet;

use sqlx::{Connection, FromRow, Sqlite, Transaction};

use super::{Queue, QueueError, Run};
use crate::domain::outcome::Outcome;
use crate::domain::packed::{BODY_BYTES, Packed};
use crate::domain::request::{Doubt, Item, RequestId};
use crate::domain::row::RowNo;

/// Which items are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// How they ended: failed or in doubt.
    pub outcome: Outcome,
    /// Only those that ended with this code.
    pub code: Option<i64>,
}

#[derive(FromRow)]
struct Stored {
    id: RequestId,
    attempts: u32,
    in_doubt: u8,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

/// Items on their way into a new request.
#[derive(Default)]
struct Pack {
    from: Option<String>,
    in_doubt: u8,
    items: Vec<Item>,
    attempts: u32,
    /// At most so many bytes: all of the requests that its items were in.
    bytes: usize,
}

impl Queue {
    /// Makes the selected items of a run pending again, with all their attempts before them. Returns how many rows.
    pub async fn retry(&mut self, run: &Run, selection: Selection) -> Result<u64, QueueError> {
        let fail = self.fail();
        let most = run.operation()?.items_per_request();
        let next_request = &mut self.next_request;
        let transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let mut again = Again { transaction, next_request, run, selection, most, pack: Pack::default() };
        let mut rows = 0;
        let mut after = 0;
        let last = *again.next_request - 1;
        while let Some(stored) = again.next(after, last).await.map_err(&fail)? {
            after = stored.id;
            rows += again.take_from(stored, &fail).await?;
        }
        again.flush().await.map_err(&fail)?;
        again.count(rows, &fail).await?;
        again.transaction.commit().await.map_err(&fail)?;
        Ok(rows)
    }
}

struct Again<'a> {
    transaction: Transaction<'a, Sqlite>,
    next_request: &'a mut RequestId,
    run: &'a Run,
    selection: Selection,
    most: usize,
    pack: Pack,
}

impl Again<'_> {
    async fn next(&mut self, after: RequestId, last: RequestId) -> Result<Option<Stored>, sqlx::Error> {
        // The subquery passes over the others at once, which as a rule are nearly all.
        sqlx::query_as(
            "SELECT id, attempts, in_doubt, from_account, accounts, rows, tags
             FROM request NOT INDEXED JOIN payload ON payload.request = request.id
             WHERE run = ?1 AND id > ?2 AND id <= ?3 AND state = 'settled' AND EXISTS (
                 SELECT 1 FROM json_each(payload.rows) AS entry CROSS JOIN outcome ON outcome.run = ?1
                 AND outcome.row = CASE entry.type WHEN 'array' THEN entry.value ->> 0 ELSE entry.value END
                 WHERE outcome.outcome = ?4 AND (?5 IS NULL OR outcome.code = ?5))
             ORDER BY id LIMIT 1",
        )
        .bind(self.run.id)
        .bind(after)
        .bind(last)
        .bind(self.selection.outcome.name())
        .bind(self.selection.code)
        .fetch_optional(&mut *self.transaction)
        .await
    }

    /// Moves the selected items of a request into the pack. Returns how many rows they stand for.
    async fn take_from(
        &mut self,
        stored: Stored,
        fail: &impl Fn(sqlx::Error) -> QueueError,
    ) -> Result<u64, QueueError> {
        let selected = self.selected(&stored.rows).await.map_err(fail)?;
        let damaged = |source| QueueError::Damaged { request: stored.id, source };
        let items = Packed::unpack(&stored.accounts, &stored.rows, stored.tags.as_deref()).map_err(damaged)?;
        let (taken, kept): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| selected.contains(&item.row));
        let rows = taken.iter().map(Item::row_count).sum();
        self.forget(&taken).await.map_err(fail)?;
        self.keep(stored.id, &kept).await.map_err(fail)?;
        self.make_room(&stored).await.map_err(fail)?;
        for item in taken {
            self.pack.attempts = self.pack.attempts.max(stored.attempts);
            self.pack.items.push(item);
            if self.pack.items.len() == self.most {
                self.flush().await.map_err(fail)?;
            }
        }
        Ok(rows)
    }

    /// Items share a request only with those of the same list, and only if "already done" will mean the same for
    /// all of them.
    async fn make_room(&mut self, stored: &Stored) -> Result<(), sqlx::Error> {
        let bytes = stored.accounts.len() + stored.tags.as_ref().map_or(0, String::len);
        let unanswered = self.selection.outcome == Outcome::InDoubt;
        let in_doubt = if unanswered { Doubt::MayHaveArrived.number() } else { stored.in_doubt };
        let alike = self.pack.from == stored.from_account && self.pack.in_doubt == in_doubt;
        if !alike || self.pack.bytes + bytes > BODY_BYTES {
            self.flush().await?;
        }
        self.pack.from.clone_from(&stored.from_account);
        self.pack.in_doubt = in_doubt;
        self.pack.bytes += bytes;
        Ok(())
    }

    /// Which of these rows ended as selected.
    async fn selected(&mut self, rows: &str) -> Result<HashSet<RowNo>, sqlx::Error> {
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT outcome.row FROM json_each(?1) AS entry JOIN outcome
             ON outcome.run = ?2
             AND outcome.row = CASE entry.type WHEN 'array' THEN entry.value ->> 0 ELSE entry.value END
             WHERE outcome.outcome = ?3 AND (?4 IS NULL OR outcome.code = ?4)",
        )
        .bind(rows)
        .bind(self.run.id)
        .bind(self.selection.outcome.name())
        .bind(self.selection.code)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(found.into_iter().map(i64::cast_unsigned).collect())
    }

    async fn forget(&mut self, taken: &[Item]) -> Result<(), sqlx::Error> {
        let rows: Vec<RowNo> = taken.iter().flat_map(Item::rows).collect();
        sqlx::query("DELETE FROM outcome WHERE run = ? AND row IN (SELECT value FROM json_each(?))")
            .bind(self.run.id)
            .bind(serde_json::to_string(&rows).unwrap_or_default())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn keep(&mut self, request: RequestId, kept: &[Item]) -> Result<(), sqlx::Error> {
        if kept.is_empty() {
            sqlx::query("DELETE FROM request WHERE id = ?").bind(request).execute(&mut *self.transaction).await?;
            return Ok(());
        }
        let packed = Packed::of(None, kept);
        sqlx::query("UPDATE payload SET accounts = ?, rows = ?, tags = ? WHERE request = ?")
            .bind(packed.accounts)
            .bind(packed.rows)
            .bind(packed.tags)
            .bind(request)
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query("UPDATE request SET item_count = ?, row_count = ? WHERE id = ? AND state = 'settled'")
            .bind(packed.item_count)
            .bind(packed.row_count)
            .bind(request)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        let pack = std::mem::take(&mut self.pack);
        self.pack.from.clone_from(&pack.from);
        self.pack.in_doubt = pack.in_doubt;
        if pack.items.is_empty() {
            return Ok(());
        }
        let id = *self.next_request;
        *self.next_request += 1;
        let packed = Packed::of(None, &pack.items);
        sqlx::query(
            "INSERT INTO request (id, run, item_count, row_count, attempts, in_doubt) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(self.run.id)
        .bind(packed.item_count)
        .bind(packed.row_count)
        .bind(pack.attempts)
        .bind(pack.in_doubt)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query("INSERT INTO payload (request, from_account, accounts, rows, tags) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(pack.from)
            .bind(packed.accounts)
            .bind(packed.rows)
            .bind(packed.tags)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// The rows are pending again, and the run with them. What ended was not held against later protected lists, so
    /// that now the run stands under none.
    async fn count(&mut self, rows: u64, fail: &impl Fn(sqlx::Error) -> QueueError) -> Result<(), QueueError> {
        if rows == 0 {
            return Ok(());
        }
        let moved = [(self.selection.outcome, -rows.cast_signed()), (Outcome::Pending, rows.cast_signed())];
        let mut changed = 0;
        for (outcome, rows) in moved {
            let query = sqlx::query("UPDATE tally SET rows = rows + ? WHERE run = ? AND outcome = ?");
            let query = query.bind(rows).bind(self.run.id).bind(outcome.name());
            changed += query.execute(&mut *self.transaction).await.map_err(fail)?.rows_affected();
        }
        let query = sqlx::query(
            "UPDATE run SET state = 'running', finished_at = NULL, protected = ''
             WHERE id = ? AND state IN ('running', 'finished')",
        );
        let query = query.bind(self.run.id).execute(&mut *self.transaction);
        changed += query.await.map_err(fail)?.rows_affected();
        if changed == 3 {
            return Ok(());
        }
        Err(QueueError::Unexpected(format!("run {} is neither running nor finished", self.run.uuid)))
    }
}
