//! Plans: what a job would send, and the plan id.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use super::approval::{approved_run, missing_approval};
use super::apps;
use super::error::SessionError;
use super::figures::figures_with;
use super::job_input::JobInput;
use super::jobs;
use super::open_queue::open_queue;
use super::outlook::{Carry, Outlook};
use super::plan_comparison::{changes, store_shown};
use super::progress_display::ProgressDisplay;
use super::target_settings::TargetSettings;
use crate::clock;
use crate::domain::approval::ApprovedRun;
use crate::domain::hint::Hint;
use crate::domain::ids::RequestId;
use crate::domain::job::Protection;
use crate::domain::operation::Preparations;
use crate::domain::plan_id::{PlanParts, plan_id};
use crate::domain::rate_limit::calls_per_day::days_for;
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::{Rerun, refusal_of, unfinished_among};
use crate::domain::time_limit::{TimeLimits, TimeOfDayLimit};
use crate::domain::timestamp::local;
use crate::queue::{Queue, QueueError, Reader, Run, RunState};
use crate::rate_limiter::calls_today;
use crate::report::WhileSending;
use crate::report::input::Input;
use crate::report::plan::{
    Conditions, ControlView, DayView, Plan, PlannedRun, ProtectedView, Unfinished, WindowView, estimate,
};
use crate::settings::Env;
use crate::stderr::tell;

/// Rejected rows that a plan lists.
const REJECTS_IN_PLAN: u32 = 20;

/// What would be sent.
pub struct Planned {
    /// The plan of each job.
    pub plans: Vec<Plan>,
    /// The runs that would be sent, in order, as an approval describes them.
    pub runs: Vec<ApprovedRun>,
    /// Whether a run needs an approval to begin.
    pub lacks_approval: bool,
}

/// Loads the input of each job as a planned run, and reads what would be sent. `asks_for_approval`: a missing approval
/// is no reason to refuse, because this command asks for it.
pub async fn plan(
    files: &[PathBuf],
    asks_for_approval: bool,
    env: &Env,
    queue: &Path,
) -> Result<Planned, SessionError> {
    jobs::check_environment(env)?;
    let jobs = jobs::load(files, env)?;
    jobs::tell_zone(&jobs);
    apps::agreed(&jobs, env)?;
    let mut queue = open_queue(queue).await?;
    let (mut plans, mut parts, mut runs, mut lacks_approval) = (Vec::new(), Vec::new(), Vec::new(), false);
    for job in jobs {
        let target = TargetSettings::of(&job, env)?;
        if target.is_real() {
            jobs::check_protection(&job, &job.operation)?;
        }
        jobs::check_backup(&job)?;
        let mut input = jobs::with_protected(job, target)?;
        let (mut plan, part) = plan_job(&mut input, &mut queue, Rerun::No).await?;
        let sent: Vec<&str> = part.continues.iter().map(|older| older.run.as_str()).collect();
        let current = part.input.as_ref().map(|_| plan.figures.run.clone());
        let mut own = queue.reader().await?.runs().await?;
        own.retain(|run| sent.contains(&run.uuid.as_str()) || current.as_ref() == Some(&run.uuid));
        for (at, run) in own.iter().enumerate() {
            if let Some(refusal) = missing_approval(&mut queue, &input, run).await? {
                lacks_approval = true;
                let conditions = &mut plan.conditions;
                let refusals = if at == 0 { &mut conditions.refusals } else { &mut conditions.later_refusals };
                refusals.extend((!asks_for_approval).then(|| refusal.with_hint()));
            }
            runs.push(approved_run(run));
        }
        plans.push(plan);
        parts.push(part);
    }
    let id = parts.iter().any(PlanParts::sends).then(|| plan_id(&parts));
    plans.iter_mut().for_each(|plan| plan.plan_id.clone_from(&id));
    for part in &parts {
        store_shown(&mut queue, part).await?;
    }
    queue.close().await?;
    Ok(Planned { plans, runs, lacks_approval })
}

