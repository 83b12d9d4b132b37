//! `imbulk status`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::queue::Reader;
use crate::report::status::StatusOutput;
use crate::session::{detail, find, overview};
use crate::stdout;

/// Shows all runs, or one run in detail.
pub(super) async fn status(args: &cli::StatusArgs, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let output = match &args.name {
        Some(name) => {
            let detail = detail(&reader, &find(name, args.target.as_deref(), &reader).await?).await?;
            StatusOutput::Detail(Box::new(detail))
        }
        None => StatusOutput::Overview(overview(&reader).await?),
    };
    if args.json { super::print_json(&output) } else { super::print(&output.text(stdout::terminal_width())) }
}
