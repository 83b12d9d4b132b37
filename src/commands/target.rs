//! Where a run sends, and in whose name.
//!
//! [`Address`] is what is known before anything is connected: `plan` shows it, `run` needs all of it. [`Target`] can be
//! called.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Error;
use crate::api::{Client, Credentials, EXCHANGE_TIMEOUT, Endpoint, Proxy, Region, SecretKey, Tuning, UserSig};
use crate::domain::account::UserId;
use crate::domain::job::{App, EndpointChoice, Job};
use crate::domain::rate_limit::Cap;
use crate::rate_limiter::{Limiter, Settings, User, shared_directory};
use crate::report::plan::{Setting, TargetView};
use crate::settings::{Credential, Env};
use imbulk_sandbox::{self as sandbox, Sandbox};
use secrecy::ExposeSecret;

/// The name under which runs against the sandbox stand in the queue.
pub(super) const SANDBOX: &str = "sandbox";

/// An app as the job and the environment describe it, or the sandbox.
#[derive(Debug, Clone)]
pub(super) struct Address {
    kind: Kind,
    sdkappid: Option<NonZeroU64>,
    identifier: Option<String>,
    place: Option<(Endpoint, Option<Region>)>,
    proxy: Option<Proxy>,
    /// The job file: where each value comes from that the environment does not set.
    file: PathBuf,
    /// The variables of the environment that set values.
    variables: Variables,
}

/// Which kind of server a run sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The mock server of `--sandbox`.
    Sandbox,
    /// A server on this machine.
    Loopback,
    /// An app that people use.
    Real,
}

/// Which values the environment sets.
#[derive(Debug, Clone, Copy, Default)]
struct Variables {
    sdkappid: bool,
    identifier: bool,
    endpoint: bool,
    credentials: Option<&'static str>,
}

impl Address {
    /// Where `run --execute` would send the job. A job that names neither an app nor an endpoint is one for the sandbox.
    pub(super) fn of(job: &Job, env: &Env) -> Result<Self, Error> {
        let app = &job.app;
        let place = place(app)?;
        let kind = match (&place, app.sdkappid) {
            (None, None) => return Ok(Self::sandbox(job)),
            (Some((endpoint, _)), _) if endpoint.is_loopback() => Kind::Loopback,
            (Some(_) | None, _) => Kind::Real,
        };
        let credentials = env.credential()?.map(|credential| credential.variable());
        if credentials.is_some() {
            self::credentials(env)?;
        }
        let variables = Variables {
            sdkappid: env.sdkappid.is_some(),
            identifier: env.identifier.is_some(),
            endpoint: env.endpoint.is_some(),
            credentials,
        };
        let proxy = match &place {
            Some((endpoint, _)) => env.proxies()?.towards(endpoint)?,
            None => None,
        };
        let (sdkappid, identifier) = (app.sdkappid, app.identifier.clone());
        Ok(Self { kind, sdkappid, identifier, place, proxy, file: job.file.clone(), variables })
    }

    /// The sandbox, with the app that the job names, if any.
    pub(super) fn sandbox(job: &Job) -> Self {
        let identifier = job.app.identifier.clone().unwrap_or_else(|| SANDBOX_ADMIN.to_owned());
        Self {
            kind: Kind::Sandbox,
            sdkappid: Some(job.app.sdkappid.unwrap_or(SANDBOX_APP)),
            identifier: Some(identifier),
            place: None,
            proxy: None,
            file: job.file.clone(),
            variables: Variables::default(),
        }
    }

    /// Whether what is deleted there is gone: neither the sandbox nor a server on this machine.
    pub(super) fn is_real(&self) -> bool {
        self.kind == Kind::Real
    }

    /// The name of its runs' target in the queue.
    pub(super) fn name(&self) -> String {
        match (self.kind, self.sdkappid) {
            (Kind::Sandbox, _) | (_, None) => SANDBOX.to_owned(),
            (Kind::Loopback, Some(sdkappid)) => name_of(sdkappid, true),
            (Kind::Real, Some(sdkappid)) => name_of(sdkappid, false),
        }
    }

    /// The admin account that signs the calls.
    pub(super) fn admin(&self) -> Option<&str> {
        self.identifier.as_deref()
    }

