//! A folder with one file of results per outcome. It is filled under another name, so that it appears as a whole.

use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use super::{ExportError, Format};
use crate::domain::response::outcome::Outcome;
use crate::new_folder::NewFolder;

/// The file with the number of rows of each other file.
const SUMS: &str = "sums.json";

/// The folder, until it gets its name.
#[derive(Debug)]
pub struct SplitFolder {
    folder: NewFolder,
    /// One for each outcome, in their sequence.
    files: Vec<BufWriter<File>>,
}

/// The name of the file for an outcome.
pub fn split_file(outcome: Outcome, format: Format) -> String {
    let ending = match format {
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
    };
    format!("{}.{ending}", outcome.name())
}

/// The files of an earlier split in the folder. There are none if the folder is empty, or does not exist yet.
///
/// # Errors
/// The folder cannot be read, or has another file.
pub fn earlier_files(path: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let fail = |source| ExportError::File { path: path.to_owned(), source };
    let found = match std::fs::read_dir(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let is_own = |name: &str| {
        let formats = [Format::Csv, Format::Jsonl];
        name == SUMS
            || Outcome::ALL
                .iter()
                .any(|outcome| formats.map(|format| split_file(*outcome, format)).contains(&name.to_owned()))
    };
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(fail)?;
        if !file.file_name().to_str().is_some_and(is_own) || !file.path().is_file() {
            return Err(ExportError::OtherFiles { folder: path.to_owned(), file: file.file_name().into() });
        }
        files.push(file.path());
    }
    Ok(files)
}

impl SplitFolder {
    /// Makes the folder under another name beside `path`, with a file for each of these outcomes.
    pub fn create(path: &Path, format: Format, outcomes: &[Outcome]) -> Result<Self, ExportError> {
        let fail = |source| ExportError::File { path: path.to_owned(), source };
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = NewFolder::beside(&path).map_err(fail)?;
        let file = |outcome: &Outcome| folder.file(&split_file(*outcome, format));
        let files = outcomes.iter().map(|outcome| file(outcome).map(BufWriter::new)).collect::<Result<_, _>>();
        let files = files.map_err(fail)?;
        Ok(Self { folder, files })
    }

    /// The files, one for each outcome.
    pub fn files(&mut self) -> &mut [BufWriter<File>] {
        &mut self.files
    }

    /// The error with the folder as the file that could not be written.
    pub fn name(&self, error: ExportError) -> ExportError {
        match error {
            ExportError::Output(source) => ExportError::File { path: self.folder.path().to_owned(), source },
            of_the_queue => of_the_queue,
        }
    }

    /// Adds the sums and gives the folder its name. A folder with the files of an earlier split is replaced.
    pub fn finish(self, sums: &[u8]) -> Result<(), ExportError> {
        let Self { folder, files } = self;
        let path = folder.path().to_owned();
        let placed = || {
            for file in files {
                file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
            }
            folder.write(SUMS, sums)?;
            folder.replace()
        };
        placed().map_err(|source| ExportError::File { path, source })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_appears_as_a_whole_and_replaces_only_an_earlier_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("split");
        let make = |outcomes: &[Outcome], format| SplitFolder::create(&path, format, outcomes).unwrap();
        let mut folder = make(&[Outcome::Failed, Outcome::Pending], Format::Csv);
        folder.files()[1].write_all(b"p\n").unwrap();
        assert!(!path.exists(), "not before it is complete");
        folder.finish(b"{}").unwrap();
        assert_eq!(names(&path), ["failed.csv", "pending.csv", "sums.json"]);
        assert_eq!(std::fs::read(path.join("pending.csv")).unwrap(), b"p\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(earlier_files(&path).unwrap().len(), 3);
        make(&[Outcome::Failed], Format::Jsonl).finish(b"{}").unwrap();
        assert_eq!(names(&path), ["failed.jsonl", "sums.json"], "nothing of the earlier one is left");
        drop(make(&[Outcome::Failed], Format::Csv));
        assert_eq!(names(place.path()), ["split"], "nothing is left over");
    }

    #[test]
    fn a_folder_with_another_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(earlier_files(place.path()).unwrap().is_empty());
        assert!(earlier_files(&place.path().join("new")).unwrap().is_empty());
        std::fs::write(place.path().join("failed.csv"), "").unwrap();
        std::fs::write(place.path().join("failed.txt"), "").unwrap();
        let error = earlier_files(place.path()).unwrap_err();
        assert!(matches!(&error, ExportError::OtherFiles { file, .. } if file == Path::new("failed.txt")), "{error}");
        std::fs::remove_file(place.path().join("failed.txt")).unwrap();
        std::fs::create_dir(place.path().join("pending.csv")).unwrap();
        assert!(earlier_files(place.path()).is_err(), "a folder with a name of a file");
        assert!(earlier_files(&place.path().join("failed.csv")).is_err(), "a file is no folder");
    }
}
