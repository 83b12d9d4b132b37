//! Reads the rows of a run that the next run of its job takes over.

use std::collections::HashMap;

use serde::Deserialize;

use super::row_results::{ExceptionColumns, LineSpanColumns, parse, wrong_checksum};
use crate::domain::ids::{RequestId, RunId};
use crate::domain::operation::BoundOperation;
use crate::domain::request::Item;
use crate::domain::request::row::{FieldValues, RowNo};
use crate::domain::response::earlier_effect::{EarlierCalls, may_have_had_effect};
use crate::domain::response::outcome::Outcome;
use crate::queue::carried::{CarriedPage, CarriedRow};
use crate::queue::error::QueueError;
use crate::queue::run_state::{CarrySource, RunState};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::reader::Snapshot;
use crate::queue::sqlite::requests::request_row::{RequestRow, select_request};
use crate::queue::sqlite::states::StoredState;

/// Requests that are read at once: few, since each may have a thousand items.
const REQUESTS: u32 = 16;

/// What table rows beside the request say of a row: its outcome, how often it was carried over, and its line.
#[derive(Deserialize)]
struct RowFacts<'a>(
    RowNo,
    #[serde(borrow)] Option<OutcomeColumns<'a>>,
    Option<CarriedColumns>,
    Option<LineSpanColumns>,
);

#[derive(Deserialize)]
struct OutcomeColumns<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>, Option<i64>, String, i64);

#[derive(Deserialize)]
struct CarriedColumns {
    source_run: i64,
    source_row: RowNo,
    nights: u32,
    checksum: i64,
}

/// What is known of a row before it is decided whether it is carried over.
struct KnownRow {
    outcome: Option<(Outcome, Option<i64>)>,
    nights: u32,
    source: u32,
    line: u64,
}

impl Snapshot {
    /// The next rows that are carried over, of requests with ids above `after`, which moves on; none at the end.
    ///
    /// These are the failed and in-doubt rows. Of a run that was given up also the rows without an outcome, if they
    /// were carried over before, or if an earlier call may have taken effect.
    pub async fn carried_page(
        &mut self,
        source: &CarrySource,
        after: &mut RequestId,
    ) -> Result<Option<CarriedPage>, QueueError> {
        let run = &source.run;
        let given_up = run.state() != RunState::Finished;
        let requests: Vec<RequestRow> = sqlx::query_as(select_request!(
            "NOT INDEXED",
            "run = ?1 AND id > ?2 AND CASE state WHEN 'settled' THEN EXISTS (
                 SELECT 1 FROM (
                     SELECT sum(CASE type WHEN 'array' THEN value ->> 0 ELSE value END) OVER (ORDER BY key) AS row
                     FROM json_each(payload.rows)) AS entry
                 CROSS JOIN outcome ON outcome.run = ?1 AND outcome.row = entry.row
                 WHERE outcome.outcome IN ('failed', 'in_doubt')) ELSE ?3 END
             ORDER BY id LIMIT ?4"
        ))
        .bind(run.id)
        .bind(*after)
        .bind(given_up)
        .bind(REQUESTS)
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let Some(last) = requests.last() else { return Ok(None) };
        *after = last.id;
        let operation = run.operation;
        let carried_before = run.carried.as_ref().map_or(0, |carried| carried.over.rows);
        let mut page = CarriedPage::default();
        for request in &requests {
            let items = request.items()?;
            let facts = self.row_facts(run.id, &items).await?;
            let choice = Choice { request, operation, carried_before, nights: source.nights.get() };
            items.into_iter().try_for_each(|item| choice.take(item, &facts, &mut page))?;
        }
        Ok(Some(page))
    }

    async fn row_facts(&mut self, run: RunId, items: &[Item]) -> Result<HashMap<RowNo, KnownRow>, QueueError> {
        let rows: Vec<RowNo> = items.iter().flat_map(Item::rows).collect();
        let list: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(entry.value,
                 (SELECT json_array(outcome, code, reason, checksum) FROM outcome
                  WHERE run = ?1 AND row = entry.value),
                 (SELECT json_array(source_run, source_row, nights, checksum) FROM carried
                  WHERE run = ?1 AND row = entry.value),
                 (SELECT json_array(first_row, source, first_line, step, checksum) FROM line_span
                  WHERE run = ?1 AND first_row <= entry.value ORDER BY first_row DESC LIMIT 1)))
             FROM json_each(?2) AS entry",
        )
        .bind(run)
        .bind(serde_json::to_string(&rows).expect("texts and numbers are JSON"))
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(self.fail())?;
        let facts: Vec<RowFacts<'_>> = parse(&list)?;
        facts.into_iter().map(|facts| facts.read(run)).collect()
    }
}

