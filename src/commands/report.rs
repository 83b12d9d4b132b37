//! `imbulk report`

use std::path::Path;

use super::error::Error;
use crate::cli::{self, ReportFormat};
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
    let text = match file.format {
        ReportFormat::Html => report.html(),
        ReportFormat::Json => serde_json::to_string_pretty(&report).expect("texts and numbers are JSON") + "\n",
        ReportFormat::Markdown => report.markdown(),
    };
    write_file(&file.path, PRIVATE, text.as_bytes()).await?;
    Ok(Exit::Done)
}
