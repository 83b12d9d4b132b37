//! Plans: what a job would send, and the plan id.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use super::address::Address;
use super::error::SessionError;
use super::job_input::JobInput;
use super::jobs;
use super::open_queue::open_queue;
use super::outlook::Outlook;
use super::progress_display::ProgressDisplay;
use super::target::agreed_app;
use crate::clock;
use crate::domain::hint::Hint;
use crate::domain::job::Protection;
use crate::domain::plan_id::{PlanParts, plan_id};
use crate::domain::progress::Phase;
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::{Refusal, Rerun, RunChoice};
use crate::domain::timestamp::local;
use crate::queue::{Queue, Run, RunState};
use crate::report::WhileSending;
use crate::report::plan::{Changes, Conditions, Plan, ProtectedView, Unfinished, estimate};
use crate::settings::Env;
use crate::stderr::tell;

/// Loads the input of each job as a planned run, and reads what would be sent.
pub async fn plan(files: &[PathBuf], env: &Env, queue: &Path) -> Result<Vec<Plan>, SessionError> {
    jobs::check_environment(env)?;
    let jobs = jobs::load(files, env)?;
    jobs::tell_zone(&jobs);
    agreed_app(&jobs)?;
    let mut queue = open_queue(queue).await?;
    let (mut plans, mut parts) = (Vec::new(), Vec::new());
    for job in jobs {
        let address = Address::of(&job, env)?;
        if address.is_real() {
            jobs::check_protection(&job, &job.operation)?;
        }
        let mut input = jobs::with_protected(job, address)?;
        let (plan, part) = plan_job(&mut input, &mut queue, Rerun::No).await?;
        plans.push(plan);
        parts.push(part);
    }
    let id = parts.iter().any(PlanParts::sends).then(|| plan_id(&parts));
    plans.iter_mut().for_each(|plan| plan.plan_id.clone_from(&id));
    for part in &parts {
        note(&mut queue, part).await?;
    }
    queue.close().await?;
    Ok(plans)
}

/// The plan of one job, and the parts that its id depends on.
pub(super) async fn plan_job(
    input: &mut JobInput,
    queue: &mut Queue,
    rerun: Rerun,
) -> Result<(Plan, PlanParts), SessionError> {
    let mut outlook = input.inspect(queue, rerun).await?;
    let refusal = outlook.choices.iter().find_map(|choice| match choice {
        RunChoice::Refuse(refusal) => Some(*refusal),
        RunChoice::Continue(_) | RunChoice::Begin { .. } | RunChoice::Nothing(_) => None,
    });
    if outlook.is_unreadable() {
        // The error about the input follows, but the older runs would be sent before it.
        for run in outlook.continued() {
            let left = queue.reader().await?.tally(&run).await?[Outcome::Pending];
            tell(format!("note: `imbulk run` finishes the unfinished run {} first: {left} rows are left", run.uuid));
        }
    }
    let mut progress = ProgressDisplay::new(Phase::Loading);
    let run = input.preview(queue, &mut outlook, rerun, &mut |snapshot| progress.update(snapshot)).await;
    progress.finish();
    let run = run?;
    // Read after the preview, which removes rows that were protected since.
    let parts = input.plan_parts(queue, &outlook).await?;
    let mut conditions = conditions(input, queue, &outlook, &parts, rerun).await?;
    conditions.refusals.extend(refusal.map(|refusal| input.refused(&outlook, refusal).with_hint()));
    // The runs that would be sent, in order.
    let mut sent = outlook.continued();
    sent.retain(|older| older.id != run.id);
    sent.extend((run.state() != RunState::Finished).then(|| run.clone()));
    for (at, run) in sent.iter().enumerate() {
        let refusals = input.refusals(queue, run).await?.into_iter().map(|refusal| refusal.with_hint());
        if at == 0 {
            conditions.refusals.extend(refusals);
        } else {
            conditions.later_refusals.extend(refusals);
        }
    }
    if parts.sends() {
        conditions.guards = input.read_guards(queue, &run).await?;
    }
    Ok((read(input, queue, &run, conditions).await?, parts))
}

async fn read(input: &JobInput, queue: &Queue, run: &Run, conditions: Conditions) -> Result<Plan, SessionError> {
    let rate = planned_rate(input, run)?;
    Ok(Plan::read(&queue.reader().await?, run, conditions, rate, &clock::local_now()).await?)
}

/// The calls per second that the limits allow a run.
fn planned_rate(input: &JobInput, run: &Run) -> Result<NonZeroU32, SessionError> {
    Ok(input.calls_per_second(run)?.min(input.job.limits.app_calls_per_second))
}

