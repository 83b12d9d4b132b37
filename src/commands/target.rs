//! Where a run sends, and in whose name.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Error;
use crate::api::{Client, Credentials, EXCHANGE_TIMEOUT, Endpoint, Region, SecretKey, UserSig};
use crate::domain::account::UserId;
use crate::domain::job::{App, EndpointChoice, Job};
use crate::domain::limit::Cap;
use crate::limiter::{Limiter, Settings, User, shared_directory};
use crate::sandbox::{self, Sandbox};
use crate::settings::{Credential, Env};
use secrecy::ExposeSecret;

/// The name under which runs against the sandbox stand in the queue.
pub(super) const SANDBOX: &str = "sandbox";

/// An app that can be called.
pub(super) struct Target {
    pub(super) sdkappid: NonZeroU64,
    pub(super) identifier: UserId,
    endpoint: Endpoint,
    credentials: Credentials,
    ledger: PathBuf,
    /// One of the users of the ledger, where it is to vanish with the last of them.
    user: Option<User>,
    /// The stand-in, for as long as the target lives.
    sandbox: Option<(Sandbox, tempfile::TempDir)>,
}

impl Target {
    /// The app that all these jobs and the environment agree on.
    pub(super) fn of(jobs: &[Job], env: &Env) -> Result<Self, Error> {
        let mut apps = jobs.iter().map(|job| env.over(job.app.clone()));
        let app = apps.next().unwrap_or_else(|| env.over(App::default()));
        if apps.any(|other| other != app) {
            let what = "the jobs are of different apps\nhint: run each app's jobs in a command and a queue of its own";
            return Err(Error::Usage(what.to_owned()));
        }
        let (sdkappid, identifier) = identity(&app).map_err(|error| named(jobs, error))?;
        let endpoint: Endpoint = match app.endpoint {
            Some(EndpointChoice::Region(name)) => region(&name)?.into(),
            Some(EndpointChoice::Url(url)) => url.parse()?,
            None => {
                let error = missing("where the app lives", "`region` in [app], or IMBULK_ENDPOINT");
                return Err(named(jobs, error));
            }
        };
        let credentials = credentials(env)?;
        let ledger = shared_directory().join(format!("imbulk-{}.slots", endpoint.ledger_name(sdkappid)));
        let user = endpoint.is_loopback().then(|| User::join(&ledger));
        Ok(Self { sdkappid, identifier, endpoint, credentials, ledger, user, sandbox: None })
    }

    /// A stand-in of our own, with the jobs' app where they name one.
    pub(super) async fn sandbox(jobs: &[Job]) -> Result<Self, Error> {
        let app = jobs.first().map(|job| job.app.clone()).unwrap_or_default();
        let sdkappid = app.sdkappid.unwrap_or(SANDBOX_APP);
        let identifier = user_id(app.identifier.as_deref().unwrap_or("administrator"))?;
        let key = uuid::Uuid::now_v7().simple().to_string();
        let config = sandbox::Config {
            app: sandbox::App {
                sdkappid: sdkappid.get(),
                admins: vec![identifier.as_str().to_owned()],
                key: Some(key.clone().into()),
            },
            world: sandbox::World::open_with_missing(0, MISSING_SHARE, MISSING_SHARE),
            ..sandbox::Config::default()
        };
        let started = Sandbox::start(config, ([127, 0, 0, 1], 0).into()).await;
        let sandbox = started.map_err(Error::io("the sandbox can't be started"))?;
        let folder = tempfile::tempdir().map_err(Error::io("the sandbox has no folder for its slots"))?;
        Ok(Self {
            sdkappid,
            identifier,
            endpoint: format!("http://{}", sandbox.addr()).parse()?,
            credentials: Credentials::Key(SecretKey::new(key).map_err(Error::secret("the sandbox's key"))?),
            ledger: folder.path().join("slots"),
            user: None,
            sandbox: Some((sandbox, folder)),
        })
    }

    /// The name under which its runs stand in the queue.
    pub(super) fn name(&self) -> String {
        if self.sandbox.is_some() { SANDBOX.to_owned() } else { name_of(self.sdkappid, self.endpoint.is_loopback()) }
    }

