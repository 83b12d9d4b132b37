//! The errors of a ledger.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;

/// An error of a ledger. Without a ledger nothing may be sent, because other processes may be sending to the same app.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened, read or written.
    #[error("{}: cannot {action} the file in which processes share the call limit: {source}", path.display())]
    Io {
        /// The path of the ledger.
        path: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The path refers to something else.
    #[error("{}: {what}, not the file in which processes share the call limit", path.display())]
    NotALedger {
        /// The path of the ledger.
        path: PathBuf,
        /// What the file is instead.
        what: &'static str,
    },
    /// The path refers to no file or to another one, so a process that starts now would not see the calls of this one.
    #[error("{}: the file in which processes share the call limit was {what} while in use", path.display())]
    Lost {
        /// The path of the ledger.
        path: PathBuf,
        /// What happened to the file.
        what: &'static str,
    },
    /// Another process holds the lock for longer than imbulk ever does.
    #[error("{}: another process holds the lock of the file in which processes share the call limit", path.display())]
    Locked {
        /// The path of the ledger.
        path: PathBuf,
    },
    /// All sections belong to other commands.
    #[error("{}: no space is left for the slots of {command}", path.display())]
    Full {
        /// The path of the ledger.
        path: PathBuf,
        /// The command's name.
        command: String,
    },
}

impl LedgerError {
    /// The path of the ledger if its disk is full.
    pub fn disk(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source, .. } => is_full(source).then_some(path),
            Self::NotALedger { .. } | Self::Lost { .. } | Self::Locked { .. } | Self::Full { .. } => None,
        }
    }
}

impl Hint for LedgerError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Io { source, .. } if is_full(source) => "free disk space there and run again: nothing is lost",
            Self::Io { .. } => "the user that runs imbulk must be able to read and write this file and its folder",
            Self::NotALedger { .. } => "move it away, if nothing else needs it; imbulk makes a new one",
            Self::Lost { .. } => "run again, once no other imbulk sends to this app",
            Self::Locked { .. } => {
                "`fuser FILE` names the processes that have the file open; end the one that is not imbulk"
            }
            Self::Full { .. } => "delete the file while no imbulk is running; a new one is made",
        };
        Some(hint.into())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

pub(super) fn io_error(path: &Path, action: &'static str, source: io::Error) -> LedgerError {
    LedgerError::Io { path: path.to_owned(), action, source }
}
