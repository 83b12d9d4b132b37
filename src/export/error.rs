//! Why results cannot be exported.

use crate::domain::ids::RequestId;
use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::hint::{Hint, Message};
use crate::domain::request::row::RowNo;
use crate::queue::QueueError;

/// Why results cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The queue can't be read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The results can't be written.
    #[error("cannot write the results: {0}")]
    Output(#[source] std::io::Error),
    /// Temporary data can't be written or read.
    #[error("cannot keep temporary data in {folder}: {source}")]
    Temporary {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file can't be made.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The path is a device, a pipe or a folder.
    #[error("cannot write {0}: it exists and is not a regular file")]
    NotAFile(PathBuf),
    /// The user's own columns cannot be read.
    #[error(transparent)]
    Input(Message),
    /// A folder that is to have only results has another file.
    #[error("{folder}: has the file {file}, which is not of an earlier `imbulk results NAME --split DIR`")]
    OtherFiles {
        /// The folder.
        folder: PathBuf,
        /// The name of the file.
        file: PathBuf,
    },
    /// The program itself uses the file.
    #[error("{path}: this is {what}")]
    UsedFile {
        /// The file.
        path: PathBuf,
        /// What it is used for.
        what: String,
    },
    /// A row is neither in a request nor skipped.
    #[error("row {row} ({source_line}) has no outcome in the queue")]
    Missing {
        /// The row.
        row: RowNo,
        /// Its file and line.
        source_line: String,
    },
    /// A row has more than one outcome.
    #[error("row {row} ({source_line}) has more than one outcome in the queue")]
    Doubled {
        /// The row.
        row: RowNo,
        /// Its file and line.
        source_line: String,
    },
    /// A request names a row that is not in the input.
    #[error("request {request} names row {row}, but the input has {rows} rows")]
    Stray {
        /// The request.
        request: RequestId,
        /// The row.
        row: RowNo,
        /// Rows of the input.
        rows: u64,
    },
}

impl ExportError {
    /// The file or folder on the disk that failed, if a disk failed.
    pub fn disk(&self) -> Option<&Path> {
        match self {
            Self::Queue(error) => error.disk(),
            Self::Temporary { folder: path, source } | Self::File { path, source } => {
                (source.kind() == ErrorKind::StorageFull).then_some(path)
            }
            Self::Output(_)
            | Self::NotAFile(_)
            | Self::UsedFile { .. }
            | Self::OtherFiles { .. }
            | Self::Input(_)
            | Self::Missing { .. }
            | Self::Doubled { .. }
            | Self::Stray { .. } => None,
        }
    }
}

impl Hint for ExportError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Queue(error) => return error.hint(),
            Self::Input(error) => return error.hint(),
            Self::Temporary { .. } => "free disk space in that folder: the results pass through it once",
            Self::File { .. } => "the folder must exist and be writable, and its disk must have free space",
            Self::UsedFile { .. } => "name another file, or another folder with --split",
            Self::OtherFiles { .. } => "name a new folder with --split: results are not mixed with other files",
            Self::NotAFile(_) => "name another file; without --output, `imbulk results` writes to standard output",
            Self::Output(_) | Self::Missing { .. } | Self::Doubled { .. } | Self::Stray { .. } => return None,
        };
        Some(hint.into())
    }
}
