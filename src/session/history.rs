//! Reads what happened to one account, in all runs of a queue.

use std::collections::{BTreeMap, HashMap};

use crate::clock;
use crate::domain::ids::{RequestId, RunId};
use crate::domain::operation::BoundOperation;
use crate::domain::request::row::RowNo;
use crate::domain::response::codes::class_of_row;
use crate::domain::response::outcome::Outcome;
use crate::domain::timestamp::local;
use crate::queue::{InputFile, QueueError, Reader, RequestResult, Run, Snapshot};
use crate::report::history::{AccountRow, ForgottenRun, History};

/// What happened to the account `id`, by run, the oldest first, and by row. The id is compared byte by byte.
pub async fn history(reader: &Reader, id: &str) -> Result<History, QueueError> {
    let zone = clock::local_now().time_zone().clone();
    let runs = reader.runs().await?;
    let forgotten = runs.iter().filter_map(|run| {
        let at = local(run.forgotten.as_ref()?.at, &zone);
        Some(ForgottenRun { run: run.uuid.clone(), job: run.job.clone(), target: run.target, forgotten_at: at })
    });
    let forgotten = forgotten.collect();
    // A queue without runs may have no tables.
    let rows = if runs.is_empty() { FoundRows::new() } else { Halves::begin(reader, &runs, id).await?.rows().await? };
    Ok(History::new(id, rows.into_values().collect(), forgotten, zone))
}

/// The rows that name the account, by their places.
type FoundRows = BTreeMap<(RunId, RowNo), AccountRow>;

/// The search in two halves at once. The state of the first half is the earlier one. What is moved meanwhile gets into
/// the second half or the skipped rows, so that no row is missed. A row of both is taken as the later state shows it.
struct Halves<'a> {
    middle: RequestId,
    first: RowSearch<'a>,
    second: RowSearch<'a>,
}

impl<'a> Halves<'a> {
    async fn begin(reader: &Reader, runs: &'a [Run], id: &'a str) -> Result<Self, QueueError> {
        let mut first = RowSearch::new(reader, runs, id).await?;
        // The first read makes the state of the first half the earlier one.
        let middle = first.snapshot.middle_request().await?;
        Ok(Self { middle, first, second: RowSearch::new(reader, runs, id).await? })
    }

    async fn rows(mut self) -> Result<FoundRows, QueueError> {
        let (first, second) = tokio::try_join!(
            self.first.requested_rows((RequestId::BEFORE_FIRST, self.middle)),
            self.second.requested_rows((self.middle, RequestId::MAX)),
        )?;
        let skipped = self.second.skipped_rows().await?;
        Ok(first.into_iter().chain(second).chain(skipped).collect())
    }
}

/// The search in one state of the queue.
struct RowSearch<'a> {
    id: &'a str,
    runs: HashMap<RunId, &'a Run>,
    files: HashMap<RunId, Vec<InputFile>>,
    snapshot: Snapshot,
}

/// What a request or a skipped row says of a row.
struct RowState<'t> {
    from: Option<&'t str>,
    account: Option<&'t str>,
    outcome: Outcome,
    code: Option<i64>,
    reason: String,
    attempts: u32,
    finished_at: Option<i64>,
}

impl<'a> RowSearch<'a> {
    async fn new(reader: &Reader, runs: &'a [Run], id: &'a str) -> Result<Self, QueueError> {
        let runs = runs.iter().map(|run| (run.id, run)).collect();
        Ok(Self { id, runs, files: HashMap::new(), snapshot: reader.snapshot().await? })
    }

    async fn requested_rows(&mut self, part: (RequestId, RequestId)) -> Result<FoundRows, QueueError> {
        let mut found = FoundRows::new();
        for request in self.snapshot.requests_naming(self.id, part).await? {
            // Runs that are loading, and verifications, have requests as well.
            let Some(run) = self.runs.get(&request.run()).copied() else { continue };
            self.rows_of_request(run, &request, &mut found).await?;
        }
        Ok(found)
    }

    async fn skipped_rows(&mut self) -> Result<FoundRows, QueueError> {
        let mut found = FoundRows::new();
        for (run, row) in self.snapshot.skipped_rows_naming(self.id).await? {
            let Some(run) = self.runs.get(&run).copied() else { continue };
            found.insert((run.id, row), self.skipped_row(run, row).await?);
        }
        Ok(found)
    }

    async fn rows_of_request(
        &mut self,
        run: &Run,
        request: &RequestResult,
        found: &mut FoundRows,
    ) -> Result<(), QueueError> {
        let items = request.items()?;
        let reason = request.earlier_codes()?;
        let id = self.id;
        let is_from = request.from() == Some(id);
        for item in items.iter().filter(|item| is_from || item.account.as_str() == id) {
            for row in item.rows() {
                let exception = self.snapshot.exceptions(run.id, row..row + 1).await?.pop();
                let known = RowState {
                    from: request.from(),
                    account: Some(item.account.as_str()),
                    outcome: exception.as_ref().map_or(request.outcome(), |exception| exception.outcome),
                    code: exception.as_ref().and_then(|exception| exception.code),
                    reason: exception.map_or_else(|| reason.clone(), |exception| exception.reason),
                    attempts: request.attempts(),
                    finished_at: request.finished_at(),
                };
                found.insert((run.id, row), self.row(run, row, known).await?);
            }
        }
        Ok(())
    }

