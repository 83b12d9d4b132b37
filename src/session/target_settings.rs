//! The target of a job as the job file and the environment set it. `plan` shows it also where values are missing.

use std::num::NonZeroU64;
use std::path::PathBuf;

use super::error::SessionError;
use super::identity;
use crate::api::{Endpoint, Proxy, Region};
use crate::domain::hint::Message;
use crate::domain::job::{App, EndpointChoice, Job};
use crate::domain::target::RunTarget;
use crate::rate_limiter::shared_directory;
use crate::report::plan::{Setting, TargetView};
use crate::settings::Env;

/// The app and endpoint that a job sends to, or the sandbox.
#[derive(Debug, Clone)]
pub(super) struct TargetSettings {
    name: RunTarget,
    sdkappid: Option<NonZeroU64>,
    identifier: Option<String>,
    server: Option<(Endpoint, Option<Region>)>,
    proxy: Option<Proxy>,
    /// The job file: the origin of every value that the environment does not set.
    file: PathBuf,
    /// The values that environment variables set.
    variables: Variables,
}

/// Whether an environment variable sets a value.
#[derive(Debug, Clone, Default)]
struct Variables {
    sdkappid: bool,
    identifier: bool,
    endpoint: bool,
    credentials: Option<String>,
}

impl TargetSettings {
    /// The target of `run --execute`. A job that names neither an app nor an endpoint is sent to the sandbox.
    pub(super) fn of(job: &Job, env: &Env) -> Result<Self, SessionError> {
        let app = &job.app;
        let server = server_of(app)?;
        let name = target_name(app);
        if name == RunTarget::Sandbox {
            return Ok(Self::sandbox(job));
        }
        let credentials = env.credential(app.sdkappid)?.map(|credential| credential.variable);
        if credentials.is_some() {
            identity::credentials(env, app.sdkappid)?;
        }
        let variables = Variables {
            sdkappid: env.sdkappid.is_some(),
            identifier: env.identifier.is_some(),
            endpoint: env.endpoint.is_some(),
            credentials,
        };
        let proxy = match &server {
            Some((endpoint, _)) => env.proxies()?.towards(endpoint)?,
            None => None,
        };
        let (sdkappid, identifier) = (app.sdkappid, app.identifier.clone());
        Ok(Self { name, sdkappid, identifier, server, proxy, file: job.file.clone(), variables })
    }

    /// The sandbox. It serves the app that the job names, or a fixed one.
    pub(super) fn sandbox(job: &Job) -> Self {
        let identifier = job.app.identifier.clone().unwrap_or_else(|| SANDBOX_ADMIN.to_owned());
        Self {
            name: RunTarget::Sandbox,
            sdkappid: Some(job.app.sdkappid.unwrap_or(SANDBOX_APP)),
            identifier: Some(identifier),
            server: None,
            proxy: None,
            file: job.file.clone(),
            variables: Variables::default(),
        }
    }

    /// Whether deleted data is lost.
    pub(super) fn is_real(&self) -> bool {
        self.name.is_real()
    }

    /// The target's name in the queue.
    pub(super) fn name(&self) -> RunTarget {
        self.name
    }

    /// The admin account that signs the calls.
    pub(super) fn admin(&self) -> Option<&str> {
        self.identifier.as_deref()
    }

    /// Scheme, host and port; none for the sandbox.
    pub(super) fn endpoint(&self) -> Option<String> {
        self.server.as_ref().map(|(endpoint, _)| endpoint.to_string())
    }

    /// The file in which processes share the limits of the app; none for the sandbox, and where values are missing.
    pub(super) fn ledger(&self) -> Option<PathBuf> {
        let (endpoint, _) = self.server.as_ref()?;
        self.sdkappid.map(|sdkappid| ledger_of(endpoint, sdkappid))
    }

    /// The values that `plan` shows, each with its origin.
    pub(super) fn view(&self) -> TargetView {
        let from = |set: bool, variable: &str| {
            if set { variable.to_owned() } else { self.file.display().to_string() }
        };
        let setting = |value: String, source: String| Setting { value, source };
        let Variables { sdkappid, identifier, endpoint, credentials } = self.variables.clone();
        let server = self.server.as_ref();
        let region = server.and_then(|(_, region)| *region).map(|region| region.name().to_owned());
        let credentials = credentials.map(|variable| setting("set".to_owned(), variable));
        if self.name == RunTarget::Sandbox {
            return TargetView { name: self.name, ..TargetView::default() };
        }
        TargetView {
            name: self.name,
            sdkappid: self.sdkappid.map(|id| setting(id.to_string(), from(sdkappid, "IMBULK_SDKAPPID"))),
            endpoint: server.map(|(url, _)| setting(url.to_string(), from(endpoint, "IMBULK_ENDPOINT"))),
            region,
            admin: self.identifier.clone().map(|admin| setting(admin, from(identifier, "IMBULK_IDENTIFIER"))),
            credentials,
            proxy: self.proxy.as_ref().map(ToString::to_string),
        }
    }

    /// The values that `run --execute` needs and that are not set.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        if self.name == RunTarget::Sandbox {
            return Vec::new();
        }
        let parts = [
            (self.sdkappid.is_none(), "[app] has no `sdkappid`, and IMBULK_SDKAPPID is not set"),
            (self.identifier.is_none(), "[app] has no `identifier`, and IMBULK_IDENTIFIER is not set"),
            (self.server.is_none(), "[app] has neither `region` nor `endpoint`, and IMBULK_ENDPOINT is not set"),
            (
                self.variables.credentials.is_none(),
                "no credentials: set IMBULK_SECRET_KEY, IMBULK_SECRET_KEY_FILE or IMBULK_USERSIG",
            ),
        ];
        parts.into_iter().filter_map(|(missing, what)| missing.then_some(what)).collect()
    }
}

/// The file in which processes that send to an app share its limits.
pub(super) fn ledger_of(endpoint: &Endpoint, sdkappid: NonZeroU64) -> PathBuf {
    shared_directory().join(format!("imbulk-{}.slots", endpoint.ledger_name(sdkappid)))
}

/// The endpoint of an app, and its region if the job names one.
pub(super) fn server_of(app: &App) -> Result<Option<(Endpoint, Option<Region>)>, SessionError> {
    Ok(match &app.endpoint {
        Some(EndpointChoice::Region(name)) => {
            let region = region(name)?;
            Some((region.into(), Some(region)))
        }
        Some(EndpointChoice::Url(url)) => Some((url.parse()?, None)),
        None => None,
    })
}

/// The target's name in the queue, also where its address cannot be used for another reason.
pub(super) fn target_name(app: &App) -> RunTarget {
    let server = server_of(app).unwrap_or_default();
    RunTarget::of(app.sdkappid, server.map(|(endpoint, _)| endpoint.is_loopback()))
}

/// The app of the sandbox if the job names none.
pub(super) const SANDBOX_APP: NonZeroU64 = NonZeroU64::new(1_400_000_001).unwrap();

/// The admin account of the sandbox if the job names none.
pub(super) const SANDBOX_ADMIN: &str = "administrator";

fn region(name: &str) -> Result<Region, SessionError> {
    name.parse().map_err(|error| SessionError::Usage(Message::new(format!("{error}"))))
}
