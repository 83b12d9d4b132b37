//! A target that can be called: every value is known, and the sandbox, if it is one, is running.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::apps;
use super::error::SessionError;
use super::identity::{credentials, identity, user_id};
use super::target_settings::{SANDBOX_ADMIN, SANDBOX_APP, ledger_of, server_of, target_name};
use crate::api::{CALL_TIMEOUT, Client, Credentials, Endpoint, Proxy, SecretKey, Tuning};
use crate::domain::hint::Message;
use crate::domain::job::{App, Job};
use crate::domain::operation::ItemsBefore;
use crate::domain::rate_limit::Cap;
use crate::domain::rate_limit::calls_per_day::CallsPerDay;
use crate::domain::request::account::UserId;
use crate::domain::schedule::CONNECT_AFTER_CHECK;
use crate::domain::target::RunTarget;
use crate::rate_limiter::{LedgerUser, Limiter, LimiterSettings};
use crate::settings::Env;
use imbulk_sandbox::{self as sandbox, Sandbox};

/// A target that can be called.
pub(super) struct Target {
    /// The name of the target in the queue.
    pub(super) name: RunTarget,
    pub(super) sdkappid: NonZeroU64,
    pub(super) identifier: UserId,
    endpoint: Endpoint,
    credentials: Credentials,
    proxy: Option<Proxy>,
    /// The maximum time to connect, if it is shorter than usual.
    connect_timeout: Option<Duration>,
    ledger: PathBuf,
    /// Keeps the ledger of a server on this machine until its last user is gone.
    user: Option<LedgerUser>,
    /// The running sandbox, and the folder of its ledger.
    sandbox: Option<(Sandbox, tempfile::TempDir)>,
}

/// The maximum time to connect, if it must be shorter than usual.
fn connect_timeout<'a>(mut jobs: impl Iterator<Item = &'a Job>) -> Option<Duration> {
    jobs.any(|job| job.guard.unless_online).then_some(CONNECT_AFTER_CHECK)
}

/// The accounts and friend lists of a sandbox for these jobs: nearly all are there, but for those that a job creates.
fn world(jobs: &[Job]) -> sandbox::World {
    let creates = |pairs: bool| {
        let mut operations = jobs.iter().map(|job| job.operation);
        operations.any(|one| one.items_before == ItemsBefore::Missing && one.shape.from.is_some() == pairs)
    };
    let missing = |pairs| if creates(pairs) { 1.0 - MISSING_SHARE } else { MISSING_SHARE };
    sandbox::World::open_with_missing(0, missing(false), missing(true))
}

impl Target {
    /// The apps of the jobs, in the order of their first jobs.
    pub(super) fn of(jobs: &[Job], env: &Env) -> Result<Vec<Self>, SessionError> {
        apps::agreed(jobs, env)?.iter().map(|jobs| Self::of_jobs(jobs, env)).collect()
    }

    /// The app of a job.
    pub(super) fn of_job(job: &Job, env: &Env) -> Result<Self, SessionError> {
        Self::of_jobs(&[job], env)
    }

    /// The app of these jobs, which they agree on.
    fn of_jobs(jobs: &[&Job], env: &Env) -> Result<Self, SessionError> {
        let (first, _) = jobs.split_first().unwrap_or_else(|| unreachable!("an app has at least one job"));
        let app = &first.app;
        identity(app).map_err(|error| named(first, error))?;
        if server_of(app)?.is_none() {
            return Err(named(first, no_server()));
        }
        let jobs = jobs.iter().copied();
        Ok(Self { connect_timeout: connect_timeout(jobs), ..Self::of_app(app, env)? })
    }

    /// An app.
    pub(super) fn of_app(app: &App, env: &Env) -> Result<Self, SessionError> {
        let (sdkappid, identifier) = identity(app)?;
        let (endpoint, _) = server_of(app)?.ok_or_else(no_server)?;
        let credentials = credentials(env, Some(sdkappid))?;
        let ledger = ledger_of(&endpoint, sdkappid);
        let proxy = env.proxies()?.towards(&endpoint)?;
        let user = endpoint.is_loopback().then(|| LedgerUser::join(&ledger));
        let (name, connect_timeout, sandbox) = (target_name(app), None, None);
        Ok(Self { name, sdkappid, identifier, endpoint, credentials, proxy, connect_timeout, ledger, user, sandbox })
    }

