//! What is wrong with a ledger.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;

/// What is wrong with a ledger. Without it nothing can be sent: others could be sending to the same app.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It can't be opened, read or written.
    #[error("{}: cannot {action} the file in which processes share the call limit: {source}", path.display())]
    Io {
        /// The ledger's.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The path refers to something else.
    #[error("{}: {what}, not the file in which processes share the call limit", path.display())]
    NotALedger {
        /// The ledger's.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Its name refers to no file any more, or for another one: a process that starts now would not see our calls.
    #[error("{}: the file in which processes share the call limit was {what} while in use", path.display())]
    Lost {
        /// The ledger's.
        path: PathBuf,
        /// What became of it.
        what: &'static str,
    },
    /// Another process holds its lock for longer than any imbulk does.
    #[error("{}: another process holds the lock of the file in which processes share the call limit", path.display())]
    Locked {
        /// The ledger's.
        path: PathBuf,
    },
    /// It has no section for the command and can take none.
    #[error("{}: no space is left for the slots of {command}", path.display())]
    Full {
        /// The ledger's.
        path: PathBuf,
        /// The command's name.
        command: String,
    },
}

impl LedgerError {
    /// The ledger, where its disk is what failed.
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
