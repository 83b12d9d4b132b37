//! Writing down intents and outcomes: many at a time, in one transaction.

use super::edit::{NewRequest, insert_outcomes, insert_request, keep_items};
use super::skipped_rows::{insert_skipped_rows, skipped_rows_of};
use crate::queue::error::QueueError;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::runs::run_row::store_end;
use crate::queue::sqlite::runs::tally::add_to_tally;
use crate::queue::sqlite::runs::{backup, control, time_series};
use crate::queue::sqlite::store::Queue;
use crate::queue::sqlite::verification::verified_rows;
use std::collections::BTreeMap;
use std::fmt::Display;

use sqlx::{Connection, Sqlite, Transaction};

use crate::domain::change::{Change, Changed};
use crate::domain::heartbeat::Heartbeat;
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::skipped_row::SkipReason;
use crate::domain::request::{Item, Purpose, Request};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::settlement::{EndedItems, FollowUp, Settlement};
use crate::domain::response::verdict::ItemResult;
use crate::fail_point::{FailPoint, guarded_all};
use crate::stored_request::StoredRequest;

/// Where tests stop the process before and after a change.
fn fail_point(change: &Change) -> FailPoint {
    match change {
        Change::Intend(_) | Change::IntendToRead(_) => FailPoint::Intend,
        Change::StoreBackup(_) => FailPoint::StoreBackup,
        Change::Record { .. } => FailPoint::Record,
        Change::Withdraw(_) => FailPoint::Withdraw,
        Change::Reopen(_) => FailPoint::Reopen,
        Change::StoreHeartbeat { .. } => FailPoint::StoreHeartbeat,
        Change::StoreTimeSeries { .. } => FailPoint::StoreTimeSeries,
        Change::StoreEnd { .. } => FailPoint::StoreEnd,
        Change::Control(_) => FailPoint::Control,
    }
}

/// A request that an earlier runner may have sent. Unless its call only reads, it is in doubt by now.
const REOPEN: &str = "UPDATE request SET state = 'pending'
                      WHERE id = ? AND state = 'sending' AND (in_doubt = 2 OR reads = 1)";

/// One transaction in the making.
struct ChangeTransaction<'a> {
    transaction: Transaction<'a, Sqlite>,
    next_request: &'a mut RequestId,
    now: i64,
    moved: BTreeMap<(RunId, Outcome), i64>,
    succeeded: Vec<RequestId>,
}

impl Queue {
    /// Makes these changes in one transaction. When it returns, they are durable.
    pub async fn write(&mut self, changes: Vec<Change>, now: i64) -> Result<Vec<Changed>, QueueError> {
        let fail = self.fail();
        self.write_all(changes, now).await.map_err(|failure| failure.into_error(fail))
    }

    async fn write_all(&mut self, changes: Vec<Change>, now: i64) -> Result<Vec<Changed>, Failure> {
        let fail_points = changes.iter().map(fail_point).collect();
        let transaction = self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await?;
        let mut batch = ChangeTransaction {
            transaction,
            next_request: &mut self.next_request,
            now,
            moved: BTreeMap::new(),
            succeeded: Vec::new(),
        };
        let mut changed = Vec::with_capacity(changes.len());
        let (mut changing, mut reading) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Intend(requests) => changing.extend(requests),
                Change::IntendToRead(requests) => reading.extend(requests),
                Change::Record { run, settlement } => changed.push(batch.record(run, settlement).await?),
                Change::StoreBackup(part) => backup::insert(&mut batch.transaction, &part).await?,
                Change::Withdraw(request) => changed.push(batch.withdraw(request).await?),
                Change::Reopen(request) => changed.push(batch.reopen(request).await?),
                Change::StoreHeartbeat { run, heartbeat } => batch.store_heartbeat(run, &heartbeat).await?,
                Change::StoreTimeSeries { run, series } => {
                    time_series::store(&mut batch.transaction, run, &series).await?;
                }
                Change::StoreEnd { run, ended_by, why } => {
                    store_end(&mut batch.transaction, run, ended_by, &why, Some(now)).await?;
                }
                Change::Control(applied) => control::insert(&mut batch.transaction, &applied, now).await?,
            }
        }
        batch.settle_succeeded().await?;
        batch.intend(&changing, false).await?;
        batch.intend(&reading, true).await?;
        batch.count().await?;
        guarded_all(&fail_points, batch.transaction.commit()).await?;
        let intended = [changing, reading].concat();
        if !intended.is_empty() {
            changed.push(Changed::Intended(intended));
        }
        Ok(changed)
    }
}

