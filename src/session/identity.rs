//! The app, its admin account, and the credentials that sign its calls.

use std::num::NonZeroU64;

use secrecy::ExposeSecret;

use super::error::SessionError;
use crate::api::{Credentials, SecretKey, UserSig};
use crate::domain::job::App;
use crate::domain::request::account::UserId;
use crate::settings::{Credential, Env, Secret};

/// The SDKAppID and the admin account of an app.
pub fn identity(app: &App) -> Result<(NonZeroU64, UserId), SessionError> {
    let sdkappid = app.sdkappid.ok_or_else(|| missing("SDKAppID", "`sdkappid` in [app], or IMBULK_SDKAPPID"))?;
    let identifier = app.identifier.as_deref();
    let identifier =
        identifier.ok_or_else(|| missing("admin account", "`identifier` in [app], or IMBULK_IDENTIFIER"))?;
    Ok((sdkappid, user_id(identifier)?))
}

/// The credentials of an app that the environment names.
pub fn credentials(env: &Env, app: Option<NonZeroU64>) -> Result<Credentials, SessionError> {
    match env.credential(app)? {
        Some(Credential { secret: Secret::Key(key), variable }) => {
            let key = SecretKey::new(key.expose_secret().to_owned());
            Ok(Credentials::Key(key.map_err(SessionError::secret(&variable))?))
        }
        Some(Credential { secret: Secret::UserSig(usersig), variable }) => {
            let usersig = UserSig::new(usersig.expose_secret().to_owned());
            Ok(Credentials::Signature(usersig.map_err(SessionError::secret(&variable))?))
        }
        None => {
            let variables = "IMBULK_SECRET_KEY (the console shows it), IMBULK_SECRET_KEY_FILE, or IMBULK_USERSIG";
            Err(missing("credentials", variables))
        }
    }
}

pub(super) fn user_id(text: &str) -> Result<UserId, SessionError> {
    UserId::new(text).map_err(|error| {
        let hint = "correct `identifier` in [app], or IMBULK_IDENTIFIER";
        SessionError::usage(format!("the admin account {text:?} {error}"), hint)
    })
}

fn missing(what: &str, where_from: &str) -> SessionError {
    SessionError::usage(format!("no {what}"), format!("set {where_from}"))
}
