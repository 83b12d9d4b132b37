//! The folder with the jobs. It is filled under another name, so that it appears as a whole or not at all.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::Path;

use super::error::RestoreError;
use super::rows::{RestoreJob, RestoredRow};
use super::summary::WrittenJob;
use crate::domain::hint::Message;
use crate::new_folder::NewFolder;

/// The folder with the jobs, until it gets its name.
#[derive(Debug)]
pub(super) struct RestoreFolder {
    /// Only its owner can read it: a backup has personal data.
    folder: NewFolder,
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
        let folder = NewFolder::beside(path).map_err(RestoreError::io(path))?;
        Ok(Self { folder, inputs: BTreeMap::new() })
    }

    /// Appends a row to the input of its job.
    pub(super) fn push(&mut self, row: &RestoredRow) -> Result<(), RestoreError> {
        let input = match self.inputs.entry(row.job) {
            Entry::Occupied(input) => input.into_mut(),
            Entry::Vacant(place) => {
                let file = self.folder.file(&format!("{}.jsonl", row.job.name()));
                let file = file.map_err(RestoreError::io(self.folder.path()))?;
                place.insert(RestoreInput { file: BufWriter::new(file), rows: 0 })
            }
        };
        input.rows += 1;
        let written = serde_json::to_writer(&mut input.file, &row.object).map_err(Into::into);
        written.and_then(|()| input.file.write_all(b"\n")).map_err(RestoreError::io(self.folder.path()))
    }

    /// The jobs that have rows, as they are named in the end.
    pub(super) fn jobs(&self) -> Vec<WrittenJob> {
        let job = |(job, input): (&RestoreJob, &RestoreInput)| WrittenJob {
            job: *job,
            rows: input.rows,
            file: self.folder.path().join(format!("{}.toml", job.name())),
        };
        self.inputs.iter().map(job).collect()
    }

    /// Adds these files and gives the folder its name.
    pub(super) fn finish(self, texts: &[(String, String)]) -> Result<(), RestoreError> {
        let Self { folder, inputs } = self;
        let path = folder.path().to_owned();
        let placed = || {
            for input in inputs.into_values() {
                input.file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
            }
            texts.iter().try_for_each(|(name, text)| folder.write(name, text.as_bytes()))?;
            folder.place()
        };
        placed().map_err(RestoreError::io(&path))
    }
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
            let temporary = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap();
            std::fs::remove_dir_all(temporary.path()).unwrap();
            folder
        };
        let pushed = broken(false).push(&row).unwrap_err().to_string();
        let finished = broken(true).finish(&[("a.toml".to_owned(), String::new())]).unwrap_err().to_string();
        let created = RestoreFolder::create(&place.path().join("no/such")).unwrap_err().to_string();
        assert!(pushed.starts_with(&expected) && finished.starts_with(&expected), "{pushed}, {finished}");
        assert!(created.starts_with(&format!("{}: ", place.path().join("no/such").display())), "{created}");
    }
}
