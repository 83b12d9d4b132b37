//! Reads the requests that are to be sent, and recovers those that a killed process left `sending`.

use super::request_row::{RequestRow, select_request};
use crate::queue::error::QueueError;
use crate::queue::sqlite::reader::Reader;
use crate::queue::sqlite::states::StoredState;
use crate::queue::sqlite::store::Queue;
use std::collections::HashMap;

use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::{AccountKey, AccountKeys, Doubt, Request};
use crate::fail_point::{FailPoint, guarded};

// The states are literals: SQLite does not use the partial indexes if they are parameters.
const SELECT_PENDING: &str = select_request!(
    "INDEXED BY request_pending",
    "run = ? AND state = 'pending' AND id > ? AND id <= ? ORDER BY id LIMIT ?"
);
const SENDING: &str = select_request!("INDEXED BY request_sending", "state = 'sending' ORDER BY id");
const SENDING_ITEMS: &str = "SELECT coalesce(sum(item_count), 0) FROM request INDEXED BY request_sending
                             WHERE state = 'sending' AND run = ?";
const MARK_IN_DOUBT: &str = "UPDATE request SET in_doubt = 2 WHERE state = 'sending' AND reads = 0";

/// A request with its items, if it has this state. A damaged index may differ from the table.
fn request(stored: &RequestRow, state: StoredState) -> Result<Request, QueueError> {
    let items = stored.items()?;
    if stored.state != state {
        return Err(stored.damaged(&format!("is {}, but its index says {}", stored.state.name(), state.name())));
    }
    let RequestRow { id, attempts: calls, charged, .. } = *stored;
    let (doubt, history, purpose) = (stored.doubt(), stored.history()?, stored.purpose()?);
    Ok(Request { id, from: stored.from()?, items, calls, charged, doubt, history, purpose })
}

impl Reader {
    /// The next pending requests of a run, with ids above `after` and up to `last`.
    pub async fn page(
        &self,
        run: RunId,
        after: RequestId,
        last: RequestId,
        limit: u32,
    ) -> Result<Vec<Request>, QueueError> {
        let page = sqlx::query_as(SELECT_PENDING).bind(run).bind(after).bind(last).bind(limit);
        let page: Vec<RequestRow> = page.fetch_all(&self.pool).await.map_err(self.fail())?;
        let mut before = after;
        for stored in &page {
            // A request that is read twice would be sent twice at the same time.
            if stored.id <= before || stored.id > last || stored.run != run {
                return Err(stored.damaged("is in the wrong place of its index"));
            }
            before = stored.id;
        }
        page.iter().map(|stored| request(stored, StoredState::Pending)).collect()
    }

    /// How many items of a run have their outcome, counted until there are `enough`.
    pub async fn ended_items(&self, run: RunId, enough: u64) -> Result<u64, QueueError> {
        // A settled request has at least one item.
        let requests = i64::try_from(enough).unwrap_or(i64::MAX);
        let counted: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(item_count), 0) FROM
             (SELECT item_count FROM request WHERE run = ? AND state = 'settled' LIMIT ?)",
        )
        .bind(run)
        .bind(requests)
        .fetch_one(&self.pool)
        .await
        .map_err(self.fail())?;
        Ok(counted.cast_unsigned())
    }

    /// How many items a killed process left in requests of a run that are `sending`.
    pub async fn sending_items(&self, run: RunId) -> Result<u64, QueueError> {
        let items: i64 =
            sqlx::query_scalar(SENDING_ITEMS).bind(run).fetch_one(&self.pool).await.map_err(self.fail())?;
        Ok(items.cast_unsigned())
    }

    /// A pending request.
    pub async fn request(&self, id: RequestId) -> Result<Request, QueueError> {
        let stored: RequestRow = sqlx::query_as(select_request!("NOT INDEXED", "id = ? AND state = 'pending'"))
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .map_err(self.fail())?;
        request(&stored, StoredState::Pending)
    }
}

impl Queue {
    /// The requests of all runs that a killed process left `sending`: the server may have received them. They are in
    /// doubt from now on, unless their call only reads. They stay `sending` until
    /// [`Change::Reopen`](crate::domain::change::Change::Reopen), so that they are found again after another kill.
    pub async fn recover(&mut self) -> Result<Vec<(RunId, Request, AccountKeys)>, QueueError> {
        let fail = self.fail();
        let found: Vec<RequestRow> = sqlx::query_as(SENDING).fetch_all(&mut self.connection).await.map_err(&fail)?;
        let mut recovered = Vec::with_capacity(found.len());
        let mut in_doubt = 0;
        for stored in found {
            let run = self.run(stored.run).await?;
            let mut request = request(&stored, StoredState::Sending)?;
            if !stored.reads {
                request.doubt = Doubt::EffectUnknown;
                in_doubt += 1;
            }
            let keys = run.operation.keys(&request).in_app(run.target.sdkappid());
            recovered.push((run.id, request, keys));
        }
        refuse_shared_accounts(&recovered)?;
        let mut transaction = self.transaction().await.map_err(&fail)?;
        let changed = sqlx::query(MARK_IN_DOUBT).execute(&mut *transaction).await.map_err(&fail)?.rows_affected();
        guarded(FailPoint::Recover, transaction.commit()).await.map_err(&fail)?;
        if changed != in_doubt {
            return Err(QueueError::Unexpected(format!("{changed} requests recovered of {in_doubt}")));
        }
        Ok(recovered)
    }
}

/// imbulk never sends two requests at once that write one account of an app. If two are `sending`, another program
/// changed the file.
fn refuse_shared_accounts(recovered: &[(RunId, Request, AccountKeys)]) -> Result<(), QueueError> {
    let mut writers: HashMap<AccountKey, RequestId> = HashMap::new();
    for (_, request, keys) in recovered {
        for key in keys.as_slice() {
            if let Some(other) = writers.insert(*key, request.id) {
                return Err(QueueError::Unexpected(format!(
                    "requests {other} and {} are both `sending` and write the same account; did another \
                     program change the file?",
                    request.id
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn query_plan_of(queue: &mut Queue, sql: &'static str) -> String {
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(crate::queue::sqlite::bulk_insert::explained(sql))
            .fetch_all(&mut queue.connection)
            .await
            .unwrap();
        steps.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn the_queries_at_start_use_the_partial_indexes_and_do_not_sort() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        for (sql, index) in [
            (SELECT_PENDING, "request_pending (run=? AND rowid>? AND rowid<?)"),
            (SENDING, "request_sending"),
            (SENDING_ITEMS, "request_sending"),
            (MARK_IN_DOUBT, "request_sending"),
            (crate::queue::sqlite::runs::lifecycle::LAST_PENDING, "request_pending (run=?)"),
            (crate::queue::sqlite::runs::finish::FINISH, "request_pending (run=?)"),
        ] {
            let plan = query_plan_of(&mut queue, sql).await;
            assert!(plan.contains(&format!("INDEX {index}")), "{sql}: {plan}");
            assert!(!plan.contains("SCAN request;") && !plan.ends_with("SCAN request"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
