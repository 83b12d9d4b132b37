//! Reads the job files of a command and checks what they have in common.

use std::path::PathBuf;

use super::address::Address;
use super::error::SessionError;
use super::job_input::JobInput;
use crate::clock;
use crate::domain::hint::{Hint, Message};
use crate::domain::job::Job;
use crate::domain::operation::Operation;
use crate::settings::{self, Env, EnvError};
use crate::stderr::tell;

/// Checks the variables that libraries read: time zone and proxies. A wrong value is an error before anything is loaded
/// or sent, even if this command does not need it.
pub(super) fn check_environment(env: &Env) -> Result<(), SessionError> {
    env.proxies()?;
    match &env.time_zone {
        Some(zone) if !clock::knows_zone() => Err(EnvError::TimeZone(zone.clone()).into()),
        Some(_) | None => Ok(()),
    }
}

/// Warns that a time of day in a job means UTC if the machine's time zone is unknown.
pub(super) fn tell_zone(jobs: &[Job]) {
    if jobs.iter().any(|job| job.stop.until.is_some()) && !clock::knows_zone() {
        let note = "note: the time zone of this machine cannot be read: `stop.until` is taken as UTC";
        tell(Message::new(note).add_hint("set TZ, for example TZ=Asia/Shanghai").with_hint());
    }
}

/// Refuses a job on a real app without a protected list, if a wrong row of its operation deletes an account.
pub(super) fn check_protection(job: &Job, operation: &Operation) -> Result<(), SessionError> {
    if job.guard.protected.is_some() || !operation.needs_protected_list() {
        return Ok(());
    }
    let (file, operation) = (job.file.display(), operation.name);
    Err(SessionError::usage(
        format!("{file}: guard.protected: {operation} on a real app needs a protected list"),
        "in [guard], protected = \"never-delete.txt\" (one id per line), or protected = [] if nobody is protected on \
         purpose",
    ))
}

/// Reads job files. Runs are found by the job's name, so two jobs must not have the same one.
pub(super) fn load(files: &[PathBuf], env: &Env) -> Result<Vec<Job>, SessionError> {
    let jobs = files.iter().map(|file| settings::load_job(file, env)).collect::<Result<Vec<_>, _>>()?;
    for (at, job) in jobs.iter().enumerate() {
        if jobs[..at].iter().any(|other| other.name == job.name) {
            return Err(SessionError::usage(
                format!("two jobs are named `{}`", job.name),
                "give each job its own `name`",
            ));
        }
    }
    Ok(jobs)
}

/// Reads the protected list of a job and adds the admin account.
pub(super) fn with_protected(job: Job, address: Address) -> Result<JobInput, SessionError> {
    let list = settings::load_protected(&job)?;
    let protected = match address.admin() {
        Some(admin) => list.with(admin),
        None => list,
    };
    Ok(JobInput::new(job, protected, address))
}