    /// Starts a sandbox, which serves all jobs as the app of the first one if it names one.
    pub(super) async fn sandbox(jobs: &[Job]) -> Result<Self, SessionError> {
        let app = jobs.first().map(|job| job.app.clone()).unwrap_or_default();
        let sdkappid = app.sdkappid.unwrap_or(SANDBOX_APP);
        let identifier = user_id(app.identifier.as_deref().unwrap_or(SANDBOX_ADMIN))?;
        let key = format!("{:032x}", rand::random::<u128>());
        let config = sandbox::Config {
            app: sandbox::App {
                sdkappid: sdkappid.get(),
                admins: vec![identifier.as_str().to_owned()],
                key: Some(key.clone().into()),
            },
            world: world(jobs),
            ..sandbox::Config::default()
        };
        let started = Sandbox::start(config, ([127, 0, 0, 1], 0).into()).await;
        let sandbox = started.map_err(SessionError::io("the sandbox cannot be started"))?;
        let folder = tempfile::tempdir().map_err(SessionError::io("the sandbox has no folder for its slots"))?;
        Ok(Self {
            name: RunTarget::Sandbox,
            sdkappid,
            identifier,
            endpoint: format!("http://{}", sandbox.addr()).parse()?,
            credentials: Credentials::Key(SecretKey::new(key).map_err(SessionError::secret("the sandbox's key"))?),
            proxy: None,
            connect_timeout: connect_timeout(jobs.iter()),
            ledger: folder.path().join("slots"),
            user: None,
            sandbox: Some((sandbox, folder)),
        })
    }

    /// Scheme, host and port.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }

    /// Whether deleted data is lost.
    pub(super) fn is_real(&self) -> bool {
        self.name.is_real()
    }

    /// What calls are signed with.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The proxy of the calls.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The client that makes the calls, and the limiter that spaces them.
    pub(super) fn connect(
        &self,
        app_cap: NonZeroU32,
        calls_per_day: Vec<CallsPerDay>,
    ) -> Result<(Arc<Client>, Limiter), SessionError> {
        let client = self.client(self.identifier.clone(), self.credentials.clone(), app_cap)?;
        let limiter = Limiter::open(&LimiterSettings {
            ledger: self.ledger.clone(),
            app_cap: cap(app_cap)?,
            calls_per_day,
            call_timeout: CALL_TIMEOUT,
        })?;
        Ok((client, limiter))
    }

    /// A client for up to `width` calls at once, in the name of an account.
    pub(super) fn client(
        &self,
        identifier: UserId,
        credentials: Credentials,
        width: NonZeroU32,
    ) -> Result<Arc<Client>, SessionError> {
        let usual = Tuning { proxy: self.proxy.clone(), ..Tuning::default() };
        let tuning = Tuning { connect_timeout: self.connect_timeout.unwrap_or(usual.connect_timeout), ..usual };
        let endpoint = self.endpoint.clone();
        Ok(Arc::new(Client::new(endpoint, self.sdkappid, identifier, credentials, width, &tuning)?))
    }

    /// Takes the user of the ledger, which has to leave at the end.
    pub(super) fn user(&mut self) -> Option<LedgerUser> {
        self.user.take()
    }

    /// What the sandbox received, if the target is one.
    pub(super) fn seen(&self) -> Option<sandbox::Report> {
        self.sandbox.as_ref().map(|(sandbox, _)| sandbox.report())
    }
}

fn no_server() -> SessionError {
    let hint = "set `region` in [app], or IMBULK_ENDPOINT";
    SessionError::usage("[app] has neither `region` nor `endpoint`", hint)
}

/// The share of accounts and friendships that are missing in the sandbox, so that a first run shows `already_done` too.
const MISSING_SHARE: f64 = 0.01;
/// The cap in the limiter's own type.
pub(super) fn cap(calls_per_second: NonZeroU32) -> Result<Cap, SessionError> {
    calls_per_second.try_into().map_err(|error| SessionError::Usage(Message::new(format!("{error}"))))
}

/// Adds the file of the first job to a message about a value that the jobs of an app lack.
fn named(first: &Job, error: SessionError) -> SessionError {
    match error {
        SessionError::Usage(Message { text, hint }) => {
            SessionError::Usage(Message { text: format!("{}: {text}", first.file.display()), hint })
        }
        other => other,
    }
}
