//! Finds the run that a NAME on the command line means.

use super::error::SessionError;
use super::figures::owner;
use crate::domain::run_name::{NameMatch, NamedRun, SHORTEST_ID, match_name};
use crate::queue::{Reader, Run, RunState};
use crate::report::state::StateName;
use crate::report::{target_name, visible};
use crate::stderr::tell;

/// Finds the run that a name means and names it on standard error, so that a wrong choice is noticed.
pub async fn find(name: &str, target: Option<&str>, reader: &Reader) -> Result<Run, SessionError> {
    choose(reader.runs().await?, name, target, reader)
}

/// The run with this id.
pub async fn run_with_id(id: &str, reader: &Reader) -> Result<Run, SessionError> {
    let mut runs = reader.runs().await?;
    match runs.iter().position(|run| run.uuid == id) {
        Some(found) => Ok(runs.swap_remove(found)),
        None => Err(unknown(id, &runs, reader.is_owned())),
    }
}

/// Finds the run that `imbulk ctl` controls, which may still be loading. None if the queue is being created: then its
/// first run cannot be read yet.
pub async fn find_controlled(name: &str, target: Option<&str>, reader: &Reader) -> Result<Option<Run>, SessionError> {
    let mut runs = reader.runs().await?;
    runs.extend(reader.loading_runs().await?);
    if runs.is_empty() && reader.is_owned() {
        return Ok(None);
    }
    choose(runs, name, target, reader).map(Some)
}

fn choose(mut runs: Vec<Run>, name: &str, target: Option<&str>, reader: &Reader) -> Result<Run, SessionError> {
    let named: Vec<NamedRun<'_>> = runs
        .iter()
        .map(|run| NamedRun { job: &run.job, id: &run.uuid, target: run.target, started: is_begun(run) })
        .collect();
    let found = match match_name(&named, name, target) {
        NameMatch::Run(run) => run,
        NameMatch::Ambiguous(several) => return Err(ambiguous(name, &runs, &several)),
        NameMatch::OtherTargets(others) => return Err(on_other_targets(name, target, &runs, &others)),
        NameMatch::Unknown => return Err(unknown(name, &runs, reader.is_owned())),
    };
    let newer = runs[found + 1..].iter().find(|run| run.job == name && run.target == runs[found].target);
    let plan = newer.map(|plan| format!("; a newer plan, of which nothing was sent, is run {}", plan.uuid));
    let run = runs.swap_remove(found);
    tell(format!("{}{}", describe(&run, reader), plan.unwrap_or_default()));
    Ok(run)
}

/// A run that is loading is the one that a process is about to send.
fn is_begun(run: &Run) -> bool {
    run.started_at.is_some() || run.state() == RunState::Loading
}

/// `run 0190… of job purge on app 1400000001: finished`
fn describe(run: &Run, reader: &Reader) -> String {
    let state = match run.state() {
        RunState::Loading => "loading",
        RunState::Planned | RunState::Running | RunState::Finished | RunState::Superseded => {
            StateName::of(run, owner(reader)).name()
        }
    };
    format!("run {} of job {} on {}: {state}", visible(&run.uuid), visible(&run.job), target_name(run.target))
}

fn list(runs: &[Run], which: &[usize]) -> String {
    let lines = which.iter().map(|at| {
        let run = &runs[*at];
        format!("\n  run {} of job {} on {}", run.uuid, run.job, target_name(run.target))
    });
    lines.collect()
}

fn ambiguous(name: &str, runs: &[Run], several: &[usize]) -> SessionError {
    let what = if several.iter().all(|at| runs[*at].job == name) {
        "has runs on several targets"
    } else {
        "is the beginning of several run ids"
    };
    let lines = list(runs, several);
    SessionError::usage(format!("{name} {what}:{lines}"), "name more of the run id, or add --target TARGET")
}

fn on_other_targets(name: &str, target: Option<&str>, runs: &[Run], others: &[usize]) -> SessionError {
    let lines = list(runs, others);
    let target = target.unwrap_or_default();
    let text = format!("{name} has no run on target {target}; it has:{lines}");
    SessionError::usage(text, "leave out --target, or name one of these")
}

fn unknown(name: &str, runs: &[Run], is_owned: bool) -> SessionError {
    let mut jobs: Vec<&str> = runs.iter().map(|run| run.job.as_str()).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let known = match (jobs.is_empty(), is_owned) {
        (false, _) => format!(
            "the queue has the jobs {}; a run is named by at least {SHORTEST_ID} characters of its id",
            jobs.join(", ")
        ),
        (true, true) => "the queue has no job yet; a running process may be loading one".to_owned(),
        (true, false) => "the queue has no job yet: `imbulk plan JOB` loads one".to_owned(),
    };
    SessionError::usage(format!("the queue has no job and no run named `{name}`"), known)
}
