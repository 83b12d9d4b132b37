//! `imbulk retry`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::queue::{CodeRows, Queue, Reader, RetrySelection, Run, RunState};
use crate::session::{SessionError, find};

/// Makes failed items pending again.
pub(super) async fn retry(args: &cli::RetryArgs, path: &Path) -> Result<Exit, Error> {
    // Opened for reading first: a missing queue is an error here, while opening it for writing would create it.
    let run = find(&args.name, args.target.as_deref(), &Reader::open(path).await?).await?;
    refuse_superseded(&run)?;
    let mut queue = Queue::open(path).await?;
    let rows = queue.retry(&run, RetrySelection { outcome: args.outcome, code: args.code }).await?;
    queue.check_sums(&run).await?;
    queue.close().await?;
    if rows.is_empty() {
        return super::print(&format!("{}: no rows to send again", run.job));
    }
    super::print(&report(&run.job, &rows))
}

/// The rows that are pending again: their number, and their numbers by outcome and code.
fn report(job: &str, rows: &[CodeRows]) -> String {
    let all: u64 = rows.iter().map(|entry| entry.rows).sum();
    let mut text = format!("{job}: {all} rows are pending again");
    for CodeRows { outcome, code, rows } in rows {
        let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
        text.push_str(&format!("\n  {outcome}, {code}: {rows}"));
    }
    Message::new(text).add_hint("`imbulk run JOB --execute` sends them").with_hint()
}

fn refuse_superseded(run: &Run) -> Result<(), SessionError> {
    if run.state() == RunState::Superseded {
        let text = format!("run {} was superseded by a newer run", run.uuid);
        return Err(SessionError::usage(text, format!("`imbulk retry {}` retries the latest run", run.job)));
    }
    Ok(())
}
