//! Makes failed items pending again.

use super::edit::{NewRequest, insert_request, keep_items};
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
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::{Doubt, Item, Purpose};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::EndedBy;
use crate::fail_point::{FailPoint, guarded};
use crate::stored_request::{BODY_BYTES, StoredRequest};

/// The outcome and the code that rows had.
type EarlierResult = (Outcome, Option<i64>);

/// The number of rows by what they had.
type RowsByResult = BTreeMap<EarlierResult, u64>;

/// What selected rows have in table `outcome`; none for a plain success.
type SelectedRows = HashMap<RowNo, Option<EarlierResult>>;

const PLAIN_SUCCESS: EarlierResult = (Outcome::Succeeded, None);

/// What all items of a request have in common.
#[derive(Clone, Default, PartialEq)]
struct SharedFields {
    from: Option<UserId>,
    doubt: Doubt,
    history: CodeHistory,
}

/// Items that form a new request.
struct RegroupedItems {
    frame: SharedFields,
    items: Vec<Item>,
    attempts: u32,
    /// An upper bound of their bytes: the size of all requests that they come from.
    bytes: usize,
}

impl RegroupedItems {
    fn new(frame: SharedFields) -> Self {
        Self { frame, items: Vec::new(), attempts: 0, bytes: 0 }
    }
}

impl Queue {
    /// Makes the selected items of a run pending again, with all their attempts available. Items that were carried over
    /// into a later run stay as they are.
    pub async fn retry(&mut self, run: &Run, selection: RetrySelection) -> Result<Retried, QueueError> {
        let fail = self.fail();
        self.retry_all(run, selection).await.map_err(|failure| failure.into_error(fail))
    }

    async fn retry_all(&mut self, run: &Run, selection: RetrySelection) -> Result<Retried, Failure> {
        let most = run.operation()?.items_per_request;
        let next_request = &mut self.next_request;
        let transaction = self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await?;
        let mut requeue = Requeue {
            transaction,
            next_request,
            run,
            selection,
            carried_over: None,
            most,
            pack: RegroupedItems::new(SharedFields::default()),
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
    pack: RegroupedItems,
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
        let (from, history, purpose) = (stored.from()?, stored.history()?, stored.purpose()?);
        let (taken, kept): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| selected.contains_key(&item.row));
        self.take_back_outcomes(&taken, &selected).await?;
        keep_items(&mut self.transaction, (stored.run, stored.id), from.as_ref(), &kept, (&history, &purpose)).await?;
        let operation = self.run.operation()?;
        let mut by_code: BTreeMap<EarlierResult, Vec<Item>> = BTreeMap::new();
        for item in taken {
            by_code.entry(selected[&item.row].unwrap_or(PLAIN_SUCCESS)).or_default().push(item);
        }
        for (before @ (outcome, code), items) in by_code {
            let doubt = if outcome == Outcome::InDoubt { Doubt::EffectUnknown } else { stored.doubt() };
            *rows.entry(before).or_default() += items.iter().map(Item::row_count).sum::<u64>();
            let history = history.clone().with(&operation, code);
            self.start_pack(&stored, SharedFields { from: from.clone(), doubt, history }).await?;
            for item in items {
                self.pack.attempts = self.pack.attempts.max(stored.attempts);
                self.pack.items.push(item);
                if self.pack.items.len() == self.most {
                    self.flush().await?;
                    self.pack.bytes = stored.bytes();
                }
            }
        }
        Ok(())
    }

    /// Starts a new request if the items of the current one have another list, doubt or history, which decide what
    /// `already done` means, or if it would become too large.
    async fn start_pack(&mut self, stored: &RequestRow, frame: SharedFields) -> Result<(), Failure> {
        if self.pack.frame != frame || self.pack.bytes + stored.bytes() > BODY_BYTES {
            self.flush().await?;
        }
        self.pack.frame = frame;
        self.pack.bytes += stored.bytes();
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
    async fn take_back_outcomes(&mut self, taken: &[Item], selected: &SelectedRows) -> Result<(), Failure> {
        let rows: Vec<RowNo> = taken.iter().flat_map(Item::rows).collect();
        verified_rows::remove(&mut self.transaction, self.run.id, &rows).await?;
        let stored = taken.iter().filter(|item| selected[&item.row].is_some()).map(|item| item.rows().count()).sum();
        let query = sqlx::query("DELETE FROM outcome WHERE run = ? AND row IN (SELECT value FROM json_each(?))")
            .bind(self.run.id)
            .bind(serde_json::to_string(&rows).expect("texts and numbers are JSON"));
        expect("outcomes taken back", stored, query.execute(&mut *self.transaction).await?.rows_affected())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let empty = RegroupedItems::new(self.pack.frame.clone());
        let pack = std::mem::replace(&mut self.pack, empty);
        if pack.items.is_empty() {
            return Ok(());
        }
        let id = self.next_request.take();
        let SharedFields { from, doubt, history } = pack.frame;
        let new = NewRequest {
            id,
            run: self.run.id,
            encoded: StoredRequest::encode(from.as_ref(), &pack.items),
            attempts: pack.attempts,
            charged: 0,
            doubt,
            history,
            purpose: Purpose::Change,
            parent: None,
            finished_at: None,
        };
        insert_request(&mut self.transaction, new).await
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
