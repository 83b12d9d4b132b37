//! `imbulk retry`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::queue::{Queue, Reader, RetrySelection, Run, RunState};
use crate::report::retry::RetryReport;
use crate::session::{SessionError, find, refuse_forgotten};

/// Makes failed items pending again.
pub(super) async fn retry(args: &cli::RetryArgs, path: &Path) -> Result<Exit, Error> {
    // Opened for reading first: a missing queue is an error here, while opening it for writing would create it.
    let run = find(&args.name, args.target.as_deref(), &Reader::open(path).await?).await?;
    refuse_forgotten(&run)?;
    refuse_superseded(&run)?;
    let selection = match args.verified {
        Some(_contradicted) => RetrySelection::Contradicted,
        None => RetrySelection::Ended { outcome: args.outcome, code: args.code },
    };
    let mut queue = Queue::open(path).await?;
    let retried = queue.retry(&run, selection).await?;
    queue.check_sums(&run).await?;
    queue.close().await?;
    let report = RetryReport::new(&run, retried);
    if args.json { super::print_json(&report) } else { super::print(&report.text()) }
}

fn refuse_superseded(run: &Run) -> Result<(), SessionError> {
    if run.state() == RunState::Superseded {
        let text = format!("run {} was superseded by a newer run", run.uuid);
        return Err(SessionError::usage(text, format!("`imbulk retry {}` retries the latest run", run.job)));
    }
    Ok(())
}
