//! The folder with the jobs. It is filled under another name, so that it appears as a whole or not at all.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::RestoreError;
use super::rows::{RestoreJob, RestoredRow};
use super::summary::WrittenJob;
use crate::domain::hint::Message;
use crate::fail_point::{self, FailPoint};

/// The folder with the jobs, until it gets its name.
#[derive(Debug)]
pub(super) struct RestoreFolder {
    /// Only its owner can read it: a backup has personal data.
    temporary: TempDir,
    inputs: BTreeMap<RestoreJob, RestoreInput>,
}

#[derive(Debug)]
struct RestoreInput {
    path: PathBuf,
    file: BufWriter<File>,
    rows: u64,
}

impl RestoreFolder {
    /// Makes a folder beside `path`, which must not exist.
    pub(super) fn create(path: &Path) -> Result<Self, RestoreError> {
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        let parent = parent_of(path);
        let private = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(".imbulk-restore-").permissions(private).tempdir_in(parent);
        Ok(Self { temporary: made.map_err(RestoreError::io(parent))?, inputs: BTreeMap::new() })
    }

    /// Appends a row to the input of its job.
    pub(super) fn push(&mut self, row: &RestoredRow) -> Result<(), RestoreError> {
        let input = match self.inputs.entry(row.job) {
            Entry::Occupied(input) => input.into_mut(),
            Entry::Vacant(place) => {
                let path = self.temporary.path().join(format!("{}.jsonl", row.job.name()));
                let file = BufWriter::new(new_file(&path)?);
                place.insert(RestoreInput { path, file, rows: 0 })
            }
        };
        input.rows += 1;
        let written = serde_json::to_writer(&mut input.file, &row.object).map_err(Into::into);
        written.and_then(|()| input.file.write_all(b"\n")).map_err(RestoreError::io(&input.path))
    }

    /// The jobs that have rows, as they are named in the end.
    pub(super) fn jobs(&self, path: &Path) -> Vec<WrittenJob> {
        let job = |(job, input): (&RestoreJob, &RestoreInput)| WrittenJob {
            job: *job,
            rows: input.rows,
            file: path.join(format!("{}.toml", job.name())),
        };
        self.inputs.iter().map(job).collect()
    }

    /// Adds these files and gives the folder its name.
    pub(super) fn finish(self, path: &Path, texts: &[(String, String)]) -> Result<(), RestoreError> {
        for input in self.inputs.into_values() {
            let RestoreInput { path, file, .. } = input;
            let synced = file.into_inner().map_err(std::io::IntoInnerError::into_error);
            synced.and_then(|file| file.sync_all()).map_err(RestoreError::io(&path))?;
        }
        for (name, text) in texts {
            let file = self.temporary.path().join(name);
            let written = new_file(&file).map(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()));
            written?.map_err(RestoreError::io(&file))?;
        }
        sync(self.temporary.path())?;
        fail_point::before(FailPoint::PlaceFile);
        // A folder with files is never replaced.
        std::fs::rename(self.temporary.path(), path).map_err(RestoreError::io(path))?;
        fail_point::after(FailPoint::PlaceFile);
        // It is not there any more under its first name.
        drop(self.temporary.keep());
        sync(parent_of(path))
    }
}

fn new_file(path: &Path) -> Result<File, RestoreError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(RestoreError::io(path))
}

fn sync(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(RestoreError::io(folder))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn exists(path: &Path) -> RestoreError {
    let text = format!("{} exists, and nothing is written over", path.display());
    RestoreError::Usage(Message::new(text).add_hint("remove it, or name another folder with --output"))
}
