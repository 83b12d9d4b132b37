//! `run --limit N`: finds the pending requests with the first N items of a run.

use super::edit::{NewRequest, insert_request, keep_items};
use super::request_row::{RequestRow, select_request};
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;
use crate::queue::selection::FirstItems;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::store::Queue;
use crate::stored_request::StoredRequest;

impl Queue {
    /// Finds the pending requests with the first `limit` items of a run. The request that contains the limit is split,
    /// so that they have exactly `limit` items, or all pending ones.
    pub async fn first_items(&mut self, run: RunId, limit: u64) -> Result<FirstItems, QueueError> {
        let fail = self.fail();
        self.find_first_items(run, limit).await.map_err(|failure| failure.into_error(fail))
    }

    async fn find_first_items(&mut self, run: RunId, limit: u64) -> Result<FirstItems, Failure> {
        let mut found = FirstItems { last_request: RequestId::BEFORE_FIRST, items: 0 };
        while found.items < limit {
            let next: Option<RequestRow> = sqlx::query_as(select_request!(
                "INDEXED BY request_pending",
                "run = ? AND state = 'pending' AND id > ? ORDER BY id LIMIT 1"
            ))
            .bind(run)
            .bind(found.last_request)
            .fetch_optional(&mut self.connection)
            .await?;
            let Some(stored) = next else { break };
            found.last_request = stored.id;
            found.items += self.split(&stored, limit - found.items).await?;
        }
        Ok(found)
    }

    /// Keeps at most `limit` items in a pending request and moves the others to a new one. Returns the number it keeps.
    async fn split(&mut self, stored: &RequestRow, limit: u64) -> Result<u64, Failure> {
        let mut items = stored.items()?;
        let at = usize::try_from(limit).unwrap_or(usize::MAX);
        if items.len() <= at {
            return Ok(items.len() as u64);
        }
        let later = items.split_off(at);
        let (from, history, purpose) = (stored.from()?, stored.history()?, stored.purpose()?);
        let id = self.next_request.take();
        let new = NewRequest {
            id,
            run: stored.run,
            encoded: StoredRequest::encode(from.as_ref(), &later),
            attempts: stored.attempts,
            charged: stored.charged,
            doubt: stored.doubt(),
            history: history.clone(),
            purpose: purpose.clone(),
            parent: Some(stored.id),
            finished_at: None,
        };
        let mut transaction = self.transaction().await?;
        keep_items(&mut transaction, (stored.run, stored.id), from.as_ref(), &items, (&history, &purpose)).await?;
        insert_request(&mut transaction, new).await?;
        guarded(FailPoint::SplitRequest, transaction.commit()).await?;
        Ok(limit)
    }
}
