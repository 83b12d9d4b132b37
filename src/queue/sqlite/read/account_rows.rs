//! Finds the rows of all runs that name an account. Accounts have no index, since one would slow down every load: both
//! tables are scanned (decision 0042).

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::row::RowNo;
use crate::queue::error::QueueError;
use crate::queue::sqlite::read::row_results::RequestResult;
use crate::queue::sqlite::reader::Snapshot;
use crate::queue::sqlite::requests::request_row::{RequestRow, select_request};

impl Snapshot {
    /// The request in the middle of all requests. What is moved to a new request later gets a higher number.
    pub async fn middle_request(&mut self) -> Result<RequestId, QueueError> {
        let ends =
            "SELECT coalesce((SELECT min(request) FROM payload), 0), coalesce((SELECT max(request) FROM payload), 0)";
        let found: Result<(i64, i64), _> = sqlx::query_as(ends).fetch_one(&mut *self.transaction).await;
        let (first, last) = found.map_err(self.fail())?;
        Ok(RequestId::new(first.midpoint(last)))
    }

    /// The requests of all runs after `after` up to `last` that may name `id`: an account of the request can also
    /// contain `id` as a part.
    pub async fn requests_naming(
        &mut self,
        id: &str,
        (after, last): (RequestId, RequestId),
    ) -> Result<Vec<RequestResult>, QueueError> {
        // Most requests of single items are decided by the comparison and the length, which are faster than a search.
        let found: Vec<RequestId> = sqlx::query_scalar(
            "SELECT request FROM payload
             WHERE request > ?2 AND request <= ?3
               AND (accounts = ?1 OR from_account = ?1
                    OR octet_length(accounts) > octet_length(?1) AND instr(accounts, ?1) > 0)
             ORDER BY request",
        )
        .bind(id)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let mut requests = Vec::with_capacity(found.len());
        for id in found {
            let request: Option<RequestRow> = sqlx::query_as(select_request!("", "id = ?"))
                .bind(id)
                .fetch_optional(&mut *self.transaction)
                .await
                .map_err(self.fail())?;
            let lost = || QueueError::Damaged(format!("the request {id} is missing in table request"));
            requests.push(request.ok_or_else(lost)?.into());
        }
        Ok(requests)
    }

    /// The skipped rows of all runs that name `id`, by run and row.
    pub async fn skipped_rows_naming(&mut self, id: &str) -> Result<Vec<(RunId, RowNo)>, QueueError> {
        let found: Vec<(RunId, i64)> =
            sqlx::query_as("SELECT run, row FROM skipped WHERE account = ?1 OR from_account = ?1 ORDER BY run, row")
                .bind(id)
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(self.fail())?;
        Ok(found.into_iter().map(|(run, row)| (run, row.cast_unsigned())).collect())
    }
}
