//! `imbulk forget`

use std::path::Path;

use super::error::Error;
use crate::cli::ForgetArgs;
use crate::clock;
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::domain::progress::Phase;
use crate::export::results_digest;
use crate::queue::{Queue, Reader, folder_of};
use crate::report::forget::ForgetOutput;
use crate::session::{
    ForgetSelection, StepDisplay, confirm_forget, only_time, select_to_forget, until_calls_have_ended,
};
use crate::stderr::tell;

/// Shows the runs that are old enough, and removes their rows with `--execute`.
pub(super) async fn forget(args: &ForgetArgs, path: &Path) -> Result<Exit, Error> {
    // Opened for reading first: a missing queue is an error here, while opening it for writing would create it.
    let reader = Reader::open(path).await?;
    if args.execute {
        drop(reader);
        return remove(args, path).await;
    }
    let ForgetSelection { runs, report } = select_to_forget(&reader, args.older_than, &args.runs).await?;
    if !runs.is_empty() {
        tell(Message::new("nothing is removed without --execute").add_hint("add --execute to remove them").with_hint());
    }
    if args.json {
        super::print_json(&ForgetOutput::planned(report, reader.size()))
    } else {
        super::print(&report.text())
    }
}

async fn remove(args: &ForgetArgs, path: &Path) -> Result<Exit, Error> {
    let mut queue = Queue::open(path).await?;
    let reader = queue.reader().await?;
    let before = reader.size();
    let ForgetSelection { runs, report } = select_to_forget(&reader, args.older_than, &args.runs).await?;
    if !runs.is_empty() {
        confirm_forget(&report, args.yes).await?;
        until_calls_have_ended(&reader, &runs).await?;
    }
    for run in &runs {
        let _shown = StepDisplay::new(Phase::Forget, only_time);
        let digest = results_digest(&reader, run, folder_of(path)).await?;
        queue.forget(run.id, &digest, clock::now().as_millisecond()).await?;
    }
    let shown = StepDisplay::new(Phase::Forget, only_time);
    let emptied = queue.free_space().await?;
    drop(shown);
    if !emptied {
        let note = Message::new("note: another program reads the queue, so removed bytes may still be in its file");
        tell(note.add_hint("run the command again when that program has ended").with_hint());
    }
    let after = reader.size();
    drop(reader);
    queue.close().await?;
    if args.json {
        return super::print_json(&ForgetOutput::executed(report, before, after));
    }
    super::print(&format!("{}queue: {before} before, {after} now\n", report.removed_text()))
}
