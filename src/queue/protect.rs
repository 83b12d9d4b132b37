//! Taking ids that were protected after a load out of its pending requests.

use sqlx::{Connection, FromRow, Sqlite, Transaction};

use super::change::{Failure, NewRequest, add_to_tally, expect, insert_request, keep_items};
use super::{Queue, QueueError, Run};
use crate::domain::outcome::Outcome;
use crate::domain::packed::Packed;
use crate::domain::request::{Doubt, Item, RequestId};
use crate::fail_point::{Deed, around};

/// Requests that are read at once: some of them may be large.
const PAGE: u32 = 64;

#[derive(FromRow)]
struct Stored {
    id: RequestId,
    attempts: u32,
    may_have_arrived: bool,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

impl Queue {
    /// Takes every row that has no outcome yet and names a protected id out of its request, so that it is never sent
    /// again: such a row is protected or, where an earlier attempt may have arrived, in doubt. Returns how many.
    ///
    /// Rows of requests that a killed runner left `sending` too: [`Queue::rescue`] would have them sent once more.
    /// `digest` stands for the list from now on; `now` is in milliseconds since 1970.
    pub async fn protect(
        &mut self,
        run: &Run,
        protects: &(dyn Fn(&str) -> bool + Sync),
        digest: &str,
        now: i64,
    ) -> Result<u64, QueueError> {
        let fail = self.fail();
        self.protect_all(run, protects, digest, now).await.map_err(|failure| failure.told(fail))
    }

    async fn protect_all(
        &mut self,
        run: &Run,
        protects: &(dyn Fn(&str) -> bool + Sync),
        digest: &str,
        now: i64,
    ) -> Result<u64, Failure> {
        let next_request = &mut self.next_request;
        let transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut cut = Cut { transaction, next_request, run, protects, now, protected: 0, in_doubt: 0 };
        let mut after = 0;
        loop {
            let page = cut.page(after).await?;
            let Some(end) = page.last() else { break };
            after = end.id;
            for stored in &page {
                let damaged = |source| QueueError::Damaged { request: stored.id, source };
                let items = Packed::unpack(&stored.accounts, &stored.rows, stored.tags.as_deref()).map_err(damaged)?;
                cut.take(stored, items).await?;
            }
        }
        cut.count(digest).await?;
        let rows = cut.protected + cut.in_doubt;
        around(Deed::Protect, cut.transaction.commit()).await?;
        Ok(rows)
    }
}

struct Cut<'a> {
    transaction: Transaction<'a, Sqlite>,
    next_request: &'a mut RequestId,
    run: &'a Run,
    protects: &'a (dyn Fn(&str) -> bool + Sync),
    now: i64,
    /// Rows set aside.
    protected: u64,
    /// Rows that may have been done before they were protected.
    in_doubt: u64,
}

impl Cut<'_> {
    async fn page(&mut self, after: RequestId) -> Result<Vec<Stored>, sqlx::Error> {
        sqlx::query_as(
            "SELECT id, attempts, in_doubt > 0 OR state = 'sending' AS may_have_arrived, from_account, accounts, rows, tags
             FROM request NOT INDEXED JOIN payload ON payload.request = request.id
             WHERE run = ? AND id > ? AND state <> 'settled' ORDER BY id LIMIT ?",
        )
        .bind(self.run.id)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *self.transaction)
        .await
    }

    /// Takes the items of a request out that name a protected id.
    async fn take(&mut self, stored: &Stored, items: Vec<Item>) -> Result<(), Failure> {
        let lane = stored.from_account.as_deref().filter(|from| (self.protects)(from));
        let names = |item: &Item| lane.is_some() || (self.protects)(item.account.as_str());
        let (taken, kept): (Vec<Item>, Vec<Item>) = items.into_iter().partition(names);
        if taken.is_empty() {
            return Ok(());
        }
        let rows: u64 = taken.iter().map(Item::row_count).sum();
        if stored.may_have_arrived {
            self.leave_in_doubt(stored, &taken).await?;
            self.in_doubt += rows;
        } else {
            for item in &taken {
                self.set_aside(stored, item, lane.unwrap_or(item.account.as_str())).await?;
            }
            self.protected += rows;
        }
        keep_items(&mut self.transaction, stored.id, &kept).await
    }

    /// The items end in a request of their own.
    async fn leave_in_doubt(&mut self, stored: &Stored, items: &[Item]) -> Result<(), Failure> {
        let id = *self.next_request;
        *self.next_request += 1;
        let new = NewRequest {
            id,
            run: self.run.id,
            packed: Packed { from: stored.from_account.clone(), ..Packed::of(None, items) },
            attempts: stored.attempts,
            charged: 0,
            doubt: Doubt::MayHaveArrived,
            parent: Some(stored.id),
            finished_at: Some(self.now),
        };
        insert_request(&mut self.transaction, new).await?;
        for row in items.iter().flat_map(Item::rows) {
            sqlx::query("INSERT INTO outcome (run, row, outcome, reason) VALUES (?, ?, ?, ?)")
                .bind(self.run.id)
                .bind(row.cast_signed())
                .bind(Outcome::InDoubt.name())
                .bind("protected only after an attempt that may have arrived")
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(())
    }

    async fn set_aside(&mut self, stored: &Stored, item: &Item, id: &str) -> Result<(), Failure> {
        let tags_of = |row| item.updates.iter().flat_map(|updates| updates.iter()).find(|(own, _)| *own == row);
        for row in item.rows() {
            let tags = tags_of(row).map(|(_, tags)| serde_json::to_string(tags).unwrap_or_default());
            sqlx::query(
                "INSERT INTO aside (run, row, outcome, reason, from_account, account, tags)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(self.run.id)
            .bind(row.cast_signed())
            .bind(Outcome::Protected.name())
            .bind(format!("`{id}` is on the protected list"))
            .bind(&stored.from_account)
            .bind(item.account.as_str())
            .bind(tags)
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(())
    }

    async fn count(&mut self, digest: &str) -> Result<(), Failure> {
        let (protected, in_doubt) = (self.protected.cast_signed(), self.in_doubt.cast_signed());
        let moves =
            [(Outcome::Pending, -protected - in_doubt), (Outcome::Protected, protected), (Outcome::InDoubt, in_doubt)];
        for (outcome, rows) in moves {
            add_to_tally(&mut self.transaction, self.run.id, outcome, rows).await?;
        }
        let named = sqlx::query("UPDATE run SET protected = ? WHERE id = ?").bind(digest).bind(self.run.id);
        expect("runs", 1, named.execute(&mut *self.transaction).await?.rows_affected())
    }
}
