//! `imbulk report`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::domain::hint::Message;
use crate::domain::language::Language;
use crate::domain::report_file::ReportFormat;
use crate::export::{PRIVATE, refuse_used_file, results_digest, write_file};
use crate::queue::{Reader, Run, RunState, folder_of};
use crate::report::run_report::RunReport;
use crate::session::{SessionError, find, run_report};
use crate::settings::Env;

/// Writes the report on a run to a file.
pub(super) async fn report(args: &cli::ReportArgs, env: &Env, path: &Path) -> Result<Exit, Error> {
    let file = &args.output;
    if (file.format, args.lang) == (ReportFormat::Json, Language::Zh) {
        let text = format!("--lang zh: {} is JSON, which is English", file.path.display());
        return Err(SessionError::Usage(Message::new(text).add_hint("use --lang zh with .html or .md")).into());
    }
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    let report = report_on(&reader, &run, folder_of(path)).await?;
    refuse_used_file(&file.path, &reader, env.secret_key_files()).await?;
    write_file(&file.path, PRIVATE, report.text(file.format, args.lang).as_bytes()).await?;
    Ok(Exit::Done)
}

/// The report on a run, with the digest of its results once they do not change any more. Temporary
/// data is in `folder`.
pub(super) async fn report_on(reader: &Reader, run: &Run, folder: &Path) -> Result<RunReport, Error> {
    let has_results = run.state() == RunState::Finished && run.forgotten.is_none();
    let digest = if has_results { Some(results_digest(reader, run, folder).await?) } else { None };
    Ok(run_report(reader, run, digest).await?)
}
