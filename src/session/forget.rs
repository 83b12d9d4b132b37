//! Chooses the runs that `imbulk forget` removes, and asks for confirmation.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::confirm;
use super::error::SessionError;
use super::figures::owner;
use super::named_run::find;
use crate::clock;
use crate::domain::forget::{ForgettableRun, Forgetting, forgetting};
use crate::domain::response::outcome::Outcome;
use crate::domain::timestamp::local;
use crate::queue::{Reader, Run, RunState};
use crate::report::forget::{ForgetCandidate, ForgetReport};
use crate::report::second;
use crate::report::state::StateName;

/// The runs that are removed, and what people see of them.
pub struct ForgetSelection {
    /// The runs, oldest first.
    pub runs: Vec<Run>,
    /// What people see.
    pub report: ForgetReport,
}

/// Chooses the runs: those that ended this long ago and that no retry needs, and those that the user names.
pub async fn select_to_forget(
    reader: &Reader,
    older_than: Option<SignedDuration>,
    names: &[String],
) -> Result<ForgetSelection, SessionError> {
    let mut named = BTreeSet::new();
    for name in names {
        let run = find(name, None, reader).await?;
        refuse_forgotten(&run)?;
        named.insert(run.id);
    }
    let now = clock::local_now();
    let before = older_than.map(|age| (now.timestamp() - age).as_millisecond());
    let all = reader.runs().await?;
    let mut selection =
        ForgetSelection { runs: Vec::new(), report: ForgetReport { removed: Vec::new(), kept: Vec::new() } };
    for run in &all {
        let tally = reader.tally(run).await?;
        let facts = ForgettableRun {
            has_ended: matches!(run.state(), RunState::Finished | RunState::Superseded),
            ended_at: run.last_used_at(),
            retryable_rows: if is_latest(run, &all) { tally[Outcome::Failed] + tally[Outcome::InDoubt] } else { 0 },
            named: named.contains(&run.id),
            forgotten: run.forgotten.is_some(),
        };
        let candidate = ForgetCandidate {
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target,
            state: StateName::of(run, owner(reader)),
            ended_at: local(run.last_used_at(), now.time_zone()),
            rows: run.row_count.cast_unsigned(),
        };
        match forgetting(facts, before) {
            Forgetting::Remove => {
                selection.runs.push(run.clone());
                selection.report.removed.push(candidate);
            }
            Forgetting::Keep(because) => selection.report.kept.push((candidate, because)),
            Forgetting::Ignore => {}
        }
    }
    Ok(selection)
}

/// Asks a person at a terminal to type the number of runs, unless `confirmed`.
pub async fn confirm_forget(report: &ForgetReport, confirmed: bool) -> Result<(), SessionError> {
    if confirmed || !confirm::is_at_a_terminal() {
        return Ok(());
    }
    let (question, expected) = report.question();
    if confirm::typed(question).await?.trim() == expected {
        return Ok(());
    }
    let hint = "run the command again and type the number that is shown in brackets";
    Err(SessionError::usage("nothing is removed: the typed text is not the number of runs", hint))
}

/// Refuses a run whose rows were removed.
pub fn refuse_forgotten(run: &Run) -> Result<(), SessionError> {
    let Some(forgotten) = &run.forgotten else { return Ok(()) };
    let at = second(&local(forgotten.at, clock::local_now().time_zone()));
    let text = format!("run {} of job {} was forgotten on {at}: its rows and results were removed", run.uuid, run.job);
    Err(SessionError::usage(text, format!("`imbulk status {}` shows what remains", run.uuid)))
}

/// Whether no later run of its job has begun on its target. Only this run is sent again by its job's name.
fn is_latest(run: &Run, all: &[Run]) -> bool {
    let is_later = |it: &Run| it.id > run.id && it.job == run.job && it.target == run.target;
    !all.iter().any(|it| is_later(it) && it.started_at.is_some())
}
