//! Removes ids that were protected after a load from its pending requests.

use super::edit::{NewRequest, insert_outcomes, insert_request, keep_items};
use super::request_row::{RequestRow, select_request};
use super::skipped_rows::{insert_skipped_rows, skipped_rows_of};
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::runs::run_row::change_run;
use crate::queue::sqlite::runs::tally::{add_to_tally, kept_tally};
use crate::queue::sqlite::store::Queue;
use sqlx::{Connection, Sqlite, Transaction};

use crate::domain::ids::RequestId;
use crate::domain::request::skipped_row::SkipReason;
use crate::domain::request::{Doubt, Item, Purpose};
use crate::domain::response::earlier_effect::EarlierCalls;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::protected_items::{ProtectedSplit, result_if_protected, split_protected};
use crate::domain::response::verdict::ItemResult;
use crate::fail_point::{FailPoint, guarded};
use crate::stored_request::StoredRequest;

/// Requests that are read at once: some of them may be large.
const REQUESTS_PER_READ: u32 = 64;

impl Queue {
    /// Removes every row without an outcome that contains a protected id from its request, so that it is never sent
    /// again. Its outcome is protected or, if an earlier call may have arrived, in doubt. Returns the number of
    /// rows.
    ///
    /// Rows of requests that a killed runner left `sending` too: [`Queue::recover`] would have them sent once more.
    /// Their accounts are not leased afterwards, so the caller waits before until the server has ended these calls.
    /// `digest` identifies the protected list; `now` is in milliseconds since 1970.
    pub async fn protect(
        &mut self,
        run: &Run,
        protects: &(dyn Fn(&str) -> bool + Sync),
        digest: &str,
        now: i64,
    ) -> Result<u64, QueueError> {
        let fail = self.fail();
        self.protect_all(run, protects, digest, now).await.map_err(|failure| failure.into_error(fail))
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
        let mut protection =
            ProtectTransaction { transaction, next_request, run, protects, now, protected: 0, in_doubt: 0 };
        let due = kept_tally(&mut protection.transaction, run.id).await?[Outcome::Pending];
        let mut seen = 0;
        let mut after = RequestId::BEFORE_FIRST;
        loop {
            let page = protection.page(after).await?;
            let Some(end) = page.last() else { break };
            after = end.id;
            for stored in &page {
                let items = stored.items()?;
                seen += items.iter().map(Item::row_count).sum::<u64>();
                protection.take(stored, items).await?;
            }
        }
        // A request that is missed here might still be found when it is to be sent.
        if seen != due {
            return Err(QueueError::Damaged(format!("{due} rows are pending, but {seen} are found")).into());
        }
        protection.count(digest).await?;
        let rows = protection.protected + protection.in_doubt;
        guarded(FailPoint::Protect, protection.transaction.commit()).await?;
        Ok(rows)
    }
}

struct ProtectTransaction<'a> {
    transaction: Transaction<'a, Sqlite>,
    next_request: &'a mut RequestId,
    run: &'a Run,
    protects: &'a (dyn Fn(&str) -> bool + Sync),
    now: i64,
    /// Rows that were protected before they were sent.
    protected: u64,
    /// Rows that may have been processed before they were protected.
    in_doubt: u64,
}

impl ProtectTransaction<'_> {
    async fn page(&mut self, after: RequestId) -> Result<Vec<RequestRow>, sqlx::Error> {
        sqlx::query_as(select_request!("NOT INDEXED", "run = ? AND id > ? AND state <> 'settled' ORDER BY id LIMIT ?"))
            .bind(self.run.id)
            .bind(after)
            .bind(REQUESTS_PER_READ)
            .fetch_all(&mut *self.transaction)
            .await
    }

    /// Removes the items with a protected id from a request.
    async fn take(&mut self, stored: &RequestRow, items: Vec<Item>) -> Result<(), Failure> {
        let ProtectedSplit { named, others } = split_protected(stored.from_account.as_deref(), items, self.protects);
        if named.is_empty() {
            return Ok(());
        }
        let rows: u64 = named.iter().map(|(item, _)| item.row_count()).sum();
        let (from, history, purpose) = (stored.from()?, stored.history()?, stored.purpose()?);
        let calls = EarlierCalls { doubt: stored.doubt_if_not_sent_again()?, history };
        if let Some(result) = result_if_protected(&self.run.operation, &calls, &purpose) {
            let items: Vec<Item> = named.into_iter().map(|(item, _)| item).collect();
            self.leave_in_doubt(stored, &items, &result).await?;
            self.in_doubt += rows;
        } else {
            for (item, id) in named {
                let skipped_rows = skipped_rows_of(&item, from.as_ref(), &SkipReason::Protected { id });
                insert_skipped_rows(&mut self.transaction, self.run.id, skipped_rows).await?;
            }
            self.protected += rows;
        }
        let request = (stored.run, stored.id);
        keep_items(&mut self.transaction, request, from.as_ref(), &others, (&calls.history, &purpose)).await
    }

    /// The items move to a settled request of their own.
    async fn leave_in_doubt(
        &mut self,
        stored: &RequestRow,
        items: &[Item],
        result: &ItemResult,
    ) -> Result<(), Failure> {
        let id = self.next_request.take();
        let new = NewRequest {
            id,
            run: self.run.id,
            encoded: StoredRequest::encode(stored.from()?.as_ref(), items),
            attempts: stored.attempts,
            charged: 0,
            doubt: Doubt::EffectUnknown,
            history: stored.history()?,
            purpose: Purpose::Change,
            parent: Some(stored.id),
            finished_at: Some(self.now),
        };
        insert_request(&mut self.transaction, new).await?;
        let rows: Vec<_> = items.iter().flat_map(Item::rows).map(|row| (row, result)).collect();
        insert_outcomes(&mut self.transaction, self.run.id, &rows).await
    }

    async fn count(&mut self, digest: &str) -> Result<(), Failure> {
        let (protected, in_doubt) = (self.protected.cast_signed(), self.in_doubt.cast_signed());
        let moves =
            [(Outcome::Pending, -protected - in_doubt), (Outcome::Protected, protected), (Outcome::InDoubt, in_doubt)];
        for (outcome, rows) in moves {
            add_to_tally(&mut self.transaction, self.run.id, outcome, rows).await?;
        }
        let named = sqlx::query("UPDATE run SET protected_digest = ? WHERE id = ?").bind(digest).bind(self.run.id);
        change_run(&mut self.transaction, self.run.id, named).await
    }
}