    /// Scheme, host and port, unless it is the sandbox.
    pub(super) fn endpoint(&self) -> Option<String> {
        self.place.as_ref().map(|(endpoint, _)| endpoint.to_string())
    }

    /// What the plan shows of it: each value with where it is set.
    pub(super) fn view(&self) -> TargetView {
        let from = |set: bool, variable: &str| {
            if set { variable.to_owned() } else { self.file.display().to_string() }
        };
        let setting = |value: String, source: String| Setting { value, source };
        let Variables { sdkappid, identifier, endpoint, credentials } = self.variables;
        let place = self.place.as_ref();
        let region = place.and_then(|(_, region)| *region).map(|region| region.name().to_owned());
        let credentials = credentials.map(|variable| setting("set".to_owned(), variable.to_owned()));
        if self.kind == Kind::Sandbox {
            return TargetView { name: self.name(), ..TargetView::default() };
        }
        TargetView {
            name: self.name(),
            sdkappid: self.sdkappid.map(|id| setting(id.to_string(), from(sdkappid, "IMBULK_SDKAPPID"))),
            endpoint: place.map(|(place, _)| setting(place.to_string(), from(endpoint, "IMBULK_ENDPOINT"))),
            region,
            admin: self.identifier.clone().map(|admin| setting(admin, from(identifier, "IMBULK_IDENTIFIER"))),
            credentials,
            proxy: self.proxy.as_ref().map(ToString::to_string),
        }
    }

    /// What is missing before `run --execute` could send anything.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        if self.kind == Kind::Sandbox {
            return Vec::new();
        }
        let parts = [
            (self.sdkappid.is_none(), "[app] has no `sdkappid`, and IMBULK_SDKAPPID is not set"),
            (self.identifier.is_none(), "[app] has no `identifier`, and IMBULK_IDENTIFIER is not set"),
            (self.place.is_none(), "[app] has neither `region` nor `endpoint`, and IMBULK_ENDPOINT is not set"),
            (
                self.variables.credentials.is_none(),
                "no credentials: set IMBULK_SECRET_KEY, IMBULK_SECRET_KEY_FILE or IMBULK_USERSIG",
            ),
        ];
        parts.into_iter().filter_map(|(missing, what)| missing.then_some(what)).collect()
    }
}

/// The app that all these jobs and the environment agree on.
pub(super) fn agreed_app(jobs: &[Job], env: &Env) -> Result<App, Error> {
    let mut apps = jobs.iter().map(|job| env.over(job.app.clone()));
    let app = apps.next().unwrap_or_else(|| env.over(App::default()));
    if apps.any(|other| other != app) {
        let what = "the jobs are of different apps\nhint: run each app's jobs in a command and a queue of its own";
        return Err(Error::Usage(what.to_owned()));
    }
    Ok(app)
}

/// The endpoint that an app's data names, and its region if it names one.
fn place(app: &App) -> Result<Option<(Endpoint, Option<Region>)>, Error> {
    Ok(match &app.endpoint {
        Some(EndpointChoice::Region(name)) => {
            let region = region(name)?;
            Some((region.into(), Some(region)))
        }
        Some(EndpointChoice::Url(url)) => Some((url.parse()?, None)),
        None => None,
    })
}

/// An app that can be called.
pub(super) struct Target {
    pub(super) sdkappid: NonZeroU64,
    pub(super) identifier: UserId,
    endpoint: Endpoint,
    credentials: Credentials,
    proxy: Option<Proxy>,
    ledger: PathBuf,
    /// One of the users of the ledger, where it is to vanish with the last of them.
    user: Option<User>,
    /// The stand-in, for as long as the target lives.
    sandbox: Option<(Sandbox, tempfile::TempDir)>,
}

impl Target {
    /// The app that all these jobs and the environment agree on.
    pub(super) fn of(jobs: &[Job], env: &Env) -> Result<Self, Error> {
        let app = agreed_app(jobs, env)?;
        let (sdkappid, identifier) = identity(&app).map_err(|error| named(jobs, error))?;
        let Some((endpoint, _)) = place(&app)? else {
            let what = "[app] has neither `region` nor `endpoint`\nhint: set `region` in [app], or IMBULK_ENDPOINT";
            return Err(named(jobs, Error::Usage(what.to_owned())));
        };
        let credentials = credentials(env)?;
        let ledger = shared_directory().join(format!("imbulk-{}.slots", endpoint.ledger_name(sdkappid)));
        let proxy = env.proxies()?.towards(&endpoint)?;
        let user = endpoint.is_loopback().then(|| User::join(&ledger));
        Ok(Self { sdkappid, identifier, endpoint, credentials, proxy, ledger, user, sandbox: None })
    }

