//! Makes failed items pending again.

use super::edit::{insert_request, keep_items};
use super::filling::{Filling, SharedFields};
use super::request_row::{RequestRow, select_request};
use crate::queue::error::QueueError;
use crate::queue::figures_of_run::CodeRows;
use crate::queue::run_state::Run;
use crate::queue::selection::{CarriedAway, Retried, RetrySelection};
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::read::row_results::outcome_named;
use crate::queue::sqlite::runs::run_row::change_run;
use crate::queue::sqlite::runs::tally::add_to_tally;
use crate::queue::sqlite::store::Queue;
use crate::queue::sqlite::verification::lifecycle::remove_of;
use crate::queue::sqlite::verification::verified_rows;
use std::collections::{BTreeMap, HashMap};

use sqlx::{Connection, Sqlite, Transaction};

use crate::clock;
use crate::domain::ids::RequestId;
use crate::domain::request::Item;
use crate::domain::request::row::RowNo;
use crate::domain::response::earlier_effect::EarlierCalls;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::retry::{EarlierResult, RetriedItems, RetrySplit, split_for_retry};
use crate::domain::run_choice::EndedBy;
use crate::fail_point::{FailPoint, guarded};

/// The number of rows by what they had.
type RowsByResult = BTreeMap<EarlierResult, u64>;

/// What selected rows have in table `outcome`; none for a plain success.
type SelectedRows = HashMap<RowNo, Option<EarlierResult>>;

const PLAIN_SUCCESS: EarlierResult = (Outcome::Succeeded, None);

impl Queue {
    /// Makes the selected items of a run pending again, with all their attempts available. Items that were carried over
    /// into a later run stay as they are.
    pub async fn retry(&mut self, run: &Run, selection: RetrySelection) -> Result<Retried, QueueError> {
        let fail = self.fail();
        self.retry_all(run, selection).await.map_err(|failure| failure.into_error(fail))
    }

    async fn retry_all(&mut self, run: &Run, selection: RetrySelection) -> Result<Retried, Failure> {
        let most = run.operation.items_per_request;
        let next_request = &mut self.next_request;
        let transaction = self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await?;
        let mut requeue = Requeue {
            transaction,
            next_request,
            run,
            selection,
            carried_over: None,
            most,
            filling: Filling::default(),
        };
        let mut rows = BTreeMap::new();
        let mut after = RequestId::BEFORE_FIRST;
        let last = requeue.next_request.previous();
        while let Some(stored) = requeue.next(after, last).await? {
            after = stored.id;
            requeue.take_from(stored, &mut rows).await?;
        }
        requeue.flush().await?;
        requeue.count(&rows).await?;
        let carried_over = requeue.carried_over;
        guarded(FailPoint::Retry, requeue.transaction.commit()).await?;
        let codes = rows.into_iter().map(|((outcome, code), rows)| CodeRows { outcome, code, rows }).collect();
        Ok(Retried { codes, carried_over })
    }
}

struct Requeue<'a> {
    transaction: Transaction<'a, Sqlite>,
    next_request: &'a mut RequestId,
    run: &'a Run,
    selection: RetrySelection,
    carried_over: Option<CarriedAway>,
    most: usize,
    filling: Filling,
}

