//! The runs that a session sends.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::approval::Clearance;
use super::error::SessionError;
use super::job_input::JobInput;
use super::load_or_reuse::ReadyRun;
use super::target::cap;
use crate::api::Client;
use crate::clock;
use crate::domain::backup::{BackupHeader, SCHEMA};
use crate::domain::guard::OutcomeCounts;
use crate::domain::ids::{RequestId, RunId};
use crate::domain::job::Job;
use crate::domain::rate_limit::calls_per_day::CallsPerDay;
use crate::domain::request::CallKind;
use crate::domain::response::outcome::{Count, Outcome};
use crate::domain::response::tally::Tally;
use crate::domain::schedule::ScheduledJob;
use crate::queue::{Queue, Run, StoredApproval};
use crate::rate_limiter::Limiter;
use crate::report::stop_message::stop_message;
use crate::runner::{BackupWriter, ReadOnlyCommand, RunnerError, RunnerJob};

/// A run that a session sends, with its job.
pub(super) struct SessionRun<'a> {
    pub(super) input: &'a JobInput,
    pub(super) ready: ReadyRun,
    pub(super) tally: Tally,
    /// Items that earlier sessions have ended, counted up to the size of the canary.
    pub(super) ended_items: Count,
    /// The rate that a person has set for the run.
    pub(super) rate: Option<NonZeroU32>,
    /// The last request that may be sent.
    pub(super) last_request: RequestId,
    /// Whether `--limit` is set, so that later requests may be withheld.
    pub(super) has_item_limit: bool,
    /// Whether `--limit` withholds all that could be sent: nothing is to be done for the run.
    pub(super) is_withheld: bool,
}

/// Applies `--limit` to a run: finds its last request that may be sent.
pub(super) async fn admit<'a>(
    queue: &mut Queue,
    input: &'a JobInput,
    ready: ReadyRun,
    limit: &mut Option<u64>,
) -> Result<SessionRun<'a>, SessionError> {
    let run = ready.run.id;
    let (last_request, has_item_limit) = match limit {
        Some(left) => {
            let found = queue.first_items(run, *left).await?;
            // Requests that a killed session sent are withheld, unless all that is left is within the limit.
            let in_flight = queue.reader().await?.sending_items(run).await?;
            let all_fit = in_flight > 0 && found.items + in_flight <= *left;
            *left = left.saturating_sub(found.items + if all_fit { in_flight } else { 0 });
            (found.last_request, !all_fit)
        }
        None => (queue.reader().await?.last_request(run).await?, false),
    };
    let tally = queue.reader().await?.tally(&ready.run).await?;
    let canary = input.job.guard.canary_on(true);
    // A run with fewer rows has fewer items, too. Most runs begin, and need not be searched for items with an outcome.
    let ended_items = match OutcomeCounts::of(&tally).ended {
        rows if rows < canary => 0,
        _ => queue.reader().await?.ended_items(run, canary).await?,
    };
    let rate = queue.control_state(run).await?.rate;
    let is_withheld = has_item_limit && last_request == RequestId::BEFORE_FIRST && tally[Outcome::Pending] > 0;
    Ok(SessionRun { input, ready, tally, ended_items, rate, last_request, has_item_limit, is_withheld })
}