/// The plan of one job, and the parts that its id depends on.
pub(super) async fn plan_job(
    input: &mut JobInput,
    queue: &mut Queue,
    rerun: Rerun,
) -> Result<(Plan, PlanParts), SessionError> {
    let mut outlook = input.inspect(queue, rerun).await?;
    let refusal = refusal_of(&outlook.choices);
    if outlook.is_unreadable() {
        // The error about the input follows, but the older runs would be sent before it.
        for run in outlook.continued() {
            let left = queue.reader().await?.tally(&run).await?[Outcome::Pending];
            tell(format!("note: `imbulk run` finishes the unfinished run {} first: {left} rows are left", run.uuid));
        }
    }
    let mut progress = ProgressDisplay::new(input.subject());
    let run =
        input.load_for_plan(queue, &mut outlook, rerun, &mut |phase, snapshot| progress.show(phase, snapshot)).await;
    drop(progress);
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
        let control = queue.reader().await?.control_state(run.id).await?;
        conditions.controlled.extend(ControlView::new(&run.uuid, &run.job, control));
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
    let reader = queue.reader().await?;
    let rates = planned_rates(input, &run, &reader).await?;
    let read = planned_run(&reader, &run, input.job.preparations(run.operation), rates).await?;
    drop(reader);
    let older = conditions.continues.iter().filter(|older| older.run != run.uuid);
    let calls = older.map(|older| older.estimate.calls_left()).sum::<u64>() + read.estimate.calls_left();
    conditions.calls_per_day = calls_per_day(input, calls, &conditions.now)?;
    Ok((Plan::new(read, conditions), parts))
}

/// Reads what a plan shows of a run.
async fn planned_run(
    reader: &Reader,
    run: &Run,
    preparations: Preparations,
    rates: (NonZeroU32, NonZeroU32),
) -> Result<PlannedRun, QueueError> {
    let (requests_left, requests) = reader.request_counts(run.id).await?;
    let (figures, operation) = (figures_with(reader, run, REJECTS_IN_PLAN).await?, run.operation);
    let items_left = figures.items.min(figures.outcomes[Outcome::Pending]);
    let preparations = preparations.calls(operation, requests_left.cast_unsigned(), items_left);
    let first = reader.page(run.id, RequestId::BEFORE_FIRST, RequestId::MAX, 1).await?.into_iter().next();
    let lookups = match operation.lookup {
        Some(lookup) => reader.batches_left(run.id, lookup.command().items_per_request).await?,
        None => 0,
    };
    Ok(PlannedRun {
        lookups_of_requests: lookups,
        figures,
        input: Input(reader.input_files(run.id).await?),
        operation,
        requests: requests.cast_unsigned(),
        largest_accounts: run.largest_accounts().to_vec(),
        estimate: estimate(requests_left.cast_unsigned(), &preparations, rates, run.largest_accounts()),
        preparations,
        first_request: first,
    })
}

/// The calls per second that the limits and a person allow a run, and those that the limits allow the app.
async fn planned_rates(input: &JobInput, run: &Run, reader: &Reader) -> Result<(NonZeroU32, NonZeroU32), SessionError> {
    let app = input.job.limits.app_calls_per_second;
    let limit = input.calls_per_second(run).min(app);
    let set = reader.control_state(run.id).await?.rate;
    Ok((set.map_or(limit, |rate| rate.min(limit)), app))
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
    for run in unfinished_among(&outlook.choices) {
        continues.push(unfinished(input, queue, outlook, run, &now).await?);
    }
    let mut gives_up = Vec::new();
    for run in outlook.replaced() {
        gives_up.push(unfinished(input, queue, outlook, run, &now).await?);
    }
    let (carries_later, carries_nothing_of) = match &outlook.carry {
        Carry::Later(run) => (Some(run.clone()), None),
        Carry::OtherOperation(run) => (None, Some(run.clone())),
        Carry::From(_) | Carry::Nothing => (None, None),
    };
    let missing = input.target.missing().into_iter().map(str::to_owned);
    Ok(Conditions {
        continues,
        gives_up,
        carries_later,
        carries_nothing_of,
        since_last_plan: changes(queue, parts, rerun).await?,
        target: input.target.view(),
        protected: protected(input),
        window: window(&input.job.times, &now),
        calls_per_day: None,
        until: input.job.times.end(&now),
        guards: Vec::new(),
        while_sending: WhileSending::of(&input.job, input.target.is_real()),
        refusals: missing.collect(),
        later_refusals: Vec::new(),
        controlled: Vec::new(),
        now,
    })
}