impl Requeue<'_> {
    async fn next(&mut self, after: RequestId, last: RequestId) -> Result<Option<RequestRow>, sqlx::Error> {
        // The subqueries exclude the other requests at once, which usually are nearly all.
        let query = match self.selection {
            RetrySelection::Ended { outcome, code } => sqlx::query_as(select_request!(
                "NOT INDEXED",
                "run = ?1 AND id > ?2 AND id <= ?3 AND state = 'settled' AND EXISTS (
                     SELECT 1 FROM (
                         SELECT sum(CASE type WHEN 'array' THEN value ->> 0 ELSE value END) OVER (ORDER BY key) AS row
                         FROM json_each(payload.rows)) AS entry
                     CROSS JOIN outcome ON outcome.run = ?1 AND outcome.row = entry.row
                     WHERE outcome.outcome = ?4 AND (?5 IS NULL OR outcome.code = ?5))
                 ORDER BY id LIMIT 1"
            ))
            .bind(self.run.id)
            .bind(after)
            .bind(last)
            .bind(outcome.name())
            .bind(code),
            RetrySelection::Contradicted => sqlx::query_as(select_request!(
                "NOT INDEXED",
                "run = ?1 AND id > ?2 AND id <= ?3 AND state = 'settled' AND EXISTS (
                     SELECT 1 FROM (
                         SELECT sum(CASE type WHEN 'array' THEN value ->> 0 ELSE value END) OVER (ORDER BY key) AS row
                         FROM json_each(payload.rows)) AS entry
                     CROSS JOIN verified ON verified.run = ?1 AND verified.row = entry.row
                     WHERE verified.verified = 'contradicted')
                 ORDER BY id LIMIT 1"
            ))
            .bind(self.run.id)
            .bind(after)
            .bind(last),
        };
        query.fetch_optional(&mut *self.transaction).await
    }

    /// Moves the selected items of a request to new requests and counts their rows by code.
    async fn take_from(&mut self, stored: RequestRow, rows: &mut RowsByResult) -> Result<(), Failure> {
        let items = stored.items()?;
        let mut selected = self.selected(&items).await?;
        self.leave_out_carried(&items, &mut selected).await?;
        if selected.is_empty() {
            return Ok(());
        }
        let (from, purpose) = (stored.from()?, stored.purpose()?);
        let calls = EarlierCalls { doubt: stored.doubt(), history: stored.history()? };
        let had = |row| selected.get(&row).map(|before| before.unwrap_or(PLAIN_SUCCESS));
        let RetrySplit { retried, kept } = split_for_retry(&self.run.operation, items, &calls, had);
        self.take_back_outcomes(&retried, &selected).await?;
        let before = (&calls.history, &purpose);
        keep_items(&mut self.transaction, (stored.run, stored.id), from.as_ref(), &kept, before).await?;
        for RetriedItems { before, calls, items } in retried {
            *rows.entry(before).or_default() += items.iter().map(Item::row_count).sum::<u64>();
            self.pack(SharedFields { from: from.clone(), calls }, items, stored.attempts).await?;
        }
        Ok(())
    }

    /// Adds items to the request that is being filled. Items of another list, doubt or history, which decide what
    /// `already done` means, begin a new one.
    async fn pack(&mut self, shared: SharedFields, items: Vec<Item>, attempts: u32) -> Result<(), Failure> {
        if *self.filling.shared() != shared {
            self.flush().await?;
            self.filling = Filling::new(shared);
        }
        for item in items {
            if !self.filling.fits(&item, self.most) {
                self.flush().await?;
            }
            self.filling.push(item, attempts);
        }
        Ok(())
    }

    /// The first rows of the selected items, with their outcomes and codes; none for a plain success.
    async fn selected(&mut self, items: &[Item]) -> Result<SelectedRows, Failure> {
        let rows: Vec<RowNo> = items.iter().map(|item| item.row).collect();
        let rows = serde_json::to_string(&rows).expect("texts and numbers are JSON");
        let query = match self.selection {
            RetrySelection::Ended { outcome, code } => sqlx::query_as(
                "SELECT outcome.row, outcome.outcome, outcome.code FROM json_each(?1) AS entry JOIN outcome
                 ON outcome.run = ?2 AND outcome.row = entry.value
                 WHERE outcome.outcome = ?3 AND (?4 IS NULL OR outcome.code = ?4)",
            )
            .bind(rows)
            .bind(self.run.id)
            .bind(outcome.name())
            .bind(code),
            RetrySelection::Contradicted => sqlx::query_as(
                "SELECT verified.row, outcome.outcome, outcome.code FROM json_each(?1) AS entry JOIN verified
                 ON verified.run = ?2 AND verified.row = entry.value
                 LEFT JOIN outcome ON outcome.run = verified.run AND outcome.row = verified.row
                 WHERE verified.verified = 'contradicted'",
            )
            .bind(rows)
            .bind(self.run.id),
        };
        let found: Vec<(i64, Option<String>, Option<i64>)> = query.fetch_all(&mut *self.transaction).await?;
        let mut selected = SelectedRows::new();
        for (row, outcome, code) in found {
            let before = outcome.map(|name| Ok::<_, QueueError>((outcome_named(&name)?, code))).transpose()?;
            selected.insert(row.cast_unsigned(), before);
        }
        Ok(selected)
    }

    /// Removes the items that a later run has taken over: each of them is sent there alone.
    async fn leave_out_carried(&mut self, items: &[Item], selected: &mut SelectedRows) -> Result<(), Failure> {
        let chosen = items.iter().filter(|item| selected.contains_key(&item.row));
        let rows: Vec<RowNo> = chosen.flat_map(Item::rows).collect();
        let found: Vec<(i64, String)> = sqlx::query_as(
            "SELECT carried.source_row, run.uuid FROM json_each(?1) AS entry
             JOIN carried ON carried.source_run = ?2 AND carried.source_row = entry.value
             JOIN run ON run.id = carried.run AND run.started_at IS NOT NULL",
        )
        .bind(serde_json::to_string(&rows).expect("texts and numbers are JSON"))
        .bind(self.run.id)
        .fetch_all(&mut *self.transaction)
        .await?;
        let into: HashMap<RowNo, String> = found.into_iter().map(|(row, run)| (row.cast_unsigned(), run)).collect();
        for item in items {
            if let Some(run) = item.rows().find_map(|row| into.get(&row))
                && selected.remove(&item.row).is_some()
            {
                let away = self.carried_over.get_or_insert_with(|| CarriedAway { run: run.clone(), rows: 0 });
                away.rows += item.row_count();
            }
        }
        Ok(())
    }

    /// Removes the outcomes of items, and what a verification showed of them.
    async fn take_back_outcomes(&mut self, retried: &[RetriedItems], selected: &SelectedRows) -> Result<(), Failure> {
        let taken = || retried.iter().flat_map(|retried| &retried.items);
        let rows: Vec<RowNo> = taken().flat_map(Item::rows).collect();
        verified_rows::remove(&mut self.transaction, self.run.id, &rows).await?;
        let stored = taken().filter(|item| selected[&item.row].is_some()).map(|item| item.rows().count()).sum();
        let query = sqlx::query("DELETE FROM outcome WHERE run = ? AND row IN (SELECT value FROM json_each(?))")
            .bind(self.run.id)
            .bind(serde_json::to_string(&rows).expect("texts and numbers are JSON"));
        expect("outcomes taken back", stored, query.execute(&mut *self.transaction).await?.rows_affected())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        match self.filling.take(self.run.id, self.next_request) {
            Some(full) => insert_request(&mut self.transaction, full).await,
            None => Ok(()),
        }
    }

    /// Changes the tally and the run. Settled rows were not compared with later protected lists, so that the run has to
    /// be compared with the list again.
    async fn count(&mut self, retried: &RowsByResult) -> Result<(), Failure> {
        if retried.is_empty() {
            return Ok(());
        }
        for ((outcome, _), rows) in retried {
            add_to_tally(&mut self.transaction, self.run.id, *outcome, -rows.cast_signed()).await?;
            add_to_tally(&mut self.transaction, self.run.id, Outcome::Pending, rows.cast_signed()).await?;
        }
        // It would look up rows that are sent again.
        remove_of(&mut self.transaction, self.run.id).await?;
        let query = sqlx::query(
            "UPDATE run SET state = 'running', finished_at = NULL, protected_digest = '',
                 ended_at = CASE state WHEN 'finished' THEN ?3 ELSE ended_at END,
                 ended_by = CASE state WHEN 'finished' THEN ?2 ELSE ended_by END,
                 end_reason = CASE state WHEN 'finished' THEN 'rows are pending again after `imbulk retry`'
                                         ELSE end_reason END
             WHERE id = ?1 AND state IN ('running', 'finished')",
        );
        let query = query.bind(self.run.id).bind(EndedBy::Retry.name()).bind(clock::now().as_millisecond());
        change_run(&mut self.transaction, self.run.id, query).await
    }
}
