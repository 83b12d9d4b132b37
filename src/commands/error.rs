//! What can go wrong in a command, and its exit code.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use miette::MietteHandlerOpts;

use crate::domain::exit::Exit;
use crate::export::ExportError;
use crate::intake::IntakeError;
use crate::loading::LoadError;
use crate::queue::{self, QueueError};
use crate::report::visible;
use crate::runner::RunError;
use crate::session::SessionError;
use crate::settings::EnvError;
use crate::stderr::tell;

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A session, or the preparation of one, failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The results can't be exported.
    #[error("{0}{hint}", hint = .0.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Export(#[from] ExportError),
    /// What is in the queue is not what was written to it.
    #[error(
        "the queue {} is damaged, or was changed by other hands: {source}\nhint: nothing more is sent from it. Keep a copy of \
         it and of the files beside it; put back a good copy, or name a new queue with --queue and run the same input: what \
         was deleted before is then `already_done`. If the disk is sound, please report this", queue.display()
    )]
    Damaged {
        /// The queue.
        queue: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
}

impl Error {
    /// Says of damage which file it is in.
    pub(super) fn in_queue(self, queue: &Path) -> Self {
        let is_damage = match &self {
            Self::Session(
                SessionError::Queue(error)
                | SessionError::Load(LoadError::Queue(error))
                | SessionError::Run(RunError::Queue(error)),
            )
            | Self::Export(ExportError::Queue(error)) => error.is_damage(),
            Self::Export(ExportError::Missing { .. } | ExportError::Doubled { .. } | ExportError::Stray { .. }) => true,
            Self::Session(_) | Self::Export(_) | Self::Damaged { .. } => false,
        };
        if is_damage { Self::Damaged { queue: queue.to_owned(), source: Box::new(self) } } else { self }
    }

    /// For `map_err`: says what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let io = SessionError::io(what);
        move |source| Self::Session(io(source))
    }

    /// What stands on the disk that is full or broken, if that is what went wrong.
    fn disk(&self) -> Option<&Path> {
        let error = match self {
            Self::Session(error) => error,
            Self::Export(error) => return error.disk(),
            Self::Damaged { .. } => return None,
        };
        match error {
            SessionError::Queue(error)
            | SessionError::Run(RunError::Queue(error))
            | SessionError::Load(LoadError::Queue(error)) => error.disk(),
            SessionError::Load(LoadError::Intake(IntakeError::Temp { dir, error, .. })) => {
                (error.kind() == ErrorKind::StorageFull).then_some(dir)
            }
            SessionError::Ledger(error)
            | SessionError::Run(RunError::Ledger(error) | RunError::LedgerLost { source: error, .. }) => error.disk(),
            _nothing_was_written => None,
        }
    }

    /// Tells the user, on stderr.
    pub fn print(self) {
        let room =
            self.disk().and_then(|path| Some(format!("{} are free at {}", queue::free_bytes(path)?, path.display())));
        self.tell();
        if let Some(room) = room {
            tell(room);
        }
    }

    fn tell(self) {
        match self {
            // A wrong job file is shown with its line and a caret.
            Self::Session(SessionError::JobFile(error)) => {
                // Where a handler is set already, it is this one.
                let _set = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
                tell(format!("{:?}", miette::Report::new(error)));
            }
            Self::Session(SessionError::Load(LoadError::Input(error))) => {
                // Names of columns are the file's own words, which must not steer the terminal.
                let hint = error.hint().map(|hint| format!("\nhint: {}", visible(&hint)));
                tell(format!("error: {}{}", visible(&error.to_string()), hint.unwrap_or_default()));
            }
            other => {
                let text = other.to_string();
                let lines: Vec<_> = text.split('\n').map(visible).collect();
                tell(format!("error: {}", lines.join("\n")));
            }
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Session(error) => match error {
                SessionError::JobFile(_)
                | SessionError::Env(_)
                | SessionError::Protected(_)
                | SessionError::Endpoint(_)
                | SessionError::Proxy(_)
                | SessionError::Secret { .. }
                | SessionError::Usage(_)
                | SessionError::Load(LoadError::Input(_))
                | SessionError::Queue(
                    QueueError::Missing(_)
                    | QueueError::NoQueue(_)
                    | QueueError::NotUtf8(_)
                    | QueueError::HalfWritten(_)
                    | QueueError::Network(_)
                    | QueueError::Linked(_),
                ) => Exit::Unusable,
                SessionError::Guard(_)
                | SessionError::NeedsDecision { .. }
                | SessionError::Redefined { .. }
                | SessionError::OtherPlan { .. }
                | SessionError::Hold { .. } => Exit::Halted,
                SessionError::Queue(QueueError::Held { .. }) => Exit::Held,
                SessionError::Interrupted(_) | SessionError::Run(RunError::Busy { signal: Some(_), .. }) => {
                    Exit::Stopped
                }
                SessionError::Api(_)
                | SessionError::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
                | SessionError::Queue(_)
                | SessionError::Run(_)
                | SessionError::Ledger(_)
                | SessionError::Io { .. } => Exit::Internal,
            },
            Self::Export(ExportError::UsedFile { .. }) => Exit::Unusable,
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
            | Self::Damaged { .. } => Exit::Internal,
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
