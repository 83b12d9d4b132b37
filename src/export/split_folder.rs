//! A folder with one file of results per outcome. It is filled under another name, so that it appears as a whole.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ExportError, Format};
use crate::domain::response::outcome::Outcome;
use crate::fail_point::{self, FailPoint};

/// The file with the number of rows of each other file.
const SUMS: &str = "sums.json";

/// The folder, until it gets its name.
#[derive(Debug)]
pub struct SplitFolder {
    /// Its name in the end.
    path: PathBuf,
    temporary: TempDir,
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
        let private = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(".imbulk-split-").permissions(private).tempdir_in(parent_of(&path));
        let temporary = made.map_err(fail)?;
        let file = |outcome: &Outcome| new_file(&temporary.path().join(split_file(*outcome, format)));
        let files = outcomes.iter().map(|outcome| file(outcome).map(BufWriter::new)).collect::<Result<_, _>>();
        let files = files.map_err(fail)?;
        Ok(Self { path, temporary, files })
    }

    /// The files, one for each outcome.
    pub fn files(&mut self) -> &mut [BufWriter<File>] {
        &mut self.files
    }

    /// The error with the folder as the file that could not be written.
    pub fn name(&self, error: ExportError) -> ExportError {
        match error {
            ExportError::Output(source) => ExportError::File { path: self.path.clone(), source },
            of_the_queue => of_the_queue,
        }
    }

    /// Adds the sums and gives the folder its name. A folder with the files of an earlier split is replaced.
    pub fn finish(self, sums: &[u8]) -> Result<(), ExportError> {
        let Self { path, temporary, files } = self;
        let placed = || {
            for file in files {
                file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
            }
            let mut new = new_file(&temporary.path().join(SUMS))?;
            new.write_all(sums).and_then(|()| new.sync_all())?;
            sync(temporary.path())?;
            fail_point::before(FailPoint::PlaceFile);
            match std::fs::rename(temporary.path(), &path) {
                // It is not there any more under its first name.
                Ok(()) => drop(temporary.keep()),
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    let earlier = tempfile::Builder::new().prefix(".imbulk-split-").tempdir_in(parent_of(&path))?;
                    std::fs::rename(&path, earlier.path())?;
                    if let Err(error) = std::fs::rename(temporary.path(), &path) {
                        std::fs::rename(earlier.path(), &path)?;
                        return Err(error);
                    }
                    drop(temporary.keep());
                }
                Err(error) => return Err(error),
            }
            fail_point::after(FailPoint::PlaceFile);
            sync(parent_of(&path))
        };
        placed().map_err(|source| ExportError::File { path: path.clone(), source })
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

#[cfg(test)]
mod tests {
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
