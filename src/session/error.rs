//! Why a session cannot do what was asked.

use std::borrow::Cow;

use imbulk_sandbox::NotLoopback;

use crate::api::{ApiError, EndpointError, ProxyError, SecretError};
use crate::domain::exit::{Exit, exit_of_early_end};
use crate::domain::hint::{Hint, Message};
use crate::domain::run_choice::EndedBy;
use crate::domain::schedule::{StopReason, StopSignal};
use crate::input::InputError;
use crate::loading::LoadError;
use crate::queue::{Identity, QueueError};
use crate::rate_limiter::{LedgerError, NoPermit};
use crate::report::stop_message::stop_message;
use crate::report::{error_line, error_text};
use crate::runner::RunnerError;
use crate::settings::{EnvError, JobFileError, ProtectedFileError};

/// Why a session cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A job file is wrong.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The environment is wrong.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The protected list is wrong.
    #[error(transparent)]
    Protected(#[from] ProtectedFileError),
    /// The endpoint is not valid.
    #[error("the endpoint {0}")]
    Endpoint(#[from] EndpointError),
    /// No call can go through the proxy that the environment names.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The key or the signature is not valid.
    #[error("{variable} {source}")]
    Secret {
        /// The variable of the environment that holds it.
        variable: String,
        /// What is wrong with it.
        source: SecretError,
    },
    /// No client can be made.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What was asked can't be done so.
    #[error(transparent)]
    Usage(Message),
    /// A person or a guard ended a run, and the input is another one since.
    #[error(
        "{job}: nothing is sent: {by} ended run {run} early, and since then the input or the job changed, or the input \
         cannot be read"
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
    #[error("nothing is sent: this is not plan {asked}: {what}")]
    OtherPlan {
        /// The id on the command line.
        asked: String,
        /// What is different.
        what: String,
    },
    /// The rest of the plan that a person confirmed is not what would be sent.
    #[error("nothing is sent: the plan that was confirmed has changed: {what}")]
    ChangedSinceConfirmed {
        /// What is different.
        what: String,
    },
    /// `guard.hold` has not passed.
    #[error("{job}: nothing is sent: guard.hold: the run was planned at {planned} and may be sent from {from} on")]
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
        "{job}: nothing is sent: run {run} is unfinished, and the job's operation, options, columns, encoding, \
         delimiter or unusual_ids changed since"
    )]
    Redefined {
        /// The job.
        job: String,
        /// The run.
        run: String,
    },
    /// The app does not allow what `imbulk doctor JOB --conformance` needs.
    #[error(transparent)]
    NotMeasured(Message),
    /// A guard refuses: which one, and why.
    #[error(transparent)]
    Guard(Message),
    /// One or more guards refuse.
    #[error("{}", lines(.0))]
    Refused(Vec<SessionError>),
    /// The input can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The runner broke.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The slots can't be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A signal came while nothing was under way.
    #[error("interrupted by the signal {}", .0.name())]
    Interrupted(StopSignal),
    /// A signal came while a command was carried out that sends nothing.
    #[error("interrupted by the signal {}", .0.name())]
    Cancelled(StopSignal),
    /// Something can't be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Hint for SessionError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::JobFile(error) => return error.hint(),
            Self::Env(error) => return error.hint(),
            Self::Protected(error) => return error.hint(),
            Self::Endpoint(error) => return error.hint(),
            Self::Proxy(error) => return error.hint(),
            Self::Usage(message) | Self::Guard(message) | Self::NotMeasured(message) => return message.hint(),
            Self::NeedsDecision { run, .. } => {
                let hint = format!(
                    "`imbulk status {run}` shows it; --resume finishes it, --again gives it up and sends the \
                     current input"
                );
                return Some(hint.into());
            }
            Self::OtherPlan { .. } | Self::ChangedSinceConfirmed { .. } => {
                "`imbulk plan` shows what would be sent, and its id"
            }
            Self::Hold { .. } => "run it again then; the input must not change",
            Self::Redefined { .. } => {
                "change the job back, or --resume finishes the run as it was loaded, or --again gives it up and sends \
                 the current input"
            }
            Self::Load(error) => return error.hint(),
            Self::Queue(error) => return error.hint(),
            Self::Runner(error) => return error.hint(),
            Self::Ledger(error) => return error.hint(),
            Self::Interrupted(_) => "the next `imbulk run` of the job, without --again, continues",
            Self::Cancelled(_) => "run the command again",
            Self::Io { source, .. } => {
                let refused = source.get_ref().and_then(|error| error.downcast_ref::<NotLoopback>());
                return refused.map(|error| error.hint().into());
            }
            Self::Refused(_) | Self::Secret { .. } | Self::Api(_) => return None,
        };
        Some(hint.into())
    }
}

/// The errors, each on lines of its own.
fn lines(errors: &[SessionError]) -> String {
    errors.iter().map(Hint::with_hint).collect::<Vec<_>>().join("\n")
}

impl From<NoPermit> for SessionError {
    fn from(no_permit: NoPermit) -> Self {
        match no_permit {
            NoPermit::Ledger(error) => error.into(),
            NoPermit::DayUsedUp(day) => Self::Usage(stop_message(&StopReason::CallsPerDay(day), &[])),
        }
    }
}

impl SessionError {
    /// What was asked is not possible.
    pub(crate) fn usage(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage(Message::new(text).add_hint(hint))
    }

