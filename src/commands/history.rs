//! `imbulk history`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::queue::Reader;
use crate::session::{SessionError, history as read_history};

/// Shows what happened to one account, in all runs of the queue.
pub(super) async fn history(args: &cli::HistoryArgs, queue: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(queue).await?;
    let history = read_history(&reader, &args.id).await.map_err(SessionError::from)?;
    if args.json { super::print_json(&history) } else { super::print(&history.text()) }
}
