//! Taking ids that were protected after a load out of its pending requests.

use sqlx::{Connection, Sqlite, Transaction};

use super::edit::{Failure, NewRequest, add_to_tally, insert_outcomes, insert_request, keep_items};
use super::request_row::{RequestRow, select_stored};
use super::runs::{change_run, kept_tally};
use super::skipped_rows::insert_skipped_rows;
use super::{Queue, QueueError, Run};
use crate::domain::ids::RequestId;
use crate::domain::request::{Doubt, Item};
use crate::domain::response::code_history::{CodeHistory, Trace};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verdict::ItemResult;
use crate::domain::skipped_row::{SkipReason, SkippedRow};
use crate::fail_point::{FailPoint, guarded};
use crate::stored_request::StoredRequest;

/// Requests that are read at once: some of them may be large.
const PAGE: u32 = 64;

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
        let transaction = self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await?;
        let mut cut = Cut { transaction, next_request, run, protects, now, protected: 0, in_doubt: 0 };
        let due = kept_tally(&mut cut.transaction, run.id).await?[Outcome::Pending];
        let mut seen = 0;
        let mut after = RequestId::BEFORE_FIRST;
        loop {
            let page = cut.page(after).await?;
            let Some(end) = page.last() else { break };
            after = end.id;
            for stored in &page {
                let items = stored.items()?;
                seen += items.iter().map(Item::row_count).sum::<u64>();
                cut.take(stored, items).await?;
            }
        }
        // A request that was passed over here might still be found when it is to be sent.
        if seen != due {
            return Err(QueueError::Damaged(format!("{due} rows are pending, but {seen} are found")).into());
        }
        cut.count(digest).await?;
        let rows = cut.protected + cut.in_doubt;
        guarded(FailPoint::Protect, cut.transaction.commit()).await?;
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
    async fn page(&mut self, after: RequestId) -> Result<Vec<RequestRow>, sqlx::Error> {
        sqlx::query_as(select_stored!("NOT INDEXED", "run = ? AND id > ? AND state <> 'settled' ORDER BY id LIMIT ?"))
            .bind(self.run.id)
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *self.transaction)
            .await
    }

    /// Takes the items of a request out that name a protected id.
    async fn take(&mut self, stored: &RequestRow, items: Vec<Item>) -> Result<(), Failure> {
        let lane = stored.from_account.as_deref().filter(|from| (self.protects)(from));
        let names = |item: &Item| lane.is_some() || (self.protects)(item.account.as_str());
        let (taken, kept): (Vec<Item>, Vec<Item>) = items.into_iter().partition(names);
        if taken.is_empty() {
            return Ok(());
        }
        let rows: u64 = taken.iter().map(Item::row_count).sum();
        let history = stored.history()?;
        let trace = history.trace(&*self.run.operation()?).0;
        if stored.doubt() > Doubt::None || stored.state == "sending" || trace > Trace::Nothing {
            self.leave_in_doubt(stored, &taken, &history).await?;
            self.in_doubt += rows;
        } else {
            for item in &taken {
                self.set_aside(stored, item, lane.unwrap_or(item.account.as_str())).await?;
            }
            self.protected += rows;
        }
        keep_items(&mut self.transaction, (stored.run, stored.id), stored.from()?.as_ref(), &kept, &history).await
    }

    /// The items end in a request of their own.
    async fn leave_in_doubt(
        &mut self,
        stored: &RequestRow,
        items: &[Item],
        history: &CodeHistory,
    ) -> Result<(), Failure> {
        let id = self.next_request.take();
        let new = NewRequest {
            id,
            run: self.run.id,
            encoded: StoredRequest::encode(stored.from()?.as_ref(), items),
            attempts: stored.attempts,
            charged: 0,
            doubt: Doubt::MayHaveArrived,
            history: history.clone(),
            parent: Some(stored.id),
            finished_at: Some(self.now),
        };
        insert_request(&mut self.transaction, new).await?;
        let reason = history.reason(None, "protected only after an attempt that may have taken effect");
        let result = ItemResult { outcome: Outcome::InDoubt, code: None, reason };
        let lines: Vec<_> = items.iter().flat_map(Item::rows).map(|row| (row, &result)).collect();
        insert_outcomes(&mut self.transaction, self.run.id, &lines).await
    }

    async fn set_aside(&mut self, stored: &RequestRow, item: &Item, id: &str) -> Result<(), Failure> {
        let tags_of = |row| item.updates.iter().flat_map(|updates| updates.iter()).find(|(own, _)| *own == row);
        let skipped = |row| SkippedRow {
            row,
            reason: SkipReason::Protected { id: id.to_owned() },
            from: stored.from_account.clone(),
            account: Some(item.account.as_str().to_owned()),
            tags: tags_of(row).map(|(_, tags)| tags.clone()).unwrap_or_default(),
        };
        let skipped_rows = item.rows().map(skipped).collect();
        Ok(insert_skipped_rows(&mut self.transaction, self.run.id, skipped_rows).await?)
    }

    async fn count(&mut self, digest: &str) -> Result<(), Failure> {
        let (protected, in_doubt) = (self.protected.cast_signed(), self.in_doubt.cast_signed());
        let moves =
            [(Outcome::Pending, -protected - in_doubt), (Outcome::Protected, protected), (Outcome::InDoubt, in_doubt)];
        for (outcome, rows) in moves {
            add_to_tally(&mut self.transaction, self.run.id, outcome, rows).await?;
        }
        let named = sqlx::query("UPDATE run SET protected = ? WHERE id = ?").bind(digest).bind(self.run.id);
        change_run(&mut self.transaction, self.run.id, named).await
    }
}
