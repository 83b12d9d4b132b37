//! The environment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use secrecy::SecretString;

use crate::api::{Endpoint, EndpointError, PROXY_VARIABLES, Proxies, ProxyError};
use crate::domain::hint::Hint;
use crate::domain::job::{App, EndpointChoice};
use crate::domain::request::account::{UserId, UserIdError};

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
    /// `TZ`, unparsed.
    pub time_zone: Option<OsString>,
    /// The secret of every app that has none of its own.
    secret: Secrets,
    /// The secrets of single apps.
    secrets_of_apps: BTreeMap<NonZeroU64, Secrets>,
    /// The proxy variables that are set.
    proxies: Vec<(&'static str, SecretString)>,
    no_proxy: Option<String>,
}

/// The variables with a secret, for one app or for all.
#[derive(Debug, Default)]
struct Secrets {
    /// What follows the names of the variables: nothing, or `_` and the SDKAppID.
    suffix: String,
    key: Option<SecretString>,
    key_file: Option<PathBuf>,
    /// What the file has, once it was read: it may be a pipe.
    key_in_file: OnceLock<Result<SecretString, EnvError>>,
    usersig: Option<SecretString>,
}

/// What calls are signed with.
#[derive(Debug)]
pub struct Credential {
    /// The secret.
    pub secret: Secret,
    /// The variable that holds or names it.
    pub variable: String,
}

/// A secret of an app.
#[derive(Debug)]
pub enum Secret {
    /// The secret key of the app: UserSigs are made and renewed from it.
    Key(SecretString),
    /// A UserSig made elsewhere; it can't be renewed.
    UserSig(SecretString),
}

const KEY: &str = "IMBULK_SECRET_KEY";
const KEY_FILE: &str = "IMBULK_SECRET_KEY_FILE";
const USERSIG: &str = "IMBULK_USERSIG";
/// The variables that hold or name a secret.
const SECRET_VARIABLES: [&str; 3] = [KEY, KEY_FILE, USERSIG];
/// The most bytes of a key file: a key has 64.
const KEY_FILE_BYTES: u64 = 4096;

/// A variable that can't be used. Never says its value: it may be a secret that was meant for another variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Bytes that are no text.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// No number of an app.
    #[error("IMBULK_SDKAPPID is not an SDKAppID")]
    SdkAppId,
    /// No id of an account.
    #[error("IMBULK_IDENTIFIER {0}")]
    Identifier(UserIdError),
    /// No endpoint.
    #[error("IMBULK_ENDPOINT {0}")]
    Endpoint(EndpointError),
    /// No time zone.
    #[error("TZ names no time zone that this machine knows: {0:?}")]
    TimeZone(OsString),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Two secrets: which one is meant is not known.
    #[error("{0} and {1} are both set")]
    TwoSecrets(String, String),
    /// The file with the key cannot be used.
    #[error("{variable}: {}: {why}", file.display())]
    KeyFile {
        /// The variable that names it.
        variable: String,
        /// The file.
        file: PathBuf,
        /// Why not.
        why: KeyFileError,
    },
}

/// Why a file with a secret key cannot be used. Never says what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Other users may read or change it: its permissions.
    #[error("other users can open it (mode {0:04o})")]
    Open(u32),
    /// It is empty, too long, or not UTF-8.
    #[error("contains no key")]
    NoKey,
}

impl Hint for EnvError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NotText(_) => "unset it, or set it to UTF-8 text",
            Self::SdkAppId => "the console shows it, for example 1400000001",
            Self::Identifier(_) => "set it to the UserID of an admin account of the app, such as administrator",
            Self::Endpoint(error) => return error.hint(),
            Self::TimeZone(_) => {
                "write it like TZ=Asia/Shanghai (`ls /usr/share/zoneinfo` lists them), or unset it for the zone of the \
                 machine"
            }
            Self::Proxy(error) => return error.hint(),
            Self::TwoSecrets(..) => "unset all but one; only a key can renew UserSigs during a run",
            Self::KeyFile { file, why: KeyFileError::Open(_), .. } => {
                return Some(format!("chmod 600 {}", file.display()).into());
            }
            Self::KeyFile { why: KeyFileError::Unreadable(_), .. } => "name a file with the key and nothing else",
            Self::KeyFile { why: KeyFileError::NoKey, .. } => {
                "write the key that the console shows into it, and nothing else"
            }
        };
        Some(hint.into())
    }
}

