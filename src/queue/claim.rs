//! Reading requests that are to be sent, and finding those that a killed runner left behind.

use std::collections::HashMap;

use super::request_row::{RequestRow, select_stored};
use super::{Queue, QueueError, Reader};
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::{Doubt, Key, Keys, Request};
use crate::fail_point::{FailPoint, guarded};

// The states stand in these as literals: with a parameter in their place SQLite passes over the partial indexes.
const PAGE: &str = select_stored!(
    "INDEXED BY request_pending",
    "run = ? AND state = 'pending' AND id > ? AND id <= ? ORDER BY id LIMIT ?"
);
const SENDING: &str = select_stored!("INDEXED BY request_sending", "state = 'sending' ORDER BY id");
const RESCUE: &str = "UPDATE request SET in_doubt = 2 WHERE state = 'sending'";

/// A request with its items, if it is in this state still: an index may say otherwise than the table.
fn request(stored: &RequestRow, state: &str) -> Result<Request, QueueError> {
    let items = stored.items()?;
    if stored.state != state {
        return Err(stored.damaged(&format!("is {}, but its index says {state}", stored.state)));
    }
    let RequestRow { id, attempts, charged, .. } = *stored;
    let (doubt, history) = (stored.doubt(), stored.history()?);
    Ok(Request { id, from: stored.from()?, items, attempts, charged, doubt, history })
}

impl Reader {
    /// The next pending requests of a run: numbers above `after`, up to `last`.
    pub async fn page(
        &self,
        run: RunId,
        after: RequestId,
        last: RequestId,
        limit: u32,
    ) -> Result<Vec<Request>, QueueError> {
        let page = sqlx::query_as(PAGE).bind(run).bind(after).bind(last).bind(limit);
        let page: Vec<RequestRow> = page.fetch_all(&self.pool).await.map_err(self.fail())?;
        let mut before = after;
        for stored in &page {
            // Nothing may come twice: what is sent twice at once is written twice at once.
            if stored.id <= before || stored.id > last || stored.run != run {
                return Err(stored.damaged("is in the wrong place of its index"));
            }
            before = stored.id;
        }
        page.iter().map(|stored| request(stored, "pending")).collect()
    }

    /// One pending request.
    pub async fn request(&self, id: RequestId) -> Result<Request, QueueError> {
        let stored: RequestRow = sqlx::query_as(select_stored!("NOT INDEXED", "id = ? AND state = 'pending'"))
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .map_err(self.fail())?;
        request(&stored, "pending")
    }
}

impl Queue {
    /// The requests of all runs that a killed runner left `sending`: they may have arrived. They stay `sending` until
    /// [`Write::Reopen`](super::Write::Reopen), so that another kill finds them again.
    pub async fn rescue(&mut self) -> Result<Vec<(RunId, Request, Keys)>, QueueError> {
        let fail = self.fail();
        let found: Vec<RequestRow> = sqlx::query_as(SENDING).fetch_all(&mut self.connection).await.map_err(&fail)?;
        let mut rescued = Vec::with_capacity(found.len());
        for stored in found {
            let run = self.run(stored.run).await?;
            let request = Request { doubt: Doubt::MayHaveArrived, ..request(&stored, "sending")? };
            let keys = run.operation()?.keys(&request);
            rescued.push((run.id, request, keys));
        }
        refuse_shared_accounts(&rescued)?;
        let mut transaction = self.transaction().await.map_err(&fail)?;
        let changed = sqlx::query(RESCUE).execute(&mut *transaction).await.map_err(&fail)?.rows_affected();
        guarded(FailPoint::Rescue, transaction.commit()).await.map_err(&fail)?;
        if changed != rescued.len() as u64 {
            return Err(QueueError::Unexpected(format!("{changed} requests recovered of {}", rescued.len())));
        }
        Ok(rescued)
    }
}

/// No runner sends two requests at once that write one account: the file was changed by other hands.
fn refuse_shared_accounts(rescued: &[(RunId, Request, Keys)]) -> Result<(), QueueError> {
    let mut writers: HashMap<Key, RequestId> = HashMap::new();
    for (_, request, keys) in rescued {
        for key in keys.as_slice() {
            if let Some(other) = writers.insert(*key, request.id) {
                return Err(QueueError::Unexpected(format!(
                    "requests {other} and {} are both being sent and write the same account; did another program change the file?",
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

    async fn plan_of(queue: &mut Queue, sql: &'static str) -> String {
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(crate::queue::bulk_insert::explained(sql)).fetch_all(&mut queue.connection).await.unwrap();
        steps.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn what_is_asked_at_start_is_found_by_the_partial_indexes_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        for (sql, index) in [
            (PAGE, "request_pending (run=? AND rowid>? AND rowid<?)"),
            (SENDING, "request_sending"),
            (RESCUE, "request_sending"),
            (super::super::runs::LAST_PENDING, "request_pending (run=?)"),
            (super::super::runs::FINISH, "request_pending (run=?)"),
        ] {
            let plan = plan_of(&mut queue, sql).await;
            assert!(plan.contains(&format!("INDEX {index}")), "{sql}: {plan}");
            assert!(!plan.contains("SCAN request;") && !plan.ends_with("SCAN request"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
