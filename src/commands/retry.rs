//! `imbulk retry`

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use super::select::find;
use crate::cli;
use crate::queue::{Queue, Reader, Run, RunState, Selection};

/// Makes failed items pending again.
pub(super) async fn retry(args: &cli::Retry, path: &Path) -> Result<Exit, Error> {
    // A queue that is not there is an error here, not a new file.
    let run = find(&args.name, args.target.as_deref(), &Reader::open(path).await?).await?;
    refuse_superseded(&run)?;
    let mut queue = Queue::open(path).await?;
    let rows = queue.retry(&run, Selection { outcome: args.outcome, code: args.code }).await?;
    queue.check_sums(&run).await?;
    queue.close().await?;
    if rows == 0 {
        return super::print(&format!("{}: no rows to send again", run.job));
    }
    super::print(&format!("{}: {rows} rows are pending again\nhint: `imbulk run` with the job sends them", run.job))
}

fn refuse_superseded(run: &Run) -> Result<(), Error> {
    if run.state() == RunState::Superseded {
        let what = format!("run {} was given up for a newer one\nhint: retry that one", run.uuid);
        return Err(Error::Usage(what));
    }
    Ok(())
}
