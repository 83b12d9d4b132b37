//! `imbulk report`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::export::{PRIVATE, refuse_used_file, write_file};
use crate::queue::Reader;
use crate::session::{find, run_report};
use crate::settings::Env;

/// Writes the report on a run to a file.
pub(super) async fn report(args: &cli::ReportArgs, env: &Env, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    let report = run_report(&reader, &run).await?;
    let file = &args.output;
    refuse_used_file(&file.path, &reader, env.secret_key_files()).await?;
    write_file(&file.path, PRIVATE, report.text(file.format).as_bytes()).await?;
    Ok(Exit::Done)
}
