//! Reading requests that are to be sent, and finding those that a killed runner left behind.

use sqlx::FromRow;

use super::{Queue, QueueError, Reader, RunId};
use crate::domain::account::UserId;
use crate::domain::packed::Packed;
use crate::domain::request::{Doubt, Keys, Request, RequestId};

#[derive(FromRow)]
struct Stored {
    id: RequestId,
    run: RunId,
    attempts: u32,
    charged: u32,
    in_doubt: bool,
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
        let doubt = if self.in_doubt { Doubt::MayHaveArrived } else { Doubt::None };
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
        let page: Vec<Stored> = sqlx::query_as(
            "SELECT request.id, run, attempts, charged, in_doubt, from_account, accounts, rows, tags
             FROM request INDEXED BY request_pending JOIN payload ON payload.request = request.id
             WHERE run = ? AND state = 'pending' AND request.id > ? AND request.id <= ? ORDER BY request.id LIMIT ?",
        )
        .bind(run)
        .bind(after)
        .bind(last)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail())?;
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
        let found: Vec<Stored> = sqlx::query_as(
            "SELECT request.id, run, attempts, charged, 1 AS in_doubt, from_account, accounts, rows, tags
             FROM request INDEXED BY request_sending JOIN payload ON payload.request = request.id
             WHERE state = 'sending' ORDER BY request.id",
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(&fail)?;
        let changed = sqlx::query("UPDATE request SET in_doubt = 1 WHERE state = 'sending'")
            .execute(&mut self.connection)
            .await
            .map_err(&fail)?
            .rows_affected();
        if changed != found.len() as u64 {
            return Err(QueueError::Unexpected(format!("{changed} requests rescued of {}", found.len())));
        }
        let mut rescued = Vec::with_capacity(found.len());
        for stored in found {
            let run = self.run(stored.run).await?;
            let request = stored.read()?;
            let keys = run.operation()?.keys(&request, run.delete_type());
            rescued.push((run.id, request, keys));
        }
        Ok(rescued)
    }
}
