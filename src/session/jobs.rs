//! Reads the job files of a command and checks what they have in common.

use std::cmp::Reverse;
use std::path::PathBuf;

use super::error::SessionError;
use super::events;
use super::job_input::JobInput;
use super::target_settings::{TargetSettings, target_name};
use crate::clock;
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::domain::job::Job;
use crate::domain::operation::Operation;
use crate::domain::time_limit::TimeOfDayLimit;
use crate::report::job_result::JobResult;
use crate::report::moment_ahead;
use crate::runner::{RunnerError, check_folder};
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

/// Warns that a time of day, or a day, in a job means UTC if the machine's time zone is unknown.
pub(super) fn tell_zone(jobs: &[Job]) {
    let is_local = |job: &Job| match &job.times.daily {
        Some(TimeOfDayLimit::Until(_)) => true,
        Some(TimeOfDayLimit::Window(window)) => window.zone.is_none(),
        None => job.limits.calls_per_day.is_some(),
    };
    if jobs.iter().any(is_local) && !clock::knows_zone() {
        let note =
            "note: the time zone of this machine cannot be read: times of day and days in the job are taken as UTC";
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
        "in [guard], protected = \"never-delete.txt\" (one id per line), or protected = [] if no id must stay",
    ))
}

/// Refuses a job whose backup could not be written, before anything is loaded.
pub(super) fn check_backup(job: &Job) -> Result<(), SessionError> {
    job.backup
        .iter()
        .try_for_each(|backup| check_folder(&backup.folder, &job.file, backup.line))
        .map_err(|error| RunnerError::from(error).into())
}

/// Reads job files, in the order in which the jobs are sent: by priority, and then as they are named. Runs are found by
/// the job's name, so two jobs must not have the same one.
pub fn load(files: &[PathBuf], env: &Env) -> Result<Vec<Job>, SessionError> {
    let mut jobs = files.iter().map(|file| settings::load_job(file, env)).collect::<Result<Vec<_>, _>>()?;
    for (at, job) in jobs.iter().enumerate() {
        if jobs[..at].iter().any(|other| other.name == job.name) {
            return Err(SessionError::usage(
                format!("two jobs are named `{}`", job.name),
                "give each job its own `name`",
            ));
        }
    }
    jobs.sort_by_key(|job| Reverse(job.priority));
    Ok(jobs)
}

/// The results of jobs that nothing is known of yet.
pub fn results_of(jobs: &[Job]) -> Vec<JobResult> {
    jobs.iter().map(|job| JobResult::new(job, target_name(&job.app))).collect()
}

/// Removes the jobs whose window is closed, and says when it opens.
pub(super) fn leave_out_closed(jobs: &mut Vec<Job>, results: &mut [JobResult]) {
    let now = clock::local_now();
    jobs.retain(|job| {
        let Some(window) = job.times.daily.as_ref().and_then(|daily| daily.closed_window(&now)) else { return true };
        let opens = window.opens(&now).map(|at| format!(" before {}", moment_ahead(&at, &now))).unwrap_or_default();
        tell(format!("{}: nothing is sent{opens}: `stop.window` is {window}", job.name));
        events::log_not_sent(&job.name, Exit::Stopped, "window");
        for result in results.iter_mut().filter(|result| result.job == job.name) {
            result.add_exit(Exit::Stopped);
            result.is_over = true;
        }
        false
    });
}

/// Reads the protected list of a job and adds the admin account.
pub(super) fn with_protected(job: Job, target: TargetSettings) -> Result<JobInput, SessionError> {
    let list = settings::load_protected(&job)?;
    let protected = match target.admin() {
        Some(admin) => list.with(admin),
        None => list,
    };
    Ok(JobInput::new(job, protected, target))
}