impl RowFacts<'_> {
    fn read(self, run: RunId) -> Result<(RowNo, KnownRow), QueueError> {
        let Self(row, outcome, carried, span) = self;
        let outcome = outcome.map(|OutcomeColumns(outcome, code, reason, checksum)| {
            let read = ExceptionColumns(row, outcome, code, reason, checksum).read(run)?;
            Ok::<_, QueueError>((read.outcome, read.code))
        });
        let nights = carried.map_or(Ok(0), |CarriedColumns { source_run, source_row, nights, checksum }| {
            let whole = checksum == checksum::carried((run, row), (RunId::new(source_run), source_row), nights);
            if whole { Ok(nights) } else { Err(wrong_checksum("carried", row)) }
        })?;
        let lost = || QueueError::Damaged(format!("row {row} is missing in table line_span"));
        let span = span.ok_or_else(lost)?.read(run)?;
        let known = KnownRow { outcome: outcome.transpose()?, nights, source: span.source, line: span.line_of(row) };
        Ok((row, known))
    }
}

/// Chooses the rows of a request that are carried over.
struct Choice<'a> {
    request: &'a RequestRow,
    operation: BoundOperation,
    /// Rows below this number were carried over into the run.
    carried_before: RowNo,
    /// Rows that were carried over this many times stay where they are.
    nights: u32,
}

impl Choice<'_> {
    fn take(&self, item: Item, facts: &HashMap<RowNo, KnownRow>, page: &mut CarriedPage) -> Result<(), QueueError> {
        let from = self.request.from()?.map(|from| from.as_str().to_owned());
        let rows = item.rows().collect::<Vec<_>>();
        let mut fields = item.updates.map(|updates| updates.into_iter().map(|(_, fields)| fields).collect::<Vec<_>>());
        for (nth, row) in rows.into_iter().enumerate() {
            let lost = || self.request.damaged("names a row that is not found");
            let known = facts.get(&row).ok_or_else(lost)?;
            let Some(earlier) = self.earlier_calls(row, known)? else { continue };
            if known.nights >= self.nights {
                page.left_behind += 1;
                continue;
            }
            page.rows.push(CarriedRow {
                from: from.clone(),
                account: item.account.as_str().to_owned(),
                fields: fields.as_mut().map_or_else(Vec::new, |fields| json(&std::mem::take(&mut fields[nth]))),
                source: known.source,
                line: known.line,
                row,
                nights: known.nights + 1,
                attempts: self.request.attempts,
                earlier,
            });
        }
        Ok(())
    }

    /// What the calls for a row left; none if it is not carried over.
    fn earlier_calls(&self, row: RowNo, known: &KnownRow) -> Result<Option<EarlierCalls>, QueueError> {
        let earlier = EarlierCalls { doubt: self.request.doubt(), history: self.request.history()? };
        match self.request.state {
            StoredState::Settled => {
                let ended = known.outcome.filter(|(it, _)| matches!(it, Outcome::InDoubt | Outcome::Failed));
                Ok(ended.map(|(outcome, code)| earlier.after(&self.operation, outcome, code)))
            }
            StoredState::Pending | StoredState::Sending => {
                let earlier = EarlierCalls { doubt: self.request.doubt_if_not_sent_again()?, ..earlier };
                let joins =
                    row < self.carried_before || may_have_had_effect(&self.operation, earlier.doubt, &earlier.history);
                Ok(joins.then_some(earlier))
            }
        }
    }
}

/// Texts and numbers: serialising cannot fail.
fn json(fields: &FieldValues) -> Vec<u8> {
    serde_json::to_vec(fields).expect("texts and numbers are JSON")
}