/// Everything that a plan shows beside its rows.
async fn conditions(
    input: &JobInput,
    queue: &mut Queue,
    outlook: &Outlook,
    parts: &PlanParts,
    rerun: Rerun,
) -> Result<Conditions, SessionError> {
    let now = clock::local_now();
    let mut continues = Vec::new();
    for choice in &outlook.choices {
        let run = match choice {
            RunChoice::Continue(run) | RunChoice::Refuse(Refusal::Ended { run, .. } | Refusal::Redefined { run }) => {
                *run
            }
            RunChoice::Begin { .. } | RunChoice::Nothing(_) | RunChoice::Refuse(Refusal::NothingToResume) => continue,
        };
        continues.push(unfinished(input, queue, outlook, run, &now).await?);
    }
    let mut gives_up = Vec::new();
    for run in outlook.replaced() {
        gives_up.push(unfinished(input, queue, outlook, run, &now).await?);
    }
    let missing = input.address.missing().into_iter().map(str::to_owned);
    Ok(Conditions {
        continues,
        gives_up,
        since_last_plan: changes(queue, parts, rerun).await?,
        target: input.address.view(),
        protected: protected(input),
        until: input.job.stop.until.and_then(|until| until.next(&now)),
        guards: Vec::new(),
        while_sending: WhileSending::of(&input.job, input.address.is_real()),
        refusals: missing.collect(),
        later_refusals: Vec::new(),
        now,
    })
}

async fn unfinished(
    input: &JobInput,
    queue: &Queue,
    outlook: &Outlook,
    at: usize,
    now: &Zoned,
) -> Result<Unfinished, SessionError> {
    let run = &outlook.runs[at];
    let reader = queue.reader().await?;
    let tally = reader.tally(run).await?;
    let (requests_left, _all) = reader.request_counts(run.id).await?;
    let rate = planned_rate(input, run)?;
    Ok(Unfinished {
        run: run.uuid.clone(),
        same_input: outlook.is_current(at),
        rows_left: tally[Outcome::Pending],
        rows: run.row_count.cast_unsigned(),
        estimate: estimate(requests_left.cast_unsigned(), rate, run.largest_accounts()),
        began: local(run.started_at.unwrap_or(run.created_at), now.time_zone()),
        ended_by: run.ended_by(),
    })
}

/// The differences from the last plan, if one was shown since the last run.
async fn changes(queue: &mut Queue, parts: &PlanParts, rerun: Rerun) -> Result<Option<Changes>, SessionError> {
    let Some((shown_at, earlier)) = last_shown(queue, parts).await? else {
        return Ok(None);
    };
    let other_version = "it was made by another version of imbulk";
    let differences = earlier.map_or_else(|| vec![other_version], |earlier| parts.differences(&earlier, rerun));
    Ok(Some(Changes { shown_at, differences }))
}

/// When the last plan of the job was shown, and its parts. The parts are none if another version of imbulk wrote them.
async fn last_shown(queue: &mut Queue, parts: &PlanParts) -> Result<Option<(Zoned, Option<PlanParts>)>, SessionError> {
    let shown = queue.shown_plan(&parts.job, &parts.target).await?;
    let zone = clock::local_now().time_zone().clone();
    Ok(shown.map(|shown| (local(shown.shown_at, &zone), serde_json::from_str(&shown.parts).ok())))
}

/// A note about the differences from the last plan; none if there are none.
pub(super) async fn differs_from_last(
    queue: &mut Queue,
    parts: &PlanParts,
    rerun: Rerun,
) -> Result<Option<String>, SessionError> {
    let changes = changes(queue, parts, rerun).await?.filter(|changes| !changes.differences.is_empty());
    let line = |changes: Changes| changes.line(&clock::local_now());
    Ok(changes.map(|changes| format!("note: {}: not as planned: last plan {}", parts.job, line(changes))))
}

/// Why the current plan is not the one with the id `asked`.
pub(super) async fn what_differs(
    queue: &mut Queue,
    all: &[PlanParts],
    asked: &str,
    rerun: Rerun,
) -> Result<String, SessionError> {
    if !all.iter().any(PlanParts::sends) {
        return Ok("nothing is left to be sent".to_owned());
    }
    let (mut shown, mut said) = (Vec::new(), Vec::new());
    for parts in all {
        let Some(earlier) = last_shown(queue, parts).await?.and_then(|(_, earlier)| earlier) else { continue };
        said.extend(parts.differences(&earlier, rerun).into_iter().map(|what| format!("{}: {what}", parts.job)));
        shown.push(earlier);
    }
    if plan_id(&shown) == asked {
        return Ok(said.join("; "));
    }
    Ok(format!("what would be sent now is plan {}", plan_id(all)))
}

async fn note(queue: &mut Queue, parts: &PlanParts) -> Result<(), SessionError> {
    let text = serde_json::to_string(parts).expect("strings and numbers are JSON");
    Ok(queue.note_plan(&parts.job, &parts.target, &text, clock::now().as_millisecond()).await?)
}

fn protected(input: &JobInput) -> ProtectedView {
    let file = match &input.job.guard.protected {
        Some(Protection::File { path, .. }) => Some(path.display().to_string()),
        Some(Protection::Nobody) | None => None,
    };
    ProtectedView { file, ids: input.protected.ids() as u64, patterns: input.protected.patterns() as u64 }
}
