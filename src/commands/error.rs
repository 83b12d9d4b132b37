//! What can go wrong in a command, and its exit code.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::exit::Exit;
use crate::domain::hint::Hint;
use crate::export::ExportError;
use crate::intake::IntakeError;
use crate::loading::LoadError;
use crate::log::LogFileError;
use crate::queue::{self, QueueError};
use crate::report::error_text;
use crate::restore::RestoreError;
use crate::runner::RunnerError;
use crate::session::SessionError;
use crate::settings::EnvError;
use crate::stderr::{tell, tell_error};

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A session, or the preparation of one, failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The results can't be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// No job can be written from a backup.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The content of the queue is not what imbulk wrote.
    #[error(
        "the queue {} is damaged, or another program changed it: {source}", queue.display()
    )]
    Damaged {
        /// The queue.
        queue: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The log file cannot be opened.
    #[error(transparent)]
    LogFile(#[from] LogFileError),
    /// A panic: a broken invariant of this program.
    #[error("internal error: {0}")]
    Panic(String),
}

impl Hint for Error {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Session(error) => return error.hint(),
            Self::Export(error) => return error.hint(),
            Self::LogFile(error) => return error.hint(),
            Self::Restore(error) => return error.hint(),
            Self::Damaged { .. } => {
                "nothing more is sent from it; keep it and the files beside it; name a new queue with --queue and run \
                 the same input: what was deleted before is then `already_done`; put back a copy only if nothing was \
                 sent since it was made; if the disk is healthy, please report this"
            }
            Self::Panic(_) => {
                "please report this; nothing is lost: the next `imbulk run` of the job, without --again, continues"
            }
        };
        Some(hint.into())
    }
}

impl Error {
    /// Adds to an error about damage which queue it is in.
    pub(super) fn in_queue(self, queue: &Path) -> Self {
        let is_damage = match &self {
            Self::Session(
                SessionError::Queue(error)
                | SessionError::Load(LoadError::Queue(error))
                | SessionError::Runner(RunnerError::Queue(error)),
            )
            | Self::Export(ExportError::Queue(error)) => error.is_damage(),
            Self::Export(ExportError::Missing { .. } | ExportError::Doubled { .. } | ExportError::Stray { .. }) => true,
            Self::Session(_)
            | Self::Export(_)
            | Self::Restore(_)
            | Self::Damaged { .. }
            | Self::LogFile(_)
            | Self::Panic(_) => false,
        };
        if is_damage { Self::Damaged { queue: queue.to_owned(), source: Box::new(self) } } else { self }
    }

    /// The error without anything that a file contains.
    pub(super) fn without_content(&self) -> String {
        match self {
            Self::Session(error) => error.without_content(),
            Self::Damaged { queue, .. } => format!("the queue {} is damaged", queue.display()),
            Self::Panic(_) => "internal error".to_owned(),
            Self::Export(_) | Self::Restore(_) | Self::LogFile(_) => self.to_string(),
        }
    }

    /// For `map_err`: adds what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let io = SessionError::io(what);
        move |source| Self::Session(io(source))
    }

    /// The file or folder on the disk that is full or broken, if that is the cause.
    fn disk(&self) -> Option<&Path> {
        let error = match self {
            Self::Session(error) => error,
            Self::Export(error) => return error.disk(),
            Self::Restore(error) => return error.full_disk(),
            Self::Damaged { .. } | Self::LogFile(_) | Self::Panic(_) => return None,
        };
        match error {
            SessionError::Queue(error)
            | SessionError::Runner(RunnerError::Queue(error))
            | SessionError::Load(LoadError::Queue(error)) => error.disk(),
            SessionError::Load(LoadError::Intake(IntakeError::Temp { dir, error, .. })) => {
                (error.kind() == ErrorKind::StorageFull).then_some(dir)
            }
            SessionError::Runner(RunnerError::Backup(error)) => error.full_disk(),
            SessionError::Ledger(error)
            | SessionError::Runner(RunnerError::Ledger(error) | RunnerError::LedgerLost { source: error, .. }) => {
                error.disk()
            }
            SessionError::JobFile(_)
            | SessionError::Env(_)
            | SessionError::Protected(_)
            | SessionError::Endpoint(_)
            | SessionError::Proxy(_)
            | SessionError::Secret { .. }
            | SessionError::Api(_)
            | SessionError::Usage(_)
            | SessionError::NeedsDecision { .. }
            | SessionError::OtherPlan { .. }
            | SessionError::ChangedSinceConfirmed { .. }
            | SessionError::Hold { .. }
            | SessionError::Redefined { .. }
            | SessionError::NotMeasured(_)
            | SessionError::Guard(_)
            | SessionError::Refused(_)
            | SessionError::Load(LoadError::Input(_) | LoadError::Intake(_) | LoadError::Thread(_))
            | SessionError::Runner(RunnerError::Lost { .. } | RunnerError::Busy { .. })
            | SessionError::Interrupted(_)
            | SessionError::Cancelled(_)
            | SessionError::Io { .. } => None,
        }
    }

    /// Prints the error to standard error.
    pub fn print(self) {
        let space =
            self.disk().and_then(|path| Some(format!("{} are free at {}", queue::free_bytes(path)?, path.display())));
        self.tell();
        if let Some(space) = space {
            tell(space);
        }
    }

    fn tell(self) {
        match self {
            Self::Session(error) => error.messages().into_iter().for_each(tell_error),
            Self::Export(_) | Self::Restore(_) | Self::Damaged { .. } | Self::LogFile(_) | Self::Panic(_) => {
                tell_error(error_text(&self));
            }
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Session(error) => error.exit(),
            Self::Export(ExportError::UsedFile { .. } | ExportError::OtherFiles { .. } | ExportError::Input(_))
            | Self::LogFile(_)
            | Self::Restore(RestoreError::Backup { .. } | RestoreError::Usage(_)) => Exit::Unusable,
            Self::Export(
                ExportError::Queue(_)
                | ExportError::Output(_)
                | ExportError::Temporary { .. }
                | ExportError::File { .. }
                | ExportError::NotAFile(_)
                | ExportError::Missing { .. }
                | ExportError::Doubled { .. }
                | ExportError::Stray { .. },
            )
            | Self::Restore(RestoreError::Io { .. })
            | Self::Damaged { .. }
            | Self::Panic(_) => Exit::Internal,
        }
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        Self::Session(error.into())
    }
}

impl From<EnvError> for Error {
    fn from(error: EnvError) -> Self {
        Self::Session(error.into())
    }
}