impl Env {
    /// Reads the environment of the process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn read() -> Result<Self, EnvError> {
        Self::of_variables(std::env::vars_os())
    }

    /// The environment with these variables.
    pub fn of_variables(all: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, EnvError> {
        let all = VariableTable(
            all.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        );
        let proxy = |name| all.secret(name).map(|value| value.map(|value| (name, value)));
        let proxies = PROXY_VARIABLES.into_iter().filter_map(|name| proxy(name).transpose());
        let of_app = |app: NonZeroU64| Secrets::read(&all, format!("_{app}")).map(|secrets| (app, secrets));
        Ok(Self {
            sdkappid: all.text("IMBULK_SDKAPPID")?.as_deref().map(sdkappid).transpose()?,
            identifier: all
                .text("IMBULK_IDENTIFIER")?
                .map(|id| UserId::new(&id).map_err(EnvError::Identifier))
                .transpose()?,
            endpoint: all.text("IMBULK_ENDPOINT")?.map(endpoint).transpose()?,
            queue: all.path("IMBULK_QUEUE"),
            secret: Secrets::read(&all, String::new())?,
            secrets_of_apps: all.apps_with_secrets().into_iter().map(of_app).collect::<Result<_, _>>()?,
            time_zone: all.0.get("TZ").cloned(),
            proxies: proxies.collect::<Result<_, _>>()?,
            no_proxy: all.text("NO_PROXY")?.map_or_else(|| all.text("no_proxy"), |list| Ok(Some(list)))?,
        })
    }

    /// What to sign the calls of an app with, if the environment has it: a secret of this app, or else the one for
    /// every app. Two secrets are an error rather than a guess: they may well belong to two apps.
    pub fn credential(&self, app: Option<NonZeroU64>) -> Result<Option<Credential>, EnvError> {
        let own = app.and_then(|app| self.secrets_of_apps.get(&app));
        own.unwrap_or(&self.secret).credential()
    }

    /// The files that hold secret keys.
    pub fn secret_key_files(&self) -> impl Iterator<Item = &Path> {
        self.secrets().filter_map(|secrets| secrets.key_file.as_deref())
    }

    /// The names of the variables that hold or name a secret.
    pub fn secret_variables(&self) -> Vec<String> {
        self.secrets().flat_map(|secrets| SECRET_VARIABLES.map(|name| secrets.variable(name))).collect()
    }

    fn secrets(&self) -> impl Iterator<Item = &Secrets> {
        std::iter::once(&self.secret).chain(self.secrets_of_apps.values())
    }

    /// The proxies that the environment names.
    pub fn proxies(&self) -> Result<Proxies, EnvError> {
        Ok(Proxies::parse(&self.proxies, self.no_proxy.as_deref().unwrap_or_default())?)
    }

    /// The secret key of an app, if the environment has one: what the sandbox checks signatures with.
    pub fn secret_key(&self, app: Option<NonZeroU64>) -> Result<Option<SecretString>, EnvError> {
        Ok(match self.credential(app)?.map(|credential| credential.secret) {
            Some(Secret::Key(key)) => Some(key),
            Some(Secret::UserSig(_)) | None => None,
        })
    }

    /// The values of `app`, replaced by those that the environment sets.
    pub fn over(&self, app: App) -> App {
        App {
            sdkappid: self.sdkappid.or(app.sdkappid),
            identifier: self.identifier.as_ref().map(ToString::to_string).or(app.identifier),
            endpoint: self.endpoint.clone().map(EndpointChoice::Url).or(app.endpoint),
        }
    }
}

/// The variables of an environment. An empty one counts as unset.
struct VariableTable(BTreeMap<String, OsString>);

impl VariableTable {
    fn text(&self, name: &str) -> Result<Option<String>, EnvError> {
        match self.0.get(name).cloned().map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(EnvError::NotText(name.to_owned())),
        }
    }

    fn secret(&self, name: &str) -> Result<Option<SecretString>, EnvError> {
        Ok(self.text(name)?.map(SecretString::from))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(name).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The apps of which a variable with a secret has the number at its end.
    fn apps_with_secrets(&self) -> BTreeSet<NonZeroU64> {
        let app = |name: &str| {
            let (variable, app) = name.rsplit_once('_')?;
            SECRET_VARIABLES.contains(&variable).then(|| app.parse().ok()).flatten()
        };
        self.0.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| app(name)).collect()
    }
}

