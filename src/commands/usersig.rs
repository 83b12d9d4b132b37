//! `imbulk usersig`

use std::time::Duration;

use super::error::Error;
use crate::api::{Credentials, sign};
use crate::cli;
use crate::clock;
use crate::domain::exit::Exit;
use crate::domain::job::App;
use crate::session::{SessionError, credentials, identity};
use crate::settings::{Env, load_job};

/// The validity of a printed UserSig. The error table advises at least 24 h (70001).
const VALID: Duration = Duration::from_hours(24);

/// Prints a UserSig for the app and admin account of the job, or of the environment.
pub(super) fn usersig(args: &cli::UsersigArgs, env: &Env) -> Result<Exit, Error> {
    let app = match &args.job {
        Some(file) => load_job(file, env).map_err(SessionError::from)?.app,
        None => env.over(App::default()),
    };
    let (sdkappid, identifier) = identity(&app)?;
    match credentials(env, Some(sdkappid))? {
        Credentials::Key(key) => super::print(sign(&key, sdkappid, &identifier, clock::now(), VALID).expose()),
        Credentials::Signature(usersig) => super::print(usersig.expose()),
    }
}
