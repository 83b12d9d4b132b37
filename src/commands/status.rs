//! `imbulk status`

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use crate::cli;
use crate::queue::{Reader, Run};
use crate::report::status::{Detail, Overview};

/// Shows runs and where they stand.
pub(super) async fn status(args: &cli::Status, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    match &args.name {
        Some(name) => {
            let detail = Detail::read(&reader, &find(name, &reader).await?).await?;
            if args.json { super::print_json(&detail) } else { super::print(&detail.text()) }
        }
        None => {
            let overview = Overview::read(&reader).await?;
            if args.json { super::print_json(&overview) } else { super::print(&overview.text()) }
        }
    }
}

/// The run that a name means.
pub(super) async fn find(name: &str, reader: &Reader) -> Result<Run, Error> {
    if let Some(run) = reader.find(name).await? {
        return Ok(run);
    }
    let mut jobs: Vec<String> = reader.runs().await?.into_iter().map(|run| run.job).collect();
    jobs.sort();
    jobs.dedup();
    let known = match (jobs.is_empty(), reader.is_owned()) {
        (false, _) => jobs.join(", "),
        (true, true) => "no job yet; a process is at it and may be loading one".to_owned(),
        (true, false) => "no job yet: `imbulk plan JOB` loads one".to_owned(),
    };
    Err(Error::Usage(format!("the queue knows no job and no run named `{name}`\nhint: it knows {known}")))
}