    /// The exit code.
    pub const fn exit(&self) -> Exit {
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
                | QueueError::NotAQueue(_)
                | QueueError::NotUtf8(_)
                | QueueError::HalfWritten(_)
                | QueueError::Network(_)
                | QueueError::Linked(_),
            ) => Exit::Unusable,
            Self::Guard(_)
            | Self::NotMeasured(_)
            | Self::Refused(_)
            | Self::NeedsDecision { .. }
            | Self::Redefined { .. }
            | Self::OtherPlan { .. }
            | Self::ChangedSinceConfirmed { .. }
            | Self::Hold { .. } => Exit::Halted,
            Self::Queue(QueueError::InUse { .. }) => Exit::InUse,
            Self::Interrupted(_) | Self::Cancelled(_) | Self::Runner(RunnerError::Busy { signal: Some(_), .. }) => {
                Exit::Stopped
            }
            // The queue has these two as the end of the run, so its state and the exit code must agree.
            Self::Runner(RunnerError::Backup(_)) => exit_of_early_end(EndedBy::BackupFailed),
            Self::Runner(RunnerError::LedgerLost { .. }) => exit_of_early_end(EndedBy::LedgerLost),
            Self::Api(_)
            | Self::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
            | Self::Queue(
                QueueError::Locked(_)
                | QueueError::Lost { .. }
                | QueueError::Unusable { .. }
                | QueueError::Store { .. }
                | QueueError::Migration { .. }
                | QueueError::Earlier(_)
                | QueueError::UnknownOperation { .. }
                | QueueError::OldLibrary(_)
                | QueueError::Damaged(_)
                | QueueError::Unexpected(_)
                | QueueError::Sums { .. },
            )
            | Self::Runner(
                RunnerError::Queue(_)
                | RunnerError::Lost { .. }
                | RunnerError::Busy { signal: None, .. }
                | RunnerError::Ledger(_),
            )
            | Self::Ledger(_)
            | Self::Io { .. } => Exit::Internal,
        }
    }

    /// The error without anything that the input or the protected list contains, so that no account is in it.
    pub fn without_content(&self) -> String {
        match self {
            Self::Refused(errors) => errors.iter().map(Self::without_content).collect::<Vec<_>>().join("\n"),
            // Sample rows follow on lines of their own.
            Self::Guard(message) => message.text.lines().next().unwrap_or_default().to_owned(),
            Self::Load(LoadError::Input(_)) => "the input is refused: the error on the machine says where".to_owned(),
            Self::Protected(_) => "the protected list is refused: the error on the machine says where".to_owned(),
            Self::JobFile(_)
            | Self::Env(_)
            | Self::Endpoint(_)
            | Self::Proxy(_)
            | Self::Secret { .. }
            | Self::Api(_)
            | Self::Usage(_)
            | Self::NeedsDecision { .. }
            | Self::OtherPlan { .. }
            | Self::ChangedSinceConfirmed { .. }
            | Self::Hold { .. }
            | Self::Redefined { .. }
            | Self::NotMeasured(_)
            | Self::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
            | Self::Queue(_)
            | Self::Runner(_)
            | Self::Ledger(_)
            | Self::Interrupted(_)
            | Self::Cancelled(_)
            | Self::Io { .. } => self.to_string(),
        }
    }

    /// Whether only one job of the command is refused: by its guards, its input, or its unfinished run.
    pub(super) const fn concerns_one_job(&self) -> bool {
        match self {
            Self::Guard(_)
            | Self::Refused(_)
            | Self::NeedsDecision { .. }
            | Self::Redefined { .. }
            | Self::Hold { .. }
            | Self::Load(LoadError::Input(_)) => true,
            Self::JobFile(_)
            | Self::Env(_)
            | Self::Protected(_)
            | Self::Endpoint(_)
            | Self::Proxy(_)
            | Self::Secret { .. }
            | Self::Api(_)
            | Self::Usage(_)
            | Self::NotMeasured(_)
            | Self::OtherPlan { .. }
            | Self::ChangedSinceConfirmed { .. }
            | Self::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
            | Self::Queue(_)
            | Self::Runner(_)
            | Self::Ledger(_)
            | Self::Interrupted(_)
            | Self::Cancelled(_)
            | Self::Io { .. } => false,
        }
    }

    /// The messages for people: one for each refusal.
    pub fn messages(&self) -> Vec<String> {
        match self {
            Self::Refused(errors) => errors.iter().flat_map(Self::messages).collect(),
            // Names of files and columns are the user's own and must not act on the terminal, line feeds included.
            Self::Load(LoadError::Input(error)) => vec![error_line(error)],
            Self::JobFile(_)
            | Self::Env(_)
            | Self::Protected(_)
            | Self::Endpoint(_)
            | Self::Proxy(_)
            | Self::Secret { .. }
            | Self::Api(_)
            | Self::Usage(_)
            | Self::NeedsDecision { .. }
            | Self::OtherPlan { .. }
            | Self::ChangedSinceConfirmed { .. }
            | Self::Hold { .. }
            | Self::Redefined { .. }
            | Self::NotMeasured(_)
            | Self::Guard(_)
            | Self::Load(LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_))
            | Self::Queue(_)
            | Self::Runner(_)
            | Self::Ledger(_)
            | Self::Interrupted(_)
            | Self::Cancelled(_)
            | Self::Io { .. } => vec![error_text(self)],
        }
    }

    /// The loss of the queue in place of an error that it may have led to.
    pub(super) fn or_loss(self, identity: &mut Identity) -> Self {
        match self {
            Self::Runner(RunnerError::Lost { .. }) => self,
            other => identity.check().err().map_or(other, Self::Queue),
        }
    }

    /// For `map_err`: says what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: says which variable holds the secret.
    pub(super) fn secret(variable: &str) -> impl FnOnce(SecretError) -> Self {
        move |source| Self::Secret { variable: variable.to_owned(), source }
    }
}

impl From<InputError> for SessionError {
    fn from(error: InputError) -> Self {
        Self::Load(error.into())
    }
}
