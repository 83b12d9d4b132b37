//! What can go wrong with a queue, without the types of a storage engine.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;

/// What a storage engine reports.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process owns it.
    #[error("{}: another process owns the queue: {}", queue.display(),
            pid.map_or("its pid is unknown".to_owned(), |pid| format!("pid {pid}")))]
    InUse {
        /// The queue.
        queue: PathBuf,
        /// The owner, if proc(5) shows it.
        pid: Option<u32>,
    },
    /// Another program has locked it.
    #[error("{}: another program holds a lock of the queue, and did not release it in time", .0.display())]
    Locked(PathBuf),
    /// The file has several names, and the queue does not know the one under which it was last used.
    #[error(
        "{}: the queue has several names (hard links), and this is not the one under which it was used last",
        .0.display()
    )]
    Linked(PathBuf),
    /// Its name now belongs to another file, or to none.
    #[error("{}: {loss}", path.display())]
    Lost {
        /// The queue.
        path: PathBuf,
        /// What happened to it.
        loss: Loss,
    },
    /// The file does not exist.
    #[error("{}: there is no queue", .0.display())]
    Missing(PathBuf),
    /// The file, or one beside it, cannot be used.
    #[error("{}: cannot be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is on a file system whose locks are not reliable.
    #[error("{}: the queue is on a network file system, where a crash or a second machine can damage it", .0.display())]
    Network(PathBuf),
    /// SQLite accepts only names in UTF-8.
    #[error("{}: the path of the queue is not UTF-8, which SQLite requires", .0.display())]
    NotUtf8(PathBuf),
    /// It is another kind of file.
    #[error("{}: is not a queue, or its first page is damaged", .0.display())]
    NotAQueue(PathBuf),
    /// A process was killed during the first load, and this user cannot roll back its unfinished write.
    #[error(
        "{}: a process was killed while it loaded the first run into the queue, and this user cannot remove \
         what it left",
        .0.display()
    )]
    HalfWritten(PathBuf),
    /// The store refuses a read or a write.
    #[error("{}: {failure}", path.display())]
    Store {
        /// The queue.
        path: PathBuf,
        /// Why.
        failure: StoreFailure,
    },
    /// The tables cannot be created, or another version of imbulk created them.
    #[error("{}: the tables of the queue cannot be used: {source}", path.display())]
    Migration {
        /// The queue.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// An earlier version of imbulk created the tables. Opening the queue as its owner upgrades them.
    #[error("{}: an earlier version of imbulk created the queue", .0.display())]
    Earlier(PathBuf),
    /// A later version of imbulk has loaded a run.
    #[error("run {run} has an operation that this version does not know: {what}")]
    UnknownOperation {
        /// The run's UUID.
        run: String,
        /// The operation or the option.
        what: String,
    },
    /// The SQLite library is too old.
    #[error("SQLite {0} can lose committed data; 3.51.3 or newer is required")]
    OldLibrary(String),
    /// The queue does not contain what was written to it.
    #[error("{0}")]
    Damaged(String),
    /// A change found another state than the one that it requires.
    #[error("unexpected queue state: {0}")]
    Unexpected(String),
    /// The numbers of rows by outcome disagree.
    #[error("the outcomes of run {run} do not add up: {what}")]
    Sums {
        /// The run's UUID.
        run: String,
        /// The numbers that disagree.
        what: String,
    },
}

impl QueueError {
    /// Whether the file does not contain what was written to it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Unexpected(_) | Self::Sums { .. } => true,
            Self::Store { failure, .. } => failure.kind == FailureKind::Damage,
            Self::InUse { .. }
            | Self::Missing(_)
            | Self::Unusable { .. }
            | Self::Network(_)
            | Self::NotAQueue(_)
            | Self::NotUtf8(_)
            | Self::HalfWritten(_)
            | Self::Migration { .. }
            | Self::Earlier(_)
            | Self::UnknownOperation { .. }
            | Self::Linked(_)
            | Self::Locked(_)
            | Self::Lost { .. }
            | Self::OldLibrary(_) => false,
        }
    }

    /// The file, if its disk is what failed.
    pub fn disk(&self) -> Option<&Path> {
        match self {
            Self::Store { path, failure } => (failure.kind == FailureKind::Disk).then_some(path),
            Self::Unusable { path, source } => (source.kind() == ErrorKind::StorageFull).then_some(path),
            Self::InUse { .. }
            | Self::Locked(_)
            | Self::Linked(_)
            | Self::Lost { .. }
            | Self::Missing(_)
            | Self::Network(_)
            | Self::NotUtf8(_)
            | Self::NotAQueue(_)
            | Self::HalfWritten(_)
            | Self::Migration { .. }
            | Self::Earlier(_)
            | Self::UnknownOperation { .. }
            | Self::OldLibrary(_)
            | Self::Damaged(_)
            | Self::Unexpected(_)
            | Self::Sums { .. } => None,
        }
    }
}

