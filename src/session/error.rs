//! Why a session cannot do what was asked.

use crate::api::{ApiError, EndpointError, ProxyError, SecretError};
use crate::domain::run_choice::EndedBy;
use crate::domain::schedule::StopSignal;
use crate::input::InputError;
use crate::loading::LoadError;
use crate::queue::{Identity, QueueError};
use crate::rate_limiter::LedgerError;
use crate::runner::RunError;
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
    /// The runner broke.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The slots can't be used.
    #[error("{0}\nhint: {hint}", hint = .0.hint())]
    Ledger(#[from] LedgerError),
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

impl SessionError {
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
}

impl From<InputError> for SessionError {
    fn from(error: InputError) -> Self {
        Self::Load(error.into())
    }
}
