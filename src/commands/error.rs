//! What can go wrong in a command, and the exit code that it comes to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use miette::MietteHandlerOpts;

use super::exit::Exit;
use super::load::LoadError;
use crate::api::{ApiError, EndpointError, SecretError};
use crate::domain::guard::GuardTripped;
use crate::domain::schedule::StopSignal;
use crate::input::InputError;
use crate::intake::IntakeError;
use crate::limiter::LedgerError;
use crate::queue::{self, Identity, QueueError};
use crate::report::ReportError;
use crate::report::tell::tell;
use crate::report::visible;
use crate::runner::RunError;
use crate::settings::{EnvError, JobFileError, ProtectedFileError};

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A job file is wrong.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The environment is wrong.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The protected list is wrong.
    #[error(transparent)]
    Protected(#[from] ProtectedFileError),
    /// The endpoint is no endpoint.
    #[error("the endpoint {0}\nhint: {hint}", hint = .0.hint())]
    Endpoint(#[from] EndpointError),
    /// The key or the signature is none.
    #[error("{variable} {source}")]
    Secret {
        /// The variable of the environment that holds it.
        variable: &'static str,
        /// What is wrong with it.
        source: SecretError,
    },
    /// No client can be made.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What was asked can't be done so.
    #[error("{0}")]
    Usage(String),
    /// A job says something else than when its unfinished run was loaded.
    #[error(
        "the job `{job}` has an unfinished run {run}, loaded when the job file said something else about operation, \
         delete_type or input\nhint: put the job file back to finish that run, or begin a new one with --again \
         (pending rows of the old one are then never sent)"
    )]
    Redefined {
        /// The job.
        job: String,
        /// The run.
        run: String,
    },
    /// A guard says no.
    #[error("{job}: nothing is sent: {source}")]
    Guard {
        /// The job.
        job: String,
        /// Which one, and why.
        source: GuardTripped,
    },
    /// The input can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
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
    /// The runner broke.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The slots can't be used.
    #[error("{0}\nhint: {hint}", hint = .0.hint())]
    Ledger(#[from] LedgerError),
    /// Something can't be shown.
    #[error("{0}{hint}", hint = .0.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Report(#[from] ReportError),
    /// A signal came while nothing was under way.
    #[error("interrupted by {}; run again to go on", .0.name())]
    Interrupted(StopSignal),
    /// Something can't be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    /// Says of damage which file it is in.
    pub(super) fn in_queue(self, queue: &Path) -> Self {
        let read = matches!(
            &self,
            Self::Queue(error)
            | Self::Load(LoadError::Queue(error))
            | Self::Run(RunError::Queue(error))
            | Self::Report(ReportError::Queue(error)) if error.is_damage()
        );
        let counted = matches!(
            &self,
            Self::Report(ReportError::Missing { .. } | ReportError::Doubled { .. } | ReportError::Stray { .. })
        );
        if read || counted { Self::Damaged { queue: queue.to_owned(), source: Box::new(self) } } else { self }
    }

    /// The loss of the queue in place of an error that it may have led to.
    pub(super) fn or_loss(self, identity: &mut Identity) -> Self {
        match self {
            Self::Run(RunError::Lost { .. }) => self,
            other => identity.check().err().map_or(other, Self::Queue),
        }
    }

    /// For `map_err`: says what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: says which variable holds the secret.
    pub(super) fn secret(variable: &'static str) -> impl FnOnce(SecretError) -> Self {
        move |source| Self::Secret { variable, source }
    }

    /// What stands on the disk that is full or broken, if that is what went wrong.
    fn disk(&self) -> Option<&Path> {
        match self {
            Self::Queue(error) | Self::Run(RunError::Queue(error)) | Self::Load(LoadError::Queue(error)) => {
                error.disk()
            }
            Self::Load(LoadError::Intake(IntakeError::Temp { dir, error, .. })) => {
                (error.kind() == ErrorKind::StorageFull).then_some(dir)
            }
            Self::Ledger(error) | Self::Run(RunError::Ledger(error) | RunError::LedgerLost { source: error, .. }) => {
                error.disk()
            }
            Self::Report(error) => error.disk(),
            _nothing_was_written => None,
        }
    }

    /// Tells the user, on stderr.
    pub fn print(self) {
        let room = self.disk().and_then(|path| Some(format!("{} are free at {}", queue::free(path)?, path.display())));
        self.tell();
        if let Some(room) = room {
            tell(room);
        }
    }

    fn tell(self) {
        match self {
            // A wrong job file is shown with its line and a caret.
            Self::JobFile(error) => {
                // Where a handler is set already, it is this one.
                let _set = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
                tell(format!("{:?}", miette::Report::new(error)));
            }
            Self::Load(LoadError::Input(error)) => {
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
            Self::JobFile(_)
            | Self::Env(_)
            | Self::Protected(_)
            | Self::Endpoint(_)
            | Self::Secret { .. }
            | Self::Usage(_)
            | Self::Redefined { .. }
            | Self::Load(LoadError::Input(_))
            | Self::Queue(
                QueueError::Missing(_)
                | QueueError::NoQueue(_)
                | QueueError::HalfWritten(_)
                | QueueError::Network(_)
                | QueueError::Linked(_),
            ) => Exit::Unusable,
            Self::Guard { .. } => Exit::Halted,
            Self::Queue(QueueError::Held { .. }) => Exit::Held,
            Self::Interrupted(_) | Self::Run(RunError::Busy { signal: Some(_), .. }) => Exit::Stopped,
            Self::Api(_)
            | Self::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
            | Self::Queue(_)
            | Self::Damaged { .. }
            | Self::Run(_)
            | Self::Report(_)
            | Self::Ledger(_)
            | Self::Io { .. } => Exit::Internal,
        }
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Self::Load(error.into())
    }
}

impl From<IntakeError> for Error {
    fn from(error: IntakeError) -> Self {
        Self::Load(error.into())
    }
}