    async fn skipped_row(&mut self, run: &Run, row: RowNo) -> Result<AccountRow, QueueError> {
        let lost = || QueueError::Damaged(format!("row {row} is missing in table skipped"));
        let skipped = self.snapshot.skipped_rows(run.id, row..row + 1).await?.pop().ok_or_else(lost)?;
        let reason = match &skipped.duplicate_of {
            Some(original) => {
                let (source, line) = self.place(run, original.row).await?;
                format!("duplicate of {source}:{line}")
            }
            None => skipped.reason.unwrap_or_default(),
        };
        let known = RowState {
            from: skipped.from.as_deref(),
            account: skipped.account.as_deref(),
            outcome: skipped.outcome,
            code: None,
            reason,
            attempts: 0,
            finished_at: None,
        };
        self.row(run, row, known).await
    }

    async fn row(&mut self, run: &Run, row: RowNo, known: RowState<'_>) -> Result<AccountRow, QueueError> {
        let operation = run.operation;
        let (source, line) = self.place(run, row).await?;
        let verified = self.snapshot.verified(run.id, row..row + 1).await?.pop();
        Ok(AccountRow {
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target,
            operation: operation.name,
            roles: self.roles(operation, &known),
            other_account: [known.from, known.account]
                .into_iter()
                .flatten()
                .find(|account| *account != self.id)
                .map(ToOwned::to_owned),
            source,
            line,
            outcome: known.outcome,
            code: known.code,
            class: known.code.map(|code| class_of_row(&operation, known.outcome, code).name()),
            reason: Some(known.reason).filter(|reason| !reason.is_empty()),
            attempts: known.attempts,
            loaded_at: run.created_at,
            finished_at: known.finished_at,
            verified: verified.as_ref().map(|verified| verified.verified),
            verified_at: verified.map(|verified| verified.at),
        })
    }

    /// The columns in which the row names the account.
    fn roles(&self, operation: BoundOperation, known: &RowState<'_>) -> Vec<&'static str> {
        let from = operation.shape.from.filter(|_| known.from == Some(self.id));
        let account = Some(operation.shape.account).filter(|_| known.account == Some(self.id));
        from.into_iter().chain(account).collect()
    }

    /// The file and line of a row.
    async fn place(&mut self, run: &Run, row: RowNo) -> Result<(String, u64), QueueError> {
        if !self.files.contains_key(&run.id) {
            let files = self.snapshot.input_files(run.id).await?;
            self.files.insert(run.id, files);
        }
        let lost = || QueueError::Damaged(format!("the line of row {row} cannot be read back"));
        let span = self.snapshot.line_spans(run.id, row..row + 1).await?.pop().ok_or_else(lost)?;
        let file = usize::try_from(span.source).ok().and_then(|source| self.files[&run.id].get(source));
        Ok((file.ok_or_else(lost)?.name.clone(), span.line_of(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::Item;
    use crate::domain::request::line_span::LineSpan;
    use crate::domain::response::verdict::{ItemResult, Verdict};
    use crate::queue::RetrySelection;
    use crate::testing::{Load, TestQueue, id};

    /// Twenty requests of two items each.
    async fn queue() -> TestQueue {
        let item = |row| Item { account: id(&format!("u{row:02}")), row, updates: None };
        let load = Load {
            requests: (0..20).map(|request| (None, vec![item(2 * request), item(2 * request + 1)])).collect(),
            line_spans: vec![LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }],
            sources: vec!["x.csv".to_owned()],
            ..Load::default()
        };
        TestQueue::new("account_delete", load).await
    }

    async fn outcomes(halves: Halves<'_>) -> Vec<Outcome> {
        halves.rows().await.unwrap().into_values().map(|row| row.outcome).collect()
    }

    #[tokio::test]
    async fn a_row_that_moves_during_the_search_is_found_once() {
        let mut test_queue = queue().await;
        let failed = Verdict::Final(ItemResult { outcome: Outcome::Failed, code: Some(70402), reason: String::new() });
        for request in test_queue.pending().await {
            test_queue.record_call(request, vec![failed.clone(), failed.clone()], 2_000).await;
        }
        let (runs, reader) = ([test_queue.run.clone()], test_queue.reader.clone());
        let halves = Halves::begin(&reader, &runs, "u00").await.unwrap();
        test_queue.queue.retry(&runs[0], RetrySelection::Ended { outcome: Outcome::Failed, code: None }).await.unwrap();
        assert_eq!(outcomes(halves).await, [Outcome::Pending]);
        let run = reader.runs().await.unwrap().remove(0);
        let halves = Halves::begin(&reader, &runs, "u00").await.unwrap();
        assert_eq!(test_queue.queue.protect(&run, &|id| id == "u00", "digest", 3_000).await.unwrap(), 1);
        assert_eq!(outcomes(halves).await, [Outcome::Protected]);
    }
}
