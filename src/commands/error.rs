//! What can go wrong in a command, and the exit code that it comes to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use miette::MietteHandlerOpts;

use super::exit::Exit;
use super::load::LoadError;
use crate::api::{ApiError, EndpointError, ProxyError, SecretError};
use crate::domain::run_choice::EndedBy;
use crate::domain::schedule::StopSignal;
use crate::input::InputError;
use crate::intake::IntakeError;
use crate::queue::{self, Identity, QueueError};
use crate::rate_limiter::LedgerError;
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
    /// No call can go through the proxy that the environment names.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
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
    /// A person or a guard ended a run, and the input is another one since.
    #[error(
        "{job}: nothing is sent: {by} ended run {run} before its end, and since then the input or the job changed, or the input \
         cannot be read\nhint: `imbulk status {run}` shows it; --resume finishes it, --again gives it up and sends the current \
         input"
    )]
    NeedsDecision {
        /// The job.
        job: String,
        /// The run.
        run: String,
        /// What ended it.
        by: EndedBy,
    },
    /// The plan that was to be sent is not what would be sent.
    #[error(
        "nothing is sent: this is not plan {asked}: {what}\nhint: `imbulk plan` shows what would be sent, and its id"
    )]
    OtherPlan {
        /// The id on the command line.
        asked: String,
        /// What is different.
        what: String,
    },
    /// `guard.hold` has not passed.
    #[error(
        "{job}: nothing is sent: guard.hold: the run was planned at {planned} and may be sent from {from} on\nhint: run it again then; the input must stay as it is"
    )]
    Hold {
        /// The job.
        job: String,
        /// When it was planned, by the local clock.
        planned: String,
        /// When the time has passed.
        from: String,
    },
    /// A job says something else than when its unfinished run was loaded.
    #[error(
        "{job}: nothing is sent: run {run} is unfinished, and the job's operation, options, columns or encoding changed \
         since\nhint: change the job back, or --resume finishes it as it was loaded, or --again gives it up and sends the \
         current input"
    )]
    Redefined {
        /// The job.
        job: String,
        /// The run.
        run: String,
    },
    /// A guard says no: which one, and why.
    #[error("{0}")]
    Guard(String),
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
            | Self::Proxy(_)
            | Self::Secret { .. }
            | Self::Usage(_)
            | Self::Load(LoadError::Input(_))
            | Self::Queue(
                QueueError::Missing(_)
                | QueueError::NoQueue(_)
                | QueueError::NotUtf8(_)
                | QueueError::HalfWritten(_)
                | QueueError::Network(_)
                | QueueError::Linked(_),
            ) => Exit::Unusable,
            Self::Guard(_)
            | Self::NeedsDecision { .. }
            | Self::Redefined { .. }
            | Self::OtherPlan { .. }
            | Self::Hold { .. } => Exit::Halted,
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