impl Secrets {
    fn read(all: &VariableTable, suffix: String) -> Result<Self, EnvError> {
        let name = |variable| format!("{variable}{suffix}");
        let (key, key_file, usersig) =
            (all.secret(&name(KEY))?, all.path(&name(KEY_FILE)), all.secret(&name(USERSIG))?);
        Ok(Self { suffix, key, key_file, key_in_file: OnceLock::new(), usersig })
    }

    fn variable(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    fn credential(&self) -> Result<Option<Credential>, EnvError> {
        let credential = |secret, name| Ok(Some(Credential { secret, variable: self.variable(name) }));
        let two = |one, other| Err(EnvError::TwoSecrets(self.variable(one), self.variable(other)));
        match (&self.key, &self.key_file, &self.usersig) {
            (None, None, None) => Ok(None),
            (Some(key), None, None) => credential(Secret::Key(key.clone()), KEY),
            (None, Some(file), None) => {
                let key = self.key_in_file.get_or_init(|| self.key_in(file)).clone()?;
                credential(Secret::Key(key), KEY_FILE)
            }
            (None, None, Some(usersig)) => credential(Secret::UserSig(usersig.clone()), USERSIG),
            (Some(_), Some(_), _) => two(KEY, KEY_FILE),
            (Some(_), None, Some(_)) => two(KEY, USERSIG),
            (None, Some(_), Some(_)) => two(KEY_FILE, USERSIG),
        }
    }

    /// The key in a file that only its owner may open.
    fn key_in(&self, file: &Path) -> Result<SecretString, EnvError> {
        let variable = self.variable(KEY_FILE);
        read_key(file).map_err(|why| EnvError::KeyFile { variable, file: file.to_owned(), why })
    }
}

fn read_key(file: &Path) -> Result<SecretString, KeyFileError> {
    let unreadable = |error: std::io::Error| KeyFileError::Unreadable(error.to_string());
    let file = File::open(file).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if !is_private(mode, metadata.uid(), rustix::process::geteuid().as_raw()) {
        return Err(KeyFileError::Open(mode));
    }
    let mut bytes = Vec::new();
    let read = file.take(KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| KeyFileError::NoKey)?;
    let key = text.trim();
    if key.is_empty() || read as u64 > KEY_FILE_BYTES {
        return Err(KeyFileError::NoKey);
    }
    Ok(key.to_owned().into())
}

/// Whether only the owner may open a file. The group may read a file of root if the process is not root: Kubernetes and
/// systemd give a key to a service in this way, and the service cannot change the mode.
const fn is_private(mode: u32, owner: u32, user: u32) -> bool {
    let forbidden = if owner == 0 && user != 0 { 0o037 } else { 0o077 };
    mode & forbidden == 0
}

fn sdkappid(text: &str) -> Result<NonZeroU64, EnvError> {
    text.parse().map_err(|_| EnvError::SdkAppId)
}

fn endpoint(text: String) -> Result<String, EnvError> {
    text.parse::<Endpoint>().map(|_| text).map_err(EnvError::Endpoint)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn env(vars: &[(&str, &str)]) -> Result<Env, EnvError> {
        Env::of_variables(vars.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let names = [
            "IMBULK_SDKAPPID",
            "IMBULK_IDENTIFIER",
            "IMBULK_ENDPOINT",
            "IMBULK_QUEUE",
            KEY,
            KEY_FILE,
            "IMBULK_USERSIG",
        ];
        let env = env(&names.map(|name| (name, ""))).expect("nothing is wrong");
        assert_eq!((env.sdkappid, &env.identifier, &env.endpoint, &env.queue), (None, &None, &None, &None));
        assert!(env.credential(None).expect("nothing is wrong").is_none());
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
        let two = |one: &str, other: &str| EnvError::TwoSecrets(one.to_owned(), other.to_owned());
        let key = env(&[("IMBULK_SECRET_KEY", "k\n")]).expect("good").credential(None);
        assert!(matches!(key, Ok(Some(Credential { secret: Secret::Key(key), .. })) if key.expose_secret() == "k"));
        let sig = env(&[("IMBULK_USERSIG", "s")]).expect("good").credential(None);
        assert!(matches!(sig, Ok(Some(Credential { secret: Secret::UserSig(sig), .. })) if sig.expose_secret() == "s"));
        let both = env(&[("IMBULK_SECRET_KEY", "k"), ("IMBULK_USERSIG", "s")]).expect("good");
        assert_eq!(both.credential(None).err(), Some(two(KEY, USERSIG)));
        let both = env(&[(KEY_FILE, "/f"), (USERSIG, "s")]).expect("good");
        assert_eq!(both.credential(None).err(), Some(two(KEY_FILE, USERSIG)));
        let both = env(&[(KEY_FILE, "/f"), (KEY, "k")]).expect("good");
        assert_eq!(both.credential(None).err(), Some(two(KEY, KEY_FILE)));
    }

    #[test]
    fn a_secret_of_an_app_is_taken_for_this_app_and_the_general_one_for_the_others() {
        let variables = [(KEY, "general"), ("IMBULK_SECRET_KEY_7", "own"), ("IMBULK_USERSIG_8", "signature")];
        let env = env(&variables).expect("good");
        let of = |app| env.credential(NonZeroU64::new(app)).expect("one secret").expect("it is set");
        let shown = |credential: Credential| match credential.secret {
            Secret::Key(secret) | Secret::UserSig(secret) => (secret.expose_secret().to_owned(), credential.variable),
        };
        let expected = |secret: &str, variable: &str| (secret.to_owned(), variable.to_owned());
        assert_eq!(shown(of(7)), expected("own", "IMBULK_SECRET_KEY_7"));
        assert_eq!(shown(of(8)), expected("signature", "IMBULK_USERSIG_8"));
        assert_eq!(shown(of(9)), expected("general", KEY));
        let secrets = env.secret_variables();
        for (variable, _) in variables {
            assert!(secrets.iter().any(|secret| secret == variable), "{variable} is a secret");
        }
    }

    #[test]
    fn an_empty_or_misspelled_variable_of_an_app_changes_nothing() {
        let variables = [(KEY, "general"), ("IMBULK_SECRET_KEY_7", ""), ("IMBULK_SECRET_KEY_seven", "x")];
        let known = env(&variables).expect("good").credential(NonZeroU64::new(7));
        assert_eq!(known.expect("one secret").expect("it is set").variable, KEY);
    }

    #[test]
    fn two_secrets_of_an_app_are_refused_with_their_names() {
        let env = env(&[("IMBULK_SECRET_KEY_7", "k"), ("IMBULK_SECRET_KEY_FILE_7", "/f")]).expect("good");
        let error = env.credential(NonZeroU64::new(7)).unwrap_err().to_string();
        assert_eq!(error, "IMBULK_SECRET_KEY_7 and IMBULK_SECRET_KEY_FILE_7 are both set");
        assert!(env.credential(NonZeroU64::new(8)).expect("good").is_none());
    }

    #[test]
    fn a_key_file_is_read_only_if_nobody_else_may_open_it_and_is_never_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let read = |content: &[u8], mode| {
            std::fs::write(&file, content).expect("a file");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("ours");
            env(&[(KEY_FILE, file.to_str().expect("UTF-8"))]).expect("good").credential(None)
        };
        for mode in [0o600, 0o400] {
            let key = read(b" marked-key\n", mode).expect("a key").expect("it is set");
            assert_eq!(key.variable, KEY_FILE);
            assert!(matches!(&key.secret, Secret::Key(key) if key.expose_secret() == "marked-key"));
        }
        let refused = |content: &[u8], mode| read(content, mode).unwrap_err().with_hint();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let message = refused(b"marked-key", mode);
            assert!(message.contains(&format!("{mode:04o}")) && message.contains("chmod 600"), "{message}");
        }
        for content in [b"".as_slice(), b" \n", b"\xff", &[b'k'; 5000]] {
            assert!(refused(content, 0o600).contains("contains no key"));
        }
        std::fs::remove_file(&file).expect("ours");
        let message = env(&[(KEY_FILE, "/no/such")]).expect("good").credential(None).unwrap_err().to_string();
        assert!(message.starts_with("IMBULK_SECRET_KEY_FILE: /no/such: cannot be read"), "{message}");
    }

    #[test]
    fn the_group_may_read_only_a_file_of_root_that_a_service_was_given() {
        let (root, service, other) = (0, 65_532, 1000);
        assert!(is_private(0o440, root, service) && is_private(0o640, root, service));
        for (mode, owner, user) in [(0o460, root, service), (0o444, root, service), (0o440, root, root)] {
            assert!(!is_private(mode, owner, user), "{mode:o}");
        }
        assert!(!is_private(0o440, service, service) && !is_private(0o440, other, service));
        assert!(is_private(0o400, service, service) && is_private(0o600, root, root));
    }

    #[test]
    fn debug_output_keeps_the_secrets() {
        let env = env(&[("IMBULK_SECRET_KEY", "marked-key"), ("IMBULK_USERSIG", "marked-sig")]).expect("good");
        assert!(!format!("{env:?}").contains("marked"));
    }
}