/// Begins the runs and supersedes the runs that they replace. No run begins in another place, and none without its
/// clearance.
pub(super) async fn begin(
    queue: &mut Queue,
    runs: &[SessionRun<'_>],
    clearances: Vec<Clearance>,
    plan: &str,
) -> Result<(), SessionError> {
    let now = clock::now().as_millisecond();
    let mut cleared: BTreeMap<RunId, Option<StoredApproval>> =
        clearances.into_iter().map(Clearance::into_parts).collect();
    for SessionRun { input, ready: ReadyRun { run, replaces, .. }, .. } in runs {
        let approval = cleared.remove(&run.id).expect("only a run with a clearance begins");
        queue.store_settings(run.id, &input.settings_digest(), &input.call_settings(run)).await?;
        // Superseding comes first. After a kill between the two steps, the new run is still a plan, which the next
        // session begins. In the other order both runs would be unfinished, and both would be sent.
        for replaced in replaces {
            queue.supersede(*replaced).await?;
        }
        let start = input.session_start(queue, run, plan.to_owned()).await?;
        queue.begin(run.id, now, approval.as_ref()).await?;
        queue.store_session(run.id, now, &start).await?;
    }
    Ok(())
}

/// What the runner needs of the run.
pub(super) fn runner_job(
    session_run: &SessionRun<'_>,
    client: &Arc<Client>,
    limiter: &Limiter,
    (endpoint, is_real): (&str, bool),
) -> Result<RunnerJob, SessionError> {
    let job = &session_run.input.job;
    let run = &session_run.ready.run;
    let (operation, max_rate) = (run.operation, session_run.input.calls_per_second(run));
    // The job file may have been changed since the rate was set.
    let calls_per_second = session_run.rate.map_or(max_rate, |rate| rate.min(max_rate));
    let preparations = job.preparations(operation);
    let lookups = operation.lookup.map(|lookup| (CallKind::Lookup, lookup.command()));
    let asked = preparations.calls(operation, 0, 0);
    let before = asked.iter().map(|calls| (CallKind::Preparation(calls.preparation), calls.preparation.command()));
    let reading = lookups.into_iter().chain(before).map(|(kind, command)| {
        let published = NonZeroU32::new(command.calls_per_second).unwrap_or(NonZeroU32::MIN);
        let limiter = limiter.command(command.name, cap(calls_per_second.min(published))?)?;
        Ok::<_, SessionError>(ReadOnlyCommand { kind, path: command.path, cap: published, limiter })
    });
    Ok(RunnerJob {
        last_request: session_run.last_request,
        has_item_limit: session_run.has_item_limit,
        uuid: run.uuid.clone(),
        name: run.job.clone(),
        explain_stop: |reason| stop_message(reason, &[]),
        max_rate,
        scheduled: ScheduledJob {
            run: run.id,
            sdkappid: run.target.sdkappid(),
            priority: job.priority,
            operation,
            preparations,
            calls_per_second,
            retry: job.retry,
            max_in_flight: job.limits.max_in_flight.and_then(|width| usize::try_from(width.get()).ok()),
            stop: job.stop,
            max_already_done: job.guard.max_already_done,
            canary: job.guard.canary_on(is_real),
            ended_items: session_run.ended_items,
            tally: session_run.tally,
        },
        client: Arc::clone(client),
        limiter: limiter.command(operation.name, cap(calls_per_second)?)?,
        reading: reading.collect::<Result<_, _>>()?,
        backup: backup_writer(job, run, endpoint)?,
    })
}

/// Writes the backup of the run, if the job asks for one.
fn backup_writer(job: &Job, run: &Run, endpoint: &str) -> Result<Option<BackupWriter>, SessionError> {
    let Some(backup) = &job.backup else { return Ok(None) };
    let operation = run.operation;
    let header = BackupHeader {
        schema: SCHEMA.to_owned(),
        job: run.job.clone(),
        run: run.uuid.clone(),
        target: run.target,
        endpoint: endpoint.to_owned(),
        identifier: job.app.identifier.clone(),
        operation: operation.name.to_owned(),
        options: operation.options().map(|(option, value)| (option.name.to_owned(), value.name.to_owned())).collect(),
        began_at: clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    Ok(Some(BackupWriter::new(run.id, &backup.folder, header).map_err(RunnerError::from)?))
}

/// The lowest cap of the app that a job sets.
pub(super) fn app_cap(runs: &[&SessionRun<'_>]) -> NonZeroU32 {
    let caps = runs.iter().map(|run| run.input.job.limits.app_calls_per_second);
    caps.min().unwrap_or(NonZeroU32::MIN)
}

/// The limits of all calls of the app on a calendar day.
pub(super) fn calls_per_day(runs: &[&SessionRun<'_>]) -> Vec<CallsPerDay> {
    runs.iter().filter_map(|run| run.input.job.calls_per_day()).collect()
}