    /// A stand-in of our own, with the jobs' app where they name one.
    pub(super) async fn sandbox(jobs: &[Job]) -> Result<Self, Error> {
        let app = jobs.first().map(|job| job.app.clone()).unwrap_or_default();
        let sdkappid = app.sdkappid.unwrap_or(SANDBOX_APP);
        let identifier = user_id(app.identifier.as_deref().unwrap_or(SANDBOX_ADMIN))?;
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
            proxy: None,
            ledger: folder.path().join("slots"),
            user: None,
            sandbox: Some((sandbox, folder)),
        })
    }

    /// Whether what it deletes is gone: neither the sandbox nor a server on this machine.
    pub(super) fn is_real(&self) -> bool {
        !self.endpoint.is_loopback()
    }

    /// The proxy that its calls go through.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Who makes the calls, and who says when.
    pub(super) fn connect(&self, app_cap: NonZeroU32) -> Result<(Arc<Client>, Limiter), Error> {
        let client = Client::with_tuning(
            self.endpoint.clone(),
            self.sdkappid,
            self.identifier.clone(),
            self.credentials.clone(),
            app_cap,
            &Tuning { proxy: self.proxy.clone(), ..Tuning::default() },
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

/// The admin account of a sandbox whose job names none.
const SANDBOX_ADMIN: &str = "administrator";

/// What was sent to a server on this machine, on whatever port, does not count as done for the app.
fn name_of(sdkappid: NonZeroU64, loopback: bool) -> String {
    if loopback { format!("{sdkappid} on loopback") } else { sdkappid.to_string() }
}

/// The cap as the limiter takes it.
pub(super) fn cap(calls_per_second: NonZeroU32) -> Result<Cap, Error> {
    calls_per_second.try_into().map_err(|error| Error::Usage(format!("{error}")))
}

/// The app's number and its admin account.
pub(super) fn identity(app: &App) -> Result<(NonZeroU64, UserId), Error> {
    let sdkappid = app.sdkappid.ok_or_else(|| missing("SDKAppID", "`sdkappid` in [app], or IMBULK_SDKAPPID"))?;
    let identifier = app.identifier.as_deref();
    let identifier =
        identifier.ok_or_else(|| missing("admin account", "`identifier` in [app], or IMBULK_IDENTIFIER"))?;
    Ok((sdkappid, user_id(identifier)?))
}

/// What the environment signs with.
pub(super) fn credentials(env: &Env) -> Result<Credentials, Error> {
    match env.credential()? {
        Some(Credential::SecretKey { key, variable }) => {
            let key = SecretKey::new(key.expose_secret().to_owned());
            Ok(Credentials::Key(key.map_err(Error::secret(variable))?))
        }
        Some(Credential::UserSig(usersig)) => {
            let usersig = UserSig::new(usersig.expose_secret().to_owned());
            Ok(Credentials::Signature(usersig.map_err(Error::secret("IMBULK_USERSIG"))?))
        }
        None => {
            let variables = "IMBULK_SECRET_KEY (the console shows it), IMBULK_SECRET_KEY_FILE, or IMBULK_USERSIG";
            Err(missing("credentials", variables))
        }
    }
}

fn user_id(text: &str) -> Result<UserId, Error> {
    UserId::new(text).map_err(|error| Error::Usage(format!("the admin account {text:?} {error}")))
}

fn region(name: &str) -> Result<Region, Error> {
    name.parse().map_err(|error| Error::Usage(format!("{error}")))
}

fn missing(what: &str, where_from: &str) -> Error {
    Error::Usage(format!("no {what}\nhint: set {where_from}"))
}

/// The job files, for a message about what they all lack.
fn named(jobs: &[Job], error: Error) -> Error {
    match (error, jobs.first()) {
        (Error::Usage(what), Some(job)) => Error::Usage(format!("{}: {what}", job.file.display())),
        (other, _) => other,
    }
}