impl ChangeTransaction<'_> {
    async fn intend(&mut self, requests: &[RequestId], reads: bool) -> Result<(), Failure> {
        if requests.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE request SET state = 'sending', attempts = attempts + 1, reads = ?
             WHERE id IN (SELECT value FROM json_each(?)) AND state = 'pending'",
        );
        let changed = query.bind(reads).bind(json(requests)).execute(&mut *self.transaction).await?.rows_affected();
        expect("requests to be sent", requests.len(), changed)
    }

    async fn store_heartbeat(&mut self, run: RunId, heartbeat: &Heartbeat) -> Result<(), Failure> {
        let heartbeat = serde_json::to_string(heartbeat).expect("texts and numbers are JSON");
        let query = sqlx::query("UPDATE run SET heartbeat = ? WHERE id = ?").bind(heartbeat).bind(run);
        expect("runs", 1, query.execute(&mut *self.transaction).await?.rows_affected())
    }

    async fn withdraw(&mut self, request: RequestId) -> Result<Changed, Failure> {
        let query = sqlx::query(
            "UPDATE request SET state = 'pending', attempts = attempts - 1 WHERE id = ? AND state = 'sending'",
        );
        let changed = query.bind(request).execute(&mut *self.transaction).await?.rows_affected();
        expect("requests withdrawn", 1, changed)?;
        Ok(Changed::Withdrawn(request))
    }

    async fn reopen(&mut self, request: RequestId) -> Result<Changed, Failure> {
        let query = sqlx::query(REOPEN);
        let changed = query.bind(request).execute(&mut *self.transaction).await?.rows_affected();
        expect("requests reopened", 1, changed)?;
        Ok(Changed::Reopened(request))
    }

    async fn record(&mut self, run: RunId, settlement: Settlement) -> Result<Changed, Failure> {
        let Settlement { request, from, calls, history, purpose, ended, mut follow_ups, .. } = settlement;
        for ended in &ended {
            *self.moved.entry((run, ended.result.outcome)).or_default() += ended.row_count().cast_signed();
        }
        if let Purpose::Verify(of_run) = purpose {
            verified_rows::store(&mut self.transaction, of_run, &ended, self.now).await?;
        }
        let (protected, ended): (Vec<EndedItems>, Vec<EndedItems>) =
            ended.into_iter().partition(|ended| ended.result.outcome == Outcome::Protected);
        let is_whole = protected.is_empty();
        if is_whole && follow_ups.is_empty() && ended.iter().all(|ended| is_plain(&ended.result)) {
            self.succeeded.push(request);
            return Ok(Changed::Recorded { request, follow_ups });
        }
        self.skip(run, from.as_ref(), protected).await?;
        self.write_exceptions(run, &ended).await?;
        // The request keeps the settled items or, without any, the first follow-up. Other follow-ups get new requests.
        let mut others = follow_ups.iter_mut();
        if !ended.is_empty() {
            let is_whole = is_whole && others.as_slice().is_empty();
            self.settle((run, request), (from.as_ref(), is_whole), &ended, (&history, &purpose)).await?;
        } else if let Some(first) = others.next() {
            let marks = (&first.request.history, first.request.purpose.to_json());
            let same = is_whole && others.as_slice().is_empty() && marks == (&history, purpose.to_json());
            self.repeat((run, request), calls, first, same).await?;
        } else {
            keep_items(&mut self.transaction, (run, request), from.as_ref(), &[], (&history, &purpose)).await?;
        }
        for follow_up in others {
            follow_up.request.id = self.insert(run, request, calls, follow_up).await?;
        }
        Ok(Changed::Recorded { request, follow_ups })
    }

    /// Items that a preparation protects are skipped like those of the protected list, and belong to no request.
    async fn skip(&mut self, run: RunId, from: Option<&UserId>, protected: Vec<EndedItems>) -> Result<(), Failure> {
        let rows = protected.into_iter().flat_map(|EndedItems { result, items }| {
            let reason = SkipReason::Guarded { reason: result.reason };
            let skipped = move |item| skipped_rows_of(&item, from, &reason);
            items.into_iter().flat_map(skipped)
        });
        Ok(insert_skipped_rows(&mut self.transaction, run, rows.collect()).await?)
    }

    async fn write_exceptions(&mut self, run: RunId, ended: &[EndedItems]) -> Result<(), Failure> {
        let exceptions = ended.iter().filter(|ended| !is_plain(&ended.result));
        let rows = exceptions.flat_map(|EndedItems { result, items }| {
            let rows = items.iter().flat_map(Item::rows);
            rows.map(move |row| (row, result))
        });
        let lines: Vec<(RowNo, &ItemResult)> = rows.collect();
        insert_outcomes(&mut self.transaction, run, &lines).await
    }

    /// `is_whole`: the request has no other items. `before`: the codes of the items before this call, and what it was
    /// for.
    async fn settle(
        &mut self,
        request: (RunId, RequestId),
        (from, is_whole): (Option<&UserId>, bool),
        ended: &[EndedItems],
        before: (&CodeHistory, &Purpose),
    ) -> Result<(), Failure> {
        if !is_whole {
            let items: Vec<Item> = ended.iter().flat_map(|ended| &ended.items).cloned().collect();
            keep_items(&mut self.transaction, request, from, &items, before).await?;
        }
        let query =
            sqlx::query("UPDATE request SET state = 'settled', finished_at = ? WHERE id = ? AND state = 'sending'");
        let changed = query.bind(self.now).bind(request.1).execute(&mut *self.transaction).await?.rows_affected();
        expect("requests settled", 1, changed)
    }

    /// `same`: the request keeps its items and got no new code, so that its payload does not change.
    async fn repeat(
        &mut self,
        request: (RunId, RequestId),
        calls: u32,
        follow_up: &FollowUp,
        same: bool,
    ) -> Result<(), Failure> {
        if !same {
            let Request { from, items, history, purpose, .. } = &follow_up.request;
            keep_items(&mut self.transaction, request, from.as_ref(), items, (history, purpose)).await?;
        }
        let query = sqlx::query(
            "UPDATE request SET state = 'pending', attempts = ?, charged = ?, in_doubt = ?
             WHERE id = ? AND state = 'sending'",
        );
        let changed = query
            .bind(calls)
            .bind(follow_up.request.charged)
            .bind(follow_up.request.doubt.number())
            .bind(request.1)
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        expect("requests to be sent again", 1, changed)
    }

    async fn insert(
        &mut self,
        run: RunId,
        parent: RequestId,
        calls: u32,
        follow_up: &FollowUp,
    ) -> Result<RequestId, Failure> {
        let id = self.next_request.take();
        let new = NewRequest {
            id,
            run,
            encoded: StoredRequest::encode(follow_up.request.from.as_ref(), &follow_up.request.items),
            attempts: calls,
            charged: follow_up.request.charged,
            doubt: follow_up.request.doubt,
            history: follow_up.request.history.clone(),
            purpose: follow_up.request.purpose.clone(),
            parent: Some(parent),
            finished_at: None,
        };
        insert_request(&mut self.transaction, new).await?;
        Ok(id)
    }

    async fn settle_succeeded(&mut self) -> Result<(), Failure> {
        if self.succeeded.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE request SET state = 'settled', finished_at = ?
             WHERE id IN (SELECT value FROM json_each(?)) AND state = 'sending'",
        );
        let changed =
            query.bind(self.now).bind(json(&self.succeeded)).execute(&mut *self.transaction).await?.rows_affected();
        expect("requests succeeded", self.succeeded.len(), changed)
    }

    async fn count(&mut self) -> Result<(), Failure> {
        for ((run, outcome), rows) in std::mem::take(&mut self.moved) {
            add_to_tally(&mut self.transaction, run, outcome, rows).await?;
            add_to_tally(&mut self.transaction, run, Outcome::Pending, -rows).await?;
        }
        Ok(())
    }
}

/// A success without a code or a reason needs no row in table `outcome`.
fn is_plain(result: &ItemResult) -> bool {
    result.outcome == Outcome::Succeeded && result.code.is_none() && result.reason.is_empty()
}

fn json<Id: Display>(ids: &[Id]) -> String {
    let numbers: Vec<String> = ids.iter().map(Id::to_string).collect();
    format!("[{}]", numbers.join(","))
}