fn window(times: &TimeLimits, now: &Zoned) -> Option<WindowView> {
    let daily = times.daily.as_ref()?;
    let TimeOfDayLimit::Window(window) = daily else { return None };
    let opens_at = daily.closed_window(now).and_then(|window| window.opens(now));
    Some(WindowView { hours: window.to_string(), opens_at })
}

/// The share of the calls of a plan that `limits.calls_per_day` allows today.
fn calls_per_day(input: &JobInput, calls: u64, now: &Zoned) -> Result<Option<DayView>, SessionError> {
    let Some(limit) = input.job.calls_per_day() else { return Ok(None) };
    let Some(day) = limit.day(now) else { return Ok(None) };
    let used = match input.target.ledger() {
        Some(ledger) => calls_today(&ledger, &limit, now)?,
        None => 0,
    };
    let left = limit.calls.get().saturating_sub(used);
    let days = days_for(calls, left, limit.calls);
    Ok(Some(DayView { limit: limit.calls, left, next_day_at: day.next, calls, days }))
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
    let rates = planned_rates(input, run, &reader).await?;
    let (operation, rows_left) = (run.operation, tally[Outcome::Pending]);
    let preparations = input.job.preparations(operation).calls(operation, requests_left.cast_unsigned(), rows_left);
    Ok(Unfinished {
        run: run.uuid.clone(),
        same_input: outlook.is_current(at),
        rows_left,
        rows: run.row_count.cast_unsigned(),
        estimate: estimate(requests_left.cast_unsigned(), &preparations, rates, run.largest_accounts()),
        began: local(run.started_at.unwrap_or(run.created_at), now.time_zone()),
        ended_by: run.ended_by(),
    })
}

fn protected(input: &JobInput) -> ProtectedView {
    let file = match &input.job.guard.protected {
        Some(Protection::File { path, .. }) => Some(path.display().to_string()),
        Some(Protection::Nobody) | None => None,
    };
    ProtectedView { file, ids: input.protected.ids() as u64, patterns: input.protected.patterns() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::Item;
    use crate::domain::request::line_span::LineSpan;
    use crate::domain::request::row::FieldValues;
    use crate::domain::request::skipped_row::{SkipReason, SkippedRow};
    use crate::testing::{Load, TestQueue, id};

    #[tokio::test]
    async fn a_plan_is_made_of_the_requests_the_first_rejected_rows_and_the_largest_accounts_of_the_run() {
        let item = |row| Item { account: id(&format!("u{row}")), row, updates: None };
        let rejected = |row| SkippedRow {
            row,
            reason: SkipReason::Rejected { column: None, reason: "`To_Account` is empty".to_owned() },
            from: None,
            account: None,
            fields: FieldValues::new(),
        };
        let load = Load {
            requests: vec![
                (Some(id("big")), (0..4).map(item).collect()),
                (Some(id("big")), vec![item(4)]),
                (Some(id("small")), vec![item(5)]),
            ],
            skipped_rows: (6..30).map(rejected).collect(),
            line_spans: vec![LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }],
            sources: vec!["x.csv".to_owned()],
            ..Load::default()
        };
        let test_queue = TestQueue::new("friend_delete", load).await;
        let rate = NonZeroU32::new(200).unwrap();
        let read = planned_run(&test_queue.reader, &test_queue.run, Preparations::default(), (rate, rate));
        let read = read.await.unwrap();
        let first = read.first_request.unwrap();
        assert_eq!((first.from, first.items.len()), (Some(id("big")), 4));
        assert_eq!((read.requests, read.figures.rows, read.figures.items), (3, 30, 6));
        assert_eq!((read.figures.outcomes[Outcome::Pending], read.figures.outcomes[Outcome::Rejected]), (6, 24));
        assert_eq!((read.figures.rejects.0.len(), read.figures.rejects.0[0].line), (20, 8));
        assert_eq!((read.input.0.len(), read.input.0[0].name.as_str()), (1, "x.csv"));
        assert_eq!((read.estimate.requests_left, read.estimate.preparations_left), (3, 0));
        assert_eq!((read.estimate.calls_per_second, read.estimate.in_sequence), (rate, 2));
        assert_eq!(read.largest_accounts.iter().map(|account| account.items).collect::<Vec<_>>(), [5, 1]);
    }
}
