//! Reads what happened to one account, in all runs of a queue.

use std::collections::HashMap;

use crate::clock;
use crate::domain::ids::RunId;
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
        Some(ForgottenRun { run: run.uuid.clone(), job: run.job.clone(), target: run.target.clone(), forgotten_at: at })
    });
    let forgotten = forgotten.collect();
    let mut found = if runs.is_empty() { Vec::new() } else { RowSearch::new(reader, &runs, id).await?.rows().await? };
    found.sort_by_key(|(run, row, _)| (*run, *row));
    let rows = found.into_iter().map(|(_, _, row)| row).collect();
    Ok(History::new(id, rows, forgotten, zone))
}

/// A row that names the account, with its place.
type PlacedRow = (RunId, RowNo, AccountRow);

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

    async fn rows(mut self) -> Result<Vec<PlacedRow>, QueueError> {
        let mut found = Vec::new();
        for request in self.snapshot.requests_naming(self.id).await? {
            // Runs that are loading, and verifications, have requests as well.
            let Some(run) = self.runs.get(&request.run()).copied() else { continue };
            self.rows_of_request(run, &request, &mut found).await?;
        }
        for (run, row) in self.snapshot.skipped_rows_naming(self.id).await? {
            let Some(run) = self.runs.get(&run).copied() else { continue };
            found.push((run.id, row, self.skipped_row(run, row).await?));
        }
        Ok(found)
    }

    async fn rows_of_request(
        &mut self,
        run: &Run,
        request: &RequestResult,
        found: &mut Vec<PlacedRow>,
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
                found.push((run.id, row, self.row(run, row, known).await?));
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
        let operation = run.operation()?;
        let (source, line) = self.place(run, row).await?;
        let verified = self.snapshot.verified(run.id, row..row + 1).await?.pop();
        Ok(AccountRow {
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target.clone(),
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
