//! Why no job can be written from a backup.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::backup::SCHEMA;
use crate::domain::hint::{Hint, Message};

/// Why no job can be written from a backup.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file of the backup cannot be used.
    #[error("{}: {problem}", place(path, *line))]
    Backup {
        /// The file.
        path: PathBuf,
        /// The line at fault, as it is uncompressed, from 1.
        line: Option<u64>,
        /// What is wrong.
        problem: BackupProblem,
    },
    /// The jobs cannot be written.
    #[error(transparent)]
    Usage(Message),
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with a file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupProblem {
    /// It is a folder, a device, or something else that is not a file.
    #[error("this is not a file")]
    NotAFile,
    /// It does not exist.
    #[error("the file does not exist")]
    Missing,
    /// The queue names it, and it does not exist.
    #[error("the queue names this file of the run, and it is not here")]
    Lost,
    /// It is not compressed with zstd.
    #[error("this is not a backup of imbulk: it is not compressed with zstd")]
    NotZstd,
    /// It has no line.
    #[error("the file has no complete line")]
    Empty,
    /// The first line is no header.
    #[error("this is not a backup of imbulk: the first line is not a header")]
    NoHeader,
    /// Another version wrote it.
    #[error("the schema is `{0}`; this version of imbulk reads `{SCHEMA}`")]
    OtherSchema(String),
    /// The operation is unknown.
    #[error("the operation `{0}` is unknown to this version of imbulk")]
    OtherOperation(String),
    /// It belongs to another run than the file that was named first.
    #[error("the file belongs to run {0}, and the first one to run {1}")]
    OtherRun(String, String),
    /// The decoder found damage.
    #[error("the compressed data is damaged: {0}")]
    Damaged(String),
    /// The file ends within compressed data.
    #[error("the file was cut off: its compressed data is incomplete")]
    CutOff,
    /// A line is not one of a backup.
    #[error("the line is not one of a backup: {0}")]
    NotALine(String),
    /// Another line follows the end line.
    #[error("there is another line after the end line")]
    AfterEnd,
    /// The end line does not fit.
    #[error("the lines before the end line are not those that were written: {0} is another one")]
    OtherLines(&'static str),
    /// There is no end line, and no queue that knows the parts of the file.
    #[error("the file has no end line, so parts of it may be missing")]
    NoEnd,
    /// The queue knows a part that the file does not have.
    #[error("the file was cut off: the queue names {0} bytes, and the file has {1}")]
    Shorter(u64, u64),
    /// A part has another hash than in the queue.
    #[error("the bytes {0} to {1} are damaged: their hash in the queue is another one")]
    OtherHash(u64, u64),
}

impl BackupProblem {
    const fn leaves_lines(&self) -> bool {
        match self {
            Self::Lost
            | Self::Damaged(_)
            | Self::CutOff
            | Self::NotALine(_)
            | Self::AfterEnd
            | Self::OtherLines(_)
            | Self::NoEnd
            | Self::Shorter(..)
            | Self::OtherHash(..) => true,
            Self::NotAFile
            | Self::Missing
            | Self::Empty
            | Self::NotZstd
            | Self::NoHeader
            | Self::OtherSchema(_)
            | Self::OtherOperation(_)
            | Self::OtherRun(..) => false,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NotAFile => "name a file of the folder; the other files of its run are read as well",
            Self::Missing => "check the path, and put it in quotes if it has spaces",
            Self::Lost => "put it beside the other files, or restore without it with --incomplete",
            Self::Empty => "name another file of the run, or a good copy of this one",
            Self::NotZstd | Self::NoHeader => "name a file that a run with `backup.path` wrote: JOB-RUN-TIME.jsonl.zst",
            Self::OtherSchema(_) | Self::OtherOperation(_) => "use the version of imbulk that wrote the backup",
            Self::OtherRun(..) => {
                "name files of one run, since each run is restored on its own, and remove files of other runs that \
                 have a name of this one from their folder"
            }
            Self::NoEnd | Self::CutOff => {
                "its session was killed or still runs, or the file was cut off: name the queue of the run with \
                 --queue, which knows every part, or restore the lines that are there with --incomplete"
            }
            Self::Damaged(_)
            | Self::NotALine(_)
            | Self::AfterEnd
            | Self::OtherLines(_)
            | Self::Shorter(..)
            | Self::OtherHash(..) => "use a good copy of the file, or restore the lines before it with --incomplete",
        }
    }
}

impl RestoreError {
    /// The fault of a file whose lines before it can be restored nevertheless, with its line; or this error.
    pub(super) fn partial(self) -> Result<(Option<u64>, BackupProblem), Self> {
        match self {
            Self::Backup { line, problem, .. } if problem.leaves_lines() => Ok((line, problem)),
            Self::Backup { .. } | Self::Usage(_) | Self::Io { .. } => Err(self),
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// The file or folder on the disk that is full, if that is the cause.
    pub fn full_disk(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source } if source.kind() == io::ErrorKind::StorageFull => Some(path),
            Self::Io { .. } | Self::Backup { .. } | Self::Usage(_) => None,
        }
    }

    /// The header of a backup names an operation that imbulk does not have.
    pub(super) fn operation(path: &Path, operation: &str) -> Self {
        Self::Backup {
            path: path.to_owned(),
            line: Some(1),
            problem: BackupProblem::OtherOperation(operation.to_owned()),
        }
    }

    /// The backup has no friend and no account.
    pub(super) fn nothing(backup: &Path) -> Self {
        let text =
            format!("{}: the backup has no friend and no account, so there is nothing to restore", place(backup, None));
        Self::Usage(Message::new(text).add_hint("nothing that the run changed existed before, or nothing was changed"))
    }
}

impl Hint for RestoreError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Backup { problem, .. } => Some(problem.hint().into()),
            Self::Usage(message) => message.hint(),
            Self::Io { .. } if self.full_disk().is_some() => Some("free disk space, then restore again".into()),
            Self::Io { .. } => None,
        }
    }
}

fn place(path: &Path, line: Option<u64>) -> String {
    line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()))
}
