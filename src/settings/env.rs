//! The environment.

use std::borrow::Cow;
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
    secret_key: Option<SecretString>,
    secret_key_file: Option<PathBuf>,
    /// What the file has, once it was read: it may be a pipe.
    key_in_file: OnceLock<Result<SecretString, EnvError>>,
    usersig: Option<SecretString>,
    /// The proxy variables that are set.
    proxies: Vec<(&'static str, SecretString)>,
    no_proxy: Option<String>,
}

/// What calls are signed with.
#[derive(Debug)]
pub enum Credential {
    /// The secret key of the app: UserSigs are made and renewed from it.
    SecretKey {
        /// The key.
        key: SecretString,
        /// The variable that holds or names it.
        variable: &'static str,
    },
    /// A UserSig made elsewhere; it can't be renewed.
    UserSig(SecretString),
}

impl Credential {
    /// The variable that sets it.
    pub const fn variable(&self) -> &'static str {
        match self {
            Self::SecretKey { variable, .. } => variable,
            Self::UserSig(_) => USERSIG,
        }
    }
}

const KEY: &str = "IMBULK_SECRET_KEY";
const KEY_FILE: &str = "IMBULK_SECRET_KEY_FILE";
const USERSIG: &str = "IMBULK_USERSIG";
/// The variables that hold or name a secret.
pub const SECRET_VARIABLES: [&str; 3] = [KEY, KEY_FILE, USERSIG];
/// The most bytes of a key file: a key has 64.
const KEY_FILE_BYTES: u64 = 4096;

/// A variable that can't be used. Never says its value: it may be a secret that was meant for another variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// Bytes that are no text.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
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
    /// Two secrets, and no telling which one is meant.
    #[error("{0} and {1} are both set")]
    TwoSecrets(&'static str, &'static str),
    /// The file with the key cannot be used.
    #[error("{KEY_FILE}: {}: {why}", file.display())]
    KeyFile {
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
            Self::KeyFile { file, why: KeyFileError::Open(_) } => {
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
            secret_key: secret(KEY)?,
            key_in_file: OnceLock::new(),
            secret_key_file: lookup(KEY_FILE).filter(|path| !path.is_empty()).map(PathBuf::from),
            usersig: secret(USERSIG)?,
            time_zone: lookup("TZ"),
            proxies: proxies.collect::<Result<_, _>>()?,
            no_proxy: text("NO_PROXY")?.map_or_else(|| text("no_proxy"), |list| Ok(Some(list)))?,
        })
    }

    /// What to sign with, if the environment has it. Two secrets are an error rather than a guess: they may well
    /// belong to two apps.
    pub fn credential(&self) -> Result<Option<Credential>, EnvError> {
        match (&self.secret_key, &self.secret_key_file, &self.usersig) {
            (None, None, None) => Ok(None),
            (Some(key), None, None) => Ok(Some(Credential::SecretKey { key: key.clone(), variable: KEY })),
            (None, Some(file), None) => {
                let key = self.key_in_file.get_or_init(|| key_in(file)).clone()?;
                Ok(Some(Credential::SecretKey { key, variable: KEY_FILE }))
            }
            (None, None, Some(usersig)) => Ok(Some(Credential::UserSig(usersig.clone()))),
            (Some(_), Some(_), _) => Err(EnvError::TwoSecrets(KEY, KEY_FILE)),
            (Some(_), None, Some(_)) => Err(EnvError::TwoSecrets(KEY, USERSIG)),
            (None, Some(_), Some(_)) => Err(EnvError::TwoSecrets(KEY_FILE, USERSIG)),
        }
    }

    /// The file that holds the secret key.
    pub fn secret_key_file(&self) -> Option<&Path> {
        self.secret_key_file.as_deref()
    }

    /// The proxies that the environment names.
    pub fn proxies(&self) -> Result<Proxies, EnvError> {
        Ok(Proxies::parse(&self.proxies, self.no_proxy.as_deref().unwrap_or_default())?)
    }

    /// The secret key, if the environment has one: what the sandbox checks signatures with.
    pub fn secret_key(&self) -> Result<Option<SecretString>, EnvError> {
        Ok(match self.credential()? {
            Some(Credential::SecretKey { key, .. }) => Some(key),
            Some(Credential::UserSig(_)) | None => None,
        })
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

/// The key in a file that only its owner may open.
fn key_in(file: &Path) -> Result<SecretString, EnvError> {
    read_key(file).map_err(|why| EnvError::KeyFile { file: file.to_owned(), why })
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
            KEY,
            KEY_FILE,
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
        assert!(matches!(key, Ok(Some(Credential::SecretKey { key, .. })) if key.expose_secret() == "k"));
        let sig = env(&[("IMBULK_USERSIG", "s")]).expect("good").credential();
        assert!(matches!(sig, Ok(Some(Credential::UserSig(sig))) if sig.expose_secret() == "s"));
        let both = env(&[("IMBULK_SECRET_KEY", "k"), ("IMBULK_USERSIG", "s")]).expect("good");
        assert_eq!(both.credential().err(), Some(EnvError::TwoSecrets(KEY, USERSIG)));
        let both = env(&[(KEY_FILE, "/f"), (USERSIG, "s")]).expect("good");
        assert_eq!(both.credential().err(), Some(EnvError::TwoSecrets(KEY_FILE, USERSIG)));
        let both = env(&[(KEY_FILE, "/f"), (KEY, "k")]).expect("good");
        assert_eq!(both.credential().err(), Some(EnvError::TwoSecrets(KEY, KEY_FILE)));
    }

    #[test]
    fn a_key_file_is_read_only_if_nobody_else_may_open_it_and_is_never_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let read = |content: &[u8], mode| {
            std::fs::write(&file, content).expect("a file");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("ours");
            env(&[(KEY_FILE, file.to_str().expect("UTF-8"))]).expect("good").credential()
        };
        for mode in [0o600, 0o400] {
            let key = read(b" marked-key\n", mode).expect("a key").expect("it is set");
            assert_eq!(key.variable(), KEY_FILE);
            assert!(matches!(key, Credential::SecretKey { key, .. } if key.expose_secret() == "marked-key"));
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
        let message = env(&[(KEY_FILE, "/no/such")]).expect("good").credential().unwrap_err().to_string();
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