impl Hint for QueueError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::InUse { .. } => "`imbulk status` shows what it does",
            Self::Locked(path) => return Some(close_other_program(path).into()),
            Self::Linked(_) => "use that name, or remove the other names: `find DIRECTORY -samefile FILE` lists them",
            Self::Lost { loss, .. } => return loss.hint(),
            Self::Missing(_) => "name it with --queue or IMBULK_QUEUE, or make one with `imbulk plan JOB`",
            Self::Unusable { .. } => "the folder must be writable and its disk must have free space",
            Self::Network(_) => "name a file on a local disk with --queue",
            Self::NotUtf8(_) | Self::NotAQueue(_) => "name another file with --queue or IMBULK_QUEUE",
            Self::HalfWritten(_) => {
                "nothing of that run was sent; run this command as a user who may write to the file and its folder"
            }
            Self::Store { failure, .. } => return failure.kind.hint().map(Cow::Borrowed),
            Self::Migration { .. } => {
                "if another version of imbulk made the queue, use that version; if not, the queue is damaged: keep it, \
                 and name a new one with --queue"
            }
            Self::Earlier(_) => "`imbulk status` upgrades it",
            Self::UnknownOperation { .. } => {
                "use the version of imbulk that loaded it, or name another queue with --queue"
            }
            Self::OldLibrary(_) | Self::Damaged(_) | Self::Unexpected(_) | Self::Sums { .. } => return None,
        };
        Some(hint.into())
    }
}

fn close_other_program(queue: &Path) -> String {
    let queue = queue.display();
    format!("close that program, such as a sqlite3 shell or a backup (`fuser {queue}` names it), then run again")
}

/// Why the store refused a read or a write.
#[derive(Debug)]
pub struct StoreFailure {
    /// What it means for the queue.
    pub kind: FailureKind,
    /// What the engine reports.
    pub cause: Cause,
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// What a failure of the store means for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The disk is full or fails.
    Disk,
    /// The file cannot be opened, or cannot be written to.
    Access,
    /// The content is not what was written.
    Damage,
    /// None of these.
    Other,
}

impl FailureKind {
    const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Disk | Self::Access => {
                Some("free disk space, make the file and its folder writable, and run again: nothing is lost")
            }
            // The command names the file and says what to do.
            Self::Damage => None,
            Self::Other => Some("please report this"),
        }
    }
}

/// What happened to the file of a queue that is in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The file has no name any more.
    #[error("the queue was removed while it was in use")]
    Removed,
    /// The file has another name.
    #[error("the queue was moved away while it was in use")]
    Moved,
    /// The file has no name any more, and another file has taken its name.
    #[error("the queue was replaced by another file while it was in use")]
    Replaced,
    /// The file was overwritten in place.
    #[error("the queue was overwritten while it was in use")]
    Overwritten,
    /// A file beside the queue, which the store needs, was moved, removed or replaced.
    #[error("the file {} of the queue was moved, removed or replaced while it was in use", .0.display())]
    Companion(PathBuf),
}

impl Hint for Loss {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Moved => {
                "the outcomes are in the moved file and its -wal: move both back together, then run again; rows \
                 without an outcome there are sent again"
            }
            Self::Removed | Self::Replaced | Self::Overwritten => {
                "the outcomes are gone with the file: run the same input with a new queue; accounts and friends that \
                 are gone are then `already_done`; put back a copy only if nothing was sent since it was made"
            }
            Self::Companion(_) => {
                "the latest outcomes are in that file: put it back, then run again; without it they are gone, and \
                 their rows are sent again"
            }
        };
        Some(hint.into())
    }
}
