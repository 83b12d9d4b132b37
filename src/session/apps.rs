//! The apps of the jobs of a command, and what their jobs must agree on.

use std::num::NonZeroU64;

use super::error::SessionError;
use crate::domain::job::{App, Job};
use crate::settings::Env;

/// The jobs of each app, in the order of the first jobs. Refuses jobs that name one app in two ways, and an environment
/// whose values are right for one of several apps at most.
pub(super) fn agreed<'a>(jobs: &'a [Job], env: &Env) -> Result<Vec<Vec<&'a Job>>, SessionError> {
    refuse_replaced_apps(jobs, env)?;
    let mut apps: Vec<Vec<&Job>> = Vec::new();
    for job in jobs {
        match apps.iter_mut().find(|app| app[0].app.sdkappid == job.app.sdkappid) {
            Some(app) if app[0].app != job.app => return Err(not_agreed(app[0], job)),
            Some(app) => app.push(job),
            None => apps.push(vec![job]),
        }
    }
    let ids: Vec<NonZeroU64> = apps.iter().filter_map(|app| app[0].app.sdkappid).collect();
    refuse_shared_secret(&ids, env)?;
    Ok(apps)
}

/// The jobs of one app name different servers or admins.
fn not_agreed(one: &Job, other: &Job) -> SessionError {
    let key = if one.app.endpoint == other.app.endpoint { "identifier" } else { "endpoint" };
    let app = one.app.sdkappid.map_or_else(|| "an app without `sdkappid`".to_owned(), |id| format!("app {id}"));
    let text = format!("{} and {} name a different `{key}` for {app}", one.file.display(), other.file.display());
    SessionError::usage(text, "name the same `region` or `endpoint` and the same `identifier` in [app] of both jobs")
}

/// A variable replaces a value in every job. Rows of one app must not be sent to another one.
fn refuse_replaced_apps(jobs: &[Job], env: &Env) -> Result<(), SessionError> {
    let differ = |names: fn(&App) -> Option<String>| {
        let mut named = jobs.iter().filter_map(|job| names(&job.app_in_file));
        named.next().is_some_and(|first| named.any(|other| other != first))
    };
    let apps_differ = differ(|app| app.sdkappid.map(|id| id.to_string()));
    let servers_differ = differ(|app| app.endpoint.as_ref().map(|endpoint| format!("{endpoint:?}")));
    let admins_differ = differ(|app| app.identifier.clone());
    let replaced = [
        (env.sdkappid.is_some(), "IMBULK_SDKAPPID"),
        (env.endpoint.is_some() && servers_differ, "IMBULK_ENDPOINT"),
        (env.identifier.is_some() && admins_differ, "IMBULK_IDENTIFIER"),
    ];
    match replaced.into_iter().find(|(replaces, _)| *replaces && apps_differ) {
        Some((_, variable)) => Err(SessionError::usage(
            format!("the jobs are of several apps, and {variable} would replace what their [app] says"),
            format!("unset {variable}"),
        )),
        None => Ok(()),
    }
}

/// Each app has a key of its own, so a secret for two apps is wrong for one of them.
fn refuse_shared_secret(apps: &[NonZeroU64], env: &Env) -> Result<(), SessionError> {
    let mut signed: Vec<(NonZeroU64, String)> = Vec::new();
    for app in apps {
        let Some(credential) = env.credential(Some(*app))? else { continue };
        if let Some((other, variable)) = signed.iter().find(|(_, variable)| *variable == credential.variable) {
            return Err(SessionError::usage(
                format!("{variable} would sign the calls of two apps, {other} and {app}"),
                format!("set {variable}_{app} to the secret of app {app}"),
            ));
        }
        signed.push((*app, credential.variable));
    }
    Ok(())
}
