//! Writes the reports that jobs name (`report.file`) after a session.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::Error;
use super::report::report_on;
use crate::domain::hint::{Hint, Message};
use crate::domain::language::Language;
use crate::export::{ExportError, PRIVATE, refuse_used_file, write_file};
use crate::queue::{Reader, folder_of};
use crate::report::job_result::JobResult;
use crate::report::report_files::{RunToReport, report_files};
use crate::session::run_with_id;
use crate::settings::Env;
use crate::stderr::tell;

/// Writes a report on each run that was begun. A file that cannot be written is a warning, because the outcomes are
/// recorded.
pub(super) async fn write(results: &[JobResult], env: &Env, queue: &Path) {
    for (path, runs) in report_files(results) {
        let written = match &runs[..] {
            // Of several runs of a job, the file has the one that was sent last.
            [.., last] if runs.iter().all(|run| run.job == last.job) => replace(&path, last, env, queue).await,
            _ => Err(several_jobs(&path)),
        };
        if let Err(Message { text, hint }) = written {
            let warning = Message { text: format!("report.file: {text}; the exit code does not change"), hint };
            tell(warning.with_hint());
        }
    }
}

fn several_jobs(path: &Path) -> Message {
    Message::new(format!("{}: several jobs name this file, so it is not written", path.display()))
        .add_hint("write {job} into the name of the file, or name a file of its own in each job")
}

async fn replace(path: &Path, to_report: &RunToReport<'_>, env: &Env, queue: &Path) -> Result<(), Message> {
    report(path, to_report, env, queue).await.map_err(|error| {
        let hint = match &error {
            Error::Export(ExportError::UsedFile { .. } | ExportError::NotAFile(_)) => {
                Some("name another file in `report.file`".into())
            }
            other => other.hint().map(Into::into),
        };
        Message { text: error.to_string(), hint }
    })
}

async fn report(path: &Path, to_report: &RunToReport<'_>, env: &Env, queue: &Path) -> Result<(), Error> {
    let reader = Reader::open(queue).await?;
    let run = run_with_id(to_report.run, &reader).await?;
    refuse_used_file(path, &reader, env.secret_key_files()).await?;
    // A report quotes the reason for which a run ended, and this may name an account.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path));
    made.map_err(|source| ExportError::File { path: path.to_owned(), source })?;
    let text = report_on(&reader, &run, folder_of(queue)).await?.text(to_report.format, Language::En);
    Ok(write_file(path, PRIVATE, text.as_bytes()).await?)
}
