//! The environment.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::api::{Endpoint, EndpointError, PROXY_VARIABLES, Proxies, ProxyError};
use crate::domain::account::{UserId, UserIdError};
use crate::domain::job::{App, EndpointChoice};

/// What the environment says, read once. An empty variable counts as unset.
#[derive(Debug, Default)]
pub struct Env {
    /// `IMBULK_SDKAPPID`
    pub sdkappid: Option<NonZeroU64>,
    /// `IMBULK_IDENTIFIER`
    pub identifier: Option<UserId>,
    /// `IMBULK_ENDPOINT`
    pub endpoint: Option<String>,
    /// `IMBULK_QUEUE`
    pub queue: Option<PathBuf>,
    /// `TZ`, as it stands there.
    pub time_zone: Option<OsString>,
    secret_key: Option<SecretString>,
    usersig: Option<SecretString>,
    /// The proxy variables that are set.
    proxies: Vec<(&'static str, SecretString)>,
    no_proxy: Option<String>,
}

/// What calls are signed with.
#[derive(Debug)]
pub enum Credential {
    /// The secret key of the app: UserSigs are made and renewed from it.
    SecretKey(SecretString),
    /// A UserSig made elsewhere; it can't be renewed.
    UserSig(SecretString),
}

/// A variable that can't be used. Never says its value: it may be a secret that was meant for another variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Bytes that are no text.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// No number of an app.
    #[error("IMBULK_SDKAPPID is no app's number\nhint: the console shows it, for example 1400000001")]
    SdkAppId,
    /// No id of an account.
    #[error("IMBULK_IDENTIFIER {0}")]
    Identifier(UserIdError),
    /// No endpoint.
    #[error("IMBULK_ENDPOINT {0}\nhint: {hint}", hint = .0.hint())]
    Endpoint(EndpointError),
    /// No time zone.
    #[error(
        "TZ names no time zone that this machine knows: {0:?}\nhint: write it like TZ=Asia/Shanghai (`ls \
         /usr/share/zoneinfo` lists them), or unset it for the zone of the machine"
    )]
    TimeZone(OsString),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Two secrets, and no telling which one is meant.
    #[error("IMBULK_SECRET_KEY and IMBULK_USERSIG are both set\nhint: unset one; the key can renew, a UserSig cannot")]
    TwoSecrets,
}

