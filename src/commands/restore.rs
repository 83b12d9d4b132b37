//! `imbulk restore`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::queue::{QueueError, Reader, RunState};
use crate::restore::{self, KnownParts, RestoreRequest};
use crate::stderr::tell;

/// Writes jobs that put back what a run removed.
pub(super) async fn restore(args: cli::RestoreArgs, queue: &Path) -> Result<Exit, Error> {
    let cli::RestoreArgs { backup, output, incomplete } = args;
    let [first, ..] = &*backup else { unreachable!("the command line requires a file") };
    let run = restore::run_of(first)?;
    // A backup must be of use without its queue as well.
    let known = match known_parts(&run, queue).await {
        Ok(known) => known,
        Err(error) => {
            let text = format!("note: the queue {} cannot be read: {error}", queue.display());
            tell(Message::new(text).add_hint("files without an end line need it").with_hint());
            None
        }
    };
    let summary = restore::restore(&RestoreRequest { backup, output, incomplete }, known.as_ref())?;
    super::print(&summary.text(&queue.display().to_string()))
}

/// The parts of the backup that the queue knows; none if it does not know the run.
async fn known_parts(run: &str, queue: &Path) -> Result<Option<KnownParts>, QueueError> {
    if !queue.exists() {
        return Ok(None);
    }
    let reader = Reader::open(queue).await?;
    let runs = reader.runs().await?;
    let Some(run) = runs.into_iter().find(|known| known.uuid == run && known.forgotten.is_none()) else {
        return Ok(None);
    };
    if run.state() == RunState::Running {
        let text = format!("note: run {} of job {} is not finished: it may remove more", run.uuid, run.job);
        tell(
            Message::new(text)
                .add_hint("if its input was right, finish it before you restore; otherwise give it up with --again")
                .with_hint(),
        );
    }
    reader.snapshot().await?.backup_parts(run.id).await.map(|parts| Some(KnownParts(parts)))
}
