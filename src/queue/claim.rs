//! Reading requests that are to be sent, and finding those that a killed runner left behind.

use std::collections::HashMap;

use sqlx::FromRow;

use super::{Queue, QueueError, Reader, RunId};
use crate::domain::account::UserId;
use crate::domain::packed::Packed;
use crate::domain::request::{Doubt, Key, Keys, Request, RequestId};
use crate::fail_point::{Deed, around};

// The states stand in these as literals: with a parameter in their place SQLite passes over the partial indexes.
const PAGE: &str = "SELECT request.id, run, attempts, charged, in_doubt, from_account, accounts, rows, tags
    FROM request INDEXED BY request_pending JOIN payload ON payload.request = request.id
    WHERE run = ? AND state = 'pending' AND request.id > ? AND request.id <= ? ORDER BY request.id LIMIT ?";
const SENDING: &str = "SELECT request.id, run, attempts, charged, 2 AS in_doubt, from_account, accounts, rows, tags
    FROM request INDEXED BY request_sending JOIN payload ON payload.request = request.id
    WHERE state = 'sending' ORDER BY request.id";
const RESCUE: &str = "UPDATE request SET in_doubt = 2 WHERE state = 'sending'";

#[derive(FromRow)]
struct Stored {
    id: RequestId,
    run: RunId,
    attempts: u32,
    charged: u32,
    in_doubt: u8,
    from_account: Option<String>,
    accounts: String,
    rows: String,
    tags: Option<String>,
}

impl Stored {
    fn read(self) -> Result<Request, QueueError> {
        let damaged = |source| QueueError::Damaged { request: self.id, source };
        let items = Packed::unpack(&self.accounts, &self.rows, self.tags.as_deref()).map_err(damaged)?;
        let from = self.from_account.as_deref().map(UserId::new).transpose();
        let from =
            from.map_err(|error| QueueError::Unexpected(format!("request {}: From_Account {error}", self.id)))?;
        // The table's CHECK allows no other number; the gravest is the safe reading.
        let doubt = Doubt::numbered(self.in_doubt).unwrap_or(Doubt::MayHaveArrived);
        Ok(Request { id: self.id, from, items, attempts: self.attempts, charged: self.charged, doubt })
    }
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
        let page: Vec<Stored> = page.fetch_all(&self.pool).await.map_err(self.fail())?;
        page.into_iter().map(Stored::read).collect()
    }

    /// One pending request.
    pub async fn request(&self, id: RequestId) -> Result<Request, QueueError> {
        let stored: Stored = sqlx::query_as(
            "SELECT request.id, run, attempts, charged, in_doubt, from_account, accounts, rows, tags
             FROM request JOIN payload ON payload.request = request.id WHERE request.id = ? AND state = 'pending'",
        )
        .bind(id)
        .fetch_one(&self.pool)
        .await
        .map_err(self.fail())?;
        stored.read()
    }
}

impl Queue {
    /// The requests of all runs that a killed runner left `sending`: they may have arrived. They stay `sending` until
    /// [`Write::Reopen`](super::Write::Reopen), so that another kill finds them again.
    pub async fn rescue(&mut self) -> Result<Vec<(RunId, Request, Keys)>, QueueError> {
        let fail = self.fail();
        let found: Vec<Stored> = sqlx::query_as(SENDING).fetch_all(&mut self.connection).await.map_err(&fail)?;
        let mut rescued = Vec::with_capacity(found.len());
        for stored in found {
            let run = self.run(stored.run).await?;
            let request = stored.read()?;
            let keys = run.operation()?.keys(&request, run.delete_type());
            rescued.push((run.id, request, keys));
        }
        refuse_shared_accounts(&rescued)?;
        let rescue = around(Deed::Rescue, sqlx::query(RESCUE).execute(&mut self.connection));
        let changed = rescue.await.map_err(&fail)?.rows_affected();
        if changed != rescued.len() as u64 {
            return Err(QueueError::Unexpected(format!("{changed} requests rescued of {}", rescued.len())));
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
                    "requests {other} and {} are both being sent and write the same account; was the file changed by hand?",
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
            sqlx::query_as(crate::queue::sql::explained(sql)).fetch_all(&mut queue.connection).await.unwrap();
        steps.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn what_is_asked_at_start_is_found_by_the_partial_indexes_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        for (sql, index) in [
            (PAGE, "request_pending (run=? AND id>? AND id<?)"),
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
