//! The folder with the jobs. It is filled under another name, so that it appears as a whole or not at all.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Write};
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
    /// Its name in the end. Errors name it, because a temporary file is gone after an error.
    path: PathBuf,
    /// Only its owner can read it: a backup has personal data.
    temporary: TempDir,
    inputs: BTreeMap<RestoreJob, RestoreInput>,
}

#[derive(Debug)]
struct RestoreInput {
    file: BufWriter<File>,
    rows: u64,
}

impl RestoreFolder {
    /// Makes the folder under another name beside `path`, which must not exist.
    pub(super) fn create(path: &Path) -> Result<Self, RestoreError> {
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        let parent = parent_of(path);
        let private = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(".imbulk-restore-").permissions(private).tempdir_in(parent);
        let temporary = made.map_err(RestoreError::io(path))?;
        Ok(Self { path: path.to_owned(), temporary, inputs: BTreeMap::new() })
    }

    /// Appends a row to the input of its job.
    pub(super) fn push(&mut self, row: &RestoredRow) -> Result<(), RestoreError> {
        let input = match self.inputs.entry(row.job) {
            Entry::Occupied(input) => input.into_mut(),
            Entry::Vacant(place) => {
                let file = self.temporary.path().join(format!("{}.jsonl", row.job.name()));
                let file = BufWriter::new(new_file(&file).map_err(RestoreError::io(&self.path))?);
                place.insert(RestoreInput { file, rows: 0 })
            }
        };
        input.rows += 1;
        let written = serde_json::to_writer(&mut input.file, &row.object).map_err(Into::into);
        written.and_then(|()| input.file.write_all(b"\n")).map_err(RestoreError::io(&self.path))
    }

    /// The jobs that have rows, as they are named in the end.
    pub(super) fn jobs(&self) -> Vec<WrittenJob> {
        let job = |(job, input): (&RestoreJob, &RestoreInput)| WrittenJob {
            job: *job,
            rows: input.rows,
            file: self.path.join(format!("{}.toml", job.name())),
        };
        self.inputs.iter().map(job).collect()
    }

    /// Adds these files and gives the folder its name.
    pub(super) fn finish(self, texts: &[(String, String)]) -> Result<(), RestoreError> {
        let Self { path, temporary, inputs } = self;
        let placed = || {
            for input in inputs.into_values() {
                input.file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
            }
            for (name, text) in texts {
                let mut new = new_file(&temporary.path().join(name))?;
                new.write_all(text.as_bytes()).and_then(|()| new.sync_all())?;
            }
            sync(temporary.path())?;
            fail_point::before(FailPoint::PlaceFile);
            // A folder with files is never replaced.
            std::fs::rename(temporary.path(), &path)?;
            fail_point::after(FailPoint::PlaceFile);
            // It is not there any more under its first name.
            drop(temporary.keep());
            sync(parent_of(&path))
        };
        placed().map_err(RestoreError::io(&path))
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn exists(path: &Path) -> RestoreError {
    let text = format!("{} exists, and nothing is written over", path.display());
    RestoreError::Usage(Message::new(text).add_hint("remove it, or name another folder with --output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The temporary folder is gone, so a message that names a file in it would name nothing that exists.
    #[test]
    fn an_error_names_the_folder_that_the_user_gave() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("given");
        let row = RestoredRow { job: RestoreJob::Friends, object: serde_json::Map::new() };
        let expected = format!("{}: ", path.display());
        let broken = |with_row: bool| {
            let mut folder = RestoreFolder::create(&path).unwrap();
            if with_row {
                folder.push(&row).unwrap();
            }
            std::fs::remove_dir_all(folder.temporary.path()).unwrap();
            folder
        };
        let pushed = broken(false).push(&row).unwrap_err().to_string();
        let finished = broken(true).finish(&[("a.toml".to_owned(), String::new())]).unwrap_err().to_string();
        let created = RestoreFolder::create(&place.path().join("no/such")).unwrap_err().to_string();
        assert!(pushed.starts_with(&expected) && finished.starts_with(&expected), "{pushed}, {finished}");
        assert!(created.starts_with(&format!("{}: ", place.path().join("no/such").display())), "{created}");
    }
}