    /// Who makes the calls, and who says when.
    pub(super) fn connect(&self, app_cap: NonZeroU32) -> Result<(Arc<Client>, Limiter), Error> {
        let client = Client::new(
            self.endpoint.clone(),
            self.sdkappid,
            self.identifier.clone(),
            self.credentials.clone(),
            app_cap,
        )?;
        let limiter = Limiter::open(&Settings {
            ledger: self.ledger.clone(),
            app_cap: cap(app_cap)?,
            exchange_timeout: EXCHANGE_TIMEOUT,
        })?;
        Ok((Arc::new(client), limiter))
    }

    /// The one who is to leave at the end.
    pub(super) fn user(&mut self) -> Option<User> {
        self.user.take()
    }

    /// What the stand-in saw, where there is one.
    pub(super) fn seen(&self) -> Option<sandbox::Report> {
        self.sandbox.as_ref().map(|(sandbox, _)| sandbox.report())
    }
}

/// The share of accounts and friendships that the sandbox of `--sandbox` lacks, so that a first run shows
/// `already_done`, too.
const MISSING_SHARE: f64 = 0.01;
/// The app of a sandbox whose job names none.
const SANDBOX_APP: NonZeroU64 = NonZeroU64::new(1_400_000_001).unwrap();

/// The name of a job's target before anything is connected.
pub(super) fn name(job: &Job) -> String {
    let loopback = match &job.app.endpoint {
        Some(EndpointChoice::Url(url)) => url.parse().is_ok_and(|endpoint: Endpoint| endpoint.is_loopback()),
        Some(EndpointChoice::Region(_)) | None => false,
    };
    job.app.sdkappid.map_or_else(|| SANDBOX.to_owned(), |sdkappid| name_of(sdkappid, loopback))
}

/// What was sent to a stand-in on this machine, on whatever port, does not count as done for the app.
fn name_of(sdkappid: NonZeroU64, loopback: bool) -> String {
    if loopback { format!("{sdkappid} on loopback") } else { sdkappid.to_string() }
}

/// The cap as the limiter takes it.
pub(super) fn cap(calls_per_second: NonZeroU32) -> Result<Cap, Error> {
    calls_per_second.try_into().map_err(|error| Error::Usage(format!("{error}")))
}

/// The app's number and its admin account.
pub(super) fn identity(app: &App) -> Result<(NonZeroU64, UserId), Error> {
    let sdkappid = app.sdkappid.ok_or_else(|| missing("the SDKAppID", "`sdkappid` in [app], or IMBULK_SDKAPPID"))?;
    let identifier = app.identifier.as_deref();
    let identifier =
        identifier.ok_or_else(|| missing("the admin account", "`identifier` in [app], or IMBULK_IDENTIFIER"))?;
    Ok((sdkappid, user_id(identifier)?))
}

/// What the environment signs with.
pub(super) fn credentials(env: &Env) -> Result<Credentials, Error> {
    match env.credential()? {
        Some(Credential::SecretKey(key)) => {
            let key = SecretKey::new(key.expose_secret().to_owned());
            Ok(Credentials::Key(key.map_err(Error::secret("IMBULK_SECRET_KEY"))?))
        }
        Some(Credential::UserSig(usersig)) => {
            let usersig = UserSig::new(usersig.expose_secret().to_owned());
            Ok(Credentials::Signature(usersig.map_err(Error::secret("IMBULK_USERSIG"))?))
        }
        None => Err(missing("what to sign with", "IMBULK_SECRET_KEY (the console shows it), or IMBULK_USERSIG")),
    }
}

fn user_id(text: &str) -> Result<UserId, Error> {
    UserId::new(text).map_err(|error| Error::Usage(format!("the admin account {text:?} {error}")))
}

fn region(name: &str) -> Result<Region, Error> {
    name.parse().map_err(|error| Error::Usage(format!("{error}")))
}

fn missing(what: &str, where_from: &str) -> Error {
    Error::Usage(format!("{what} is not known\nhint: set {where_from}"))
}

/// The job files, for a message about what they all lack.
fn named(jobs: &[Job], error: Error) -> Error {
    match (error, jobs.first()) {
        (Error::Usage(what), Some(job)) => Error::Usage(format!("{}: {what}", job.file.display())),
        (other, _) => other,
    }
}