impl Env {
    /// Reads the environment of the process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn read() -> Result<Self, EnvError> {
        Self::from_lookup(std::env::var_os)
    }

    /// Reads the variables from `lookup`.
    pub fn from_lookup(lookup: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, EnvError> {
        let text = |name| match lookup(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(EnvError::NotText(name)),
        };
        let secret = |name| text(name).map(|secret| secret.map(SecretString::from));
        let proxy = |name| secret(name).map(|value| value.map(|value| (name, value)));
        let proxies = PROXY_VARIABLES.into_iter().filter_map(|name| proxy(name).transpose());
        Ok(Self {
            sdkappid: text("IMBULK_SDKAPPID")?.as_deref().map(sdkappid).transpose()?,
            identifier: text("IMBULK_IDENTIFIER")?
                .map(|id| UserId::new(&id).map_err(EnvError::Identifier))
                .transpose()?,
            endpoint: text("IMBULK_ENDPOINT")?.map(endpoint).transpose()?,
            queue: lookup("IMBULK_QUEUE").filter(|path| !path.is_empty()).map(PathBuf::from),
            secret_key: secret("IMBULK_SECRET_KEY")?,
            usersig: secret("IMBULK_USERSIG")?,
            time_zone: lookup("TZ"),
            proxies: proxies.collect::<Result<_, _>>()?,
            no_proxy: text("NO_PROXY")?.map_or_else(|| text("no_proxy"), |list| Ok(Some(list)))?,
        })
    }

    /// What to sign with, if the environment has it. Two secrets are an error rather than a guess: they may well
    /// belong to two apps.
    pub fn credential(&self) -> Result<Option<Credential>, EnvError> {
        match (&self.secret_key, &self.usersig) {
            (Some(key), None) => Ok(Some(Credential::SecretKey(key.clone()))),
            (None, Some(usersig)) => Ok(Some(Credential::UserSig(usersig.clone()))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(EnvError::TwoSecrets),
        }
    }

    /// The proxies that the environment names.
    pub fn proxies(&self) -> Result<Proxies, EnvError> {
        Ok(Proxies::parse(&self.proxies, self.no_proxy.as_deref().unwrap_or_default())?)
    }

    /// The secret key, if the environment has one: what the sandbox checks signatures with.
    pub fn secret_key(&self) -> Option<SecretString> {
        self.secret_key.clone()
    }

    /// `app` where the environment is silent; its words win where it is not.
    pub fn over(&self, app: App) -> App {
        App {
            sdkappid: self.sdkappid.or(app.sdkappid),
            identifier: self.identifier.as_ref().map(ToString::to_string).or(app.identifier),
            endpoint: self.endpoint.clone().map(EndpointChoice::Url).or(app.endpoint),
        }
    }
}

fn sdkappid(text: &str) -> Result<NonZeroU64, EnvError> {
    text.parse().map_err(|_| EnvError::SdkAppId)
}

fn endpoint(text: String) -> Result<String, EnvError> {
    text.parse::<Endpoint>().map(|_| text).map_err(EnvError::Endpoint)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn env(vars: &[(&str, &str)]) -> Result<Env, EnvError> {
        Env::from_lookup(|name| {
            let (_, value) = vars.iter().find(|(var, _)| *var == name)?;
            Some(OsString::from(value))
        })
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let names = [
            "IMBULK_SDKAPPID",
            "IMBULK_IDENTIFIER",
            "IMBULK_ENDPOINT",
            "IMBULK_QUEUE",
            "IMBULK_SECRET_KEY",
            "IMBULK_USERSIG",
        ];
        let env = env(&names.map(|name| (name, ""))).expect("nothing is wrong");
        assert_eq!((env.sdkappid, &env.identifier, &env.endpoint, &env.queue), (None, &None, &None, &None));
        assert!(env.credential().expect("nothing is wrong").is_none());
    }

    #[test]
    fn the_environment_wins_over_the_job_file_and_only_where_it_speaks() {
        let app = App {
            sdkappid: NonZeroU64::new(1),
            identifier: Some("file".to_owned()),
            endpoint: Some(EndpointChoice::Region("seoul".to_owned())),
        };
        let env = env(&[("IMBULK_SDKAPPID", "7"), ("IMBULK_ENDPOINT", "http://127.0.0.1:9")]).expect("good");
        let app = env.over(app);
        assert_eq!(app.sdkappid, NonZeroU64::new(7));
        assert_eq!(app.identifier.as_deref(), Some("file"));
        assert_eq!(app.endpoint, Some(EndpointChoice::Url("http://127.0.0.1:9".to_owned())));
    }

    #[test]
    fn wrong_values_name_their_variable() {
        for (name, value) in
            [("IMBULK_SDKAPPID", "zero"), ("IMBULK_SDKAPPID", "marked+key"), ("IMBULK_IDENTIFIER", "a\tb")]
        {
            let message = env(&[(name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(name) && !message.contains(value), "{message}");
        }
    }

    #[test]
    fn one_secret_is_taken_and_two_are_refused() {
        let key = env(&[("IMBULK_SECRET_KEY", "k\n")]).expect("good").credential();
        assert!(matches!(key, Ok(Some(Credential::SecretKey(key))) if key.expose_secret() == "k"));
        let sig = env(&[("IMBULK_USERSIG", "s")]).expect("good").credential();
        assert!(matches!(sig, Ok(Some(Credential::UserSig(sig))) if sig.expose_secret() == "s"));
        let both = env(&[("IMBULK_SECRET_KEY", "k"), ("IMBULK_USERSIG", "s")]).expect("good");
        assert_eq!(both.credential().err(), Some(EnvError::TwoSecrets));
    }

    #[test]
    fn debug_output_keeps_the_secrets() {
        let env = env(&[("IMBULK_SECRET_KEY", "marked-key"), ("IMBULK_USERSIG", "marked-sig")]).expect("good");
        assert!(!format!("{env:?}").contains("marked"));
    }
}
