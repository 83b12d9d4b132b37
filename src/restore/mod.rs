//! Turns a backup into ordinary jobs that put back what a run removed.
//!
//! `backup_file` reads a file and proves that it is whole, `backup_set` finds the files of one run, `rows` turns their
//! lines into rows of jobs, and `folder` writes the jobs into a new folder. Nothing is sent: `imbulk run` sends the
//! jobs like any others (docs/decisions/0039).

mod backup_file;
mod backup_set;
mod error;
mod folder;
mod job_files;
mod rows;
mod summary;

use std::path::{Path, PathBuf};

use crate::domain::operation;
use crate::settings::check_job_name;

pub use backup_set::KnownParts;
pub use error::RestoreError;
pub use summary::RestoreSummary;

use backup_set::BackupSet;
use folder::RestoreFolder;
use rows::{ChosenLines, RestoredRows};

/// What `imbulk restore` is asked for.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// Files of the backup, at least one. The other files of its run are read as well.
    pub backup: Vec<PathBuf>,
    /// The folder that is created; none for a name in the current folder.
    pub output: Option<PathBuf>,
    /// Whether damaged or incomplete files are read as far as possible.
    pub incomplete: bool,
}

/// The id of the run that a backup file belongs to.
///
/// # Errors
/// The file is not a backup.
pub fn run_of(backup: &Path) -> Result<String, RestoreError> {
    Ok(backup_file::header_of(backup)?.run)
}

/// Writes the folder with the jobs. It appears as a whole or not at all.
///
/// # Errors
/// The backup is damaged or incomplete, or the folder cannot be written.
pub fn restore(request: &RestoreRequest, known: Option<&KnownParts>) -> Result<RestoreSummary, RestoreError> {
    let set = BackupSet::find(&request.backup, known)?;
    let name = &set.header.operation;
    let operation = operation::by_name(name).ok_or_else(|| RestoreError::operation(&request.backup[0], name))?;
    check_job_name(&set.header.job).map_err(RestoreError::Usage)?;
    let path = request.output.clone().unwrap_or_else(|| format!("{}-restore", set.header.job).into());
    let mut folder = RestoreFolder::create(&path)?;
    let mut chosen = ChosenLines::default();
    set.read(request.incomplete, &mut |line| {
        chosen.add(&line);
        Ok(())
    })?;
    let mut rows = RestoredRows::of(operation);
    let mut numbers = 0_u64..;
    let mut chosen = chosen.into_numbers().into_iter().peekable();
    let files = set.read(request.incomplete, &mut |line| {
        let is_chosen = numbers.next().is_some_and(|number| chosen.next_if_eq(&number).is_some());
        if is_chosen { folder.push(&rows.row(line)) } else { Ok(()) }
    })?;
    let losses = rows.into_losses();
    let summary = RestoreSummary { operation, header: set.header, files, jobs: folder.jobs(), losses };
    if summary.jobs.is_empty() {
        return Err(RestoreError::nothing(&request.backup[0]));
    }
    folder.finish(&job_files::texts(&summary))?;
    Ok(summary)
}
