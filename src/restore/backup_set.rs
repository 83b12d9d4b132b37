//! The files of the backup of one run: each of its sessions wrote one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::backup_file::{self, BackupExtent, LineSink};
use super::error::{BackupProblem, RestoreError};
use crate::domain::backup::{BackupHeader, BackupPart};

/// The parts of the backup of a run that its queue knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownParts(pub Vec<BackupPart>);

impl KnownParts {
    fn of(&self, path: &Path) -> Vec<&BackupPart> {
        self.0.iter().filter(|part| Path::new(&part.file).file_name() == path.file_name()).collect()
    }

    /// The files that the queue knows, by name.
    fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter().filter_map(|part| Path::new(&part.file).file_name())
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadFile {
    /// Its path.
    pub(super) path: PathBuf,
    /// The friends and profiles that were read of it.
    pub(super) lines: u64,
    /// Whether it has its end line.
    pub(super) is_complete: bool,
    /// Why not everything was read, if --incomplete allowed that, and the line.
    pub(super) fault: Option<(Option<u64>, BackupProblem)>,
}

/// The files of the backup of one run.
#[derive(Debug)]
pub(super) struct BackupSet {
    /// The first line of the file that was named.
    pub(super) header: BackupHeader,
    /// The files, in the sequence in which they were written.
    files: Vec<PathBuf>,
}

impl BackupSet {
    /// The named files, the other files of their run that are beside the first one, and those that the queue knows.
    pub(super) fn find(named: &[PathBuf], known: Option<&KnownParts>) -> Result<Self, RestoreError> {
        let [first, others @ ..] = named else { unreachable!("the command line requires a file") };
        let header = backup_file::header_of(first)?;
        for path in others {
            let run = backup_file::header_of(path)?.run;
            if run != header.run {
                let problem = BackupProblem::OtherRun(run, header.run);
                return Err(RestoreError::Backup { path: path.clone(), line: Some(1), problem });
            }
        }
        let names = names_beside(first, &header)?.into_iter();
        let mut files = named.to_vec();
        for name in names.chain(known.iter().flat_map(|known| known.names()).map(OsStr::to_owned)) {
            if files.iter().all(|file| file.file_name() != Some(&name)) {
                files.push(first.with_file_name(name));
            }
        }
        // The sessions of a run follow each other. Of two files with one time the later one has a number in its name.
        files.sort_by_cached_key(|file| {
            let began_at = backup_file::header_of(file).ok().map(|header| header.began_at);
            (began_at.is_none(), began_at, file.as_os_str().len(), file.clone())
        });
        Ok(Self { header, files })
    }

    /// Reads all files.
    pub(super) fn read(
        &self,
        known: Option<&KnownParts>,
        incomplete: bool,
        each: &mut LineSink<'_>,
    ) -> Result<Vec<ReadFile>, RestoreError> {
        let mut read = |path: &PathBuf| {
            let parts = known.map(|known| known.of(path));
            let (extent, mut fault) = match backup_file::prove(path, parts.as_deref()) {
                Err(error) if incomplete => (BackupExtent::Unproved, Some(error.partial()?)),
                proved => (proved?, None),
            };
            let mut lines = 0;
            let read = match &fault {
                Some((_, BackupProblem::Lost)) => Ok(()),
                Some(_) | None => backup_file::read(path, extent, each, &mut lines),
            };
            match read {
                // It has the place of the fault.
                Err(error) if fault.is_some() => fault = Some(error.partial()?),
                read => read?,
            }
            Ok(ReadFile { path: path.clone(), lines, is_complete: extent == BackupExtent::Complete, fault })
        };
        self.files.iter().map(&mut read).collect()
    }
}

/// The names of the files of the run in the folder of this file.
fn names_beside(file: &Path, header: &BackupHeader) -> Result<Vec<OsString>, RestoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let start = format!("{}-{}-", header.job, header.run);
    let is_of_run =
        |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(&start) && name.ends_with(".jsonl.zst"));
    let names = std::fs::read_dir(folder)
        .and_then(|files| files.map(|file| Ok(file?.file_name())).collect::<Result<Vec<_>, std::io::Error>>());
    Ok(names.map_err(RestoreError::io(folder))?.into_iter().filter(is_of_run).collect())
}
