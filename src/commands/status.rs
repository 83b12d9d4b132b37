//! `imbulk status`

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::queue::{QueueError, Reader};
use crate::report::status::StatusOutput;
use crate::session::{SessionError, detail, find, overview};
use crate::stdout::{self, Screen};

/// The time between two updates of `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Shows all runs, or one run in detail, once or until nothing changes any more.
pub(super) async fn status(args: &cli::StatusArgs, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = match &args.name {
        Some(name) => Some(find(name, args.target.as_deref(), &reader).await?.uuid),
        None => None,
    };
    if args.watch {
        return watch(&reader, run.as_deref(), args.json).await;
    }
    let output = read(&reader, run.as_deref()).await?;
    if args.json { super::print_json(&output) } else { super::print(&output.text(stdout::terminal_width())) }
}

/// Shows updates until no process works on what is shown, until Ctrl-C, or until standard output is closed.
async fn watch(reader: &Reader, run: Option<&str>, json: bool) -> Result<Exit, Error> {
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut screen = if json { None } else { Screen::new() };
    loop {
        let output = read(reader, run).await?;
        let is_last = !output.may_change();
        let shown = match &mut screen {
            Some(screen) => screen.draw(|width| output.text(Some(width)), is_last),
            None if json => stdout::print_if_read(&serde_json::to_string(&output).expect("texts and numbers are JSON")),
            None => stdout::print_if_read(&output.update()),
        };
        if is_last || !shown.map_err(Error::io("stdout"))? {
            return Ok(Exit::Done);
        }
        tokio::select! {
            _ = &mut interrupted => return Ok(Exit::Done),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn read(reader: &Reader, run: Option<&str>) -> Result<StatusOutput, Error> {
    let Some(run) = run else { return Ok(StatusOutput::Overview(overview(reader).await?)) };
    let gone = || SessionError::from(QueueError::Unexpected(format!("there is no run {run} any more")));
    let detail = detail(reader, run).await?.ok_or_else(gone)?;
    Ok(StatusOutput::Detail(Box::new(detail)))
}
