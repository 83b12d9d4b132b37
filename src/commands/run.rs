//! `imbulk run`: load, send, record, sum up.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::exit::Exit;
use super::prepare::{JobInput, Outlook, Prepared, nothing_to_resume};
use super::target::{Address, Target, cap};
use super::verdict::{exit_of, exit_of_finished, explain};
use super::{confirm, jobs, plan};
use crate::api::Client;
use crate::cli;
use crate::clock;
use crate::domain::plan_id::{PlanParts, plan_id};
use crate::domain::request::RequestId;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::run_choice::Rerun;
use crate::domain::schedule::{End, JobPlan, StopReason};
use crate::queue::{Queue, Run};
use crate::rate_limiter::Limiter;
use crate::report::input::Input;
use crate::report::progress::{Phase, Progress};
use crate::report::summary::{self, Summary};
use crate::report::tell::{finish, tell};
use crate::report::{Figures, moment_ahead};
use crate::runner::{self, Deadline, Signals, Task};
use crate::settings::Env;

/// Drives the jobs to their end, or until something stops them.
pub(super) async fn run(args: &cli::Run, env: &Env, queue: &Path) -> Result<Exit, Error> {
    if !args.execute && !args.sandbox {
        tell("nothing is sent without --execute: this is the plan");
        return plan::plan(&cli::Plan { jobs: args.jobs.clone(), json: args.json }, env, queue).await;
    }
    jobs::check_environment(env)?;
    let jobs = jobs::load(&args.jobs, env)?;
    jobs::tell_zone(&jobs);
    let deadlines = jobs.iter().filter_map(|job| job.stop.until.and_then(Deadline::starting_now)).collect::<Vec<_>>();
    if let Some(due) = deadlines.iter().map(Deadline::due).min() {
        tell(format!("until {}", moment_ahead(due, &clock::local_now())));
    }
    let target = if args.sandbox { Target::sandbox(&jobs).await? } else { Target::of(&jobs, env)? };
    if let Some(proxy) = target.proxy() {
        tell(format!("calls go through the proxy {proxy}"));
    }
    if target.is_real() {
        jobs.iter().try_for_each(|job| jobs::check_protection(job, job.operation))?;
    }
    let mut inputs = Vec::new();
    for job in jobs {
        let address = if args.sandbox { Address::sandbox(&job) } else { Address::of(&job, env)? };
        inputs.push(jobs::with_protected(job, address)?);
    }
    let mut session = Session {
        inputs,
        target,
        signals: Signals::listen(leave).map_err(Error::io("can't listen for signals"))?,
        deadlines,
        summaries: Vec::new(),
        not_shown: None,
        exit: Exit::Done,
        confirmed: args.sandbox || args.yes || !confirm::is_at_a_terminal(),
        json: args.json,
        limit: args.limit,
        plan: args.plan.clone(),
        planned: Vec::new(),
        was_asked: false,
    };
    let rerun = match (args.again, args.resume) {
        (true, _) => Rerun::Again,
        (false, true) => Rerun::Resume,
        (false, false) => Rerun::No,
    };
    let queue = or_signal(&mut session.signals, super::open_queue(queue)).await?;
    let driven = session.drive(queue, rerun).await;
    // What was done is summed up also where something went wrong after it.
    let user = session.target.user();
    let exit = session.end();
    if let Some(user) = user {
        user.leave().await;
    }
    let exit = exit?;
    driven.map(|()| exit)
}

/// Ends the process where it stands, as a kill would: what is on disk is right.
fn leave(why: &str) {
    tell(format!("{why}: ended without waiting for the calls in flight; run the same command to resume"));
    finish();
    std::process::exit(Exit::Stopped.code().into());
}

struct Session {
    inputs: Vec<JobInput>,
    target: Target,
    signals: Signals,
    deadlines: Vec<Deadline>,
    summaries: Vec<Summary>,
    /// Why a summary could not be printed.
    not_shown: Option<Error>,
    exit: Exit,
    /// Whether no confirmation is required.
    confirmed: bool,
    json: bool,
    /// Items that may still be sent, if `--limit` says how many.
    limit: Option<u64>,
    /// The plan that is to be sent, and no other.
    plan: Option<String>,
    /// What the last round was about to do, and what was to follow.
    planned: Vec<PlanParts>,
    /// Whether a person saw all of it and confirmed.
    was_asked: bool,
}

/// A job with the run that it drives.
struct Driven<'a> {
    input: &'a JobInput,
    prepared: Prepared,
    tally: Tally,
    /// The last request that may be sent.
    last_request: RequestId,
    /// Whether `--limit` may keep others back.
    limited: bool,
}

impl Driven<'_> {
    /// Whether `--limit` lets anything of it be sent.
    fn may_send(&self) -> bool {
        !self.limited || self.last_request > 0 || self.tally[Outcome::Pending] == 0
    }

    /// The calls per second of the run's own command. A run that is resumed may be of another one than the job names now.
    fn calls_per_second(&self) -> Result<NonZeroU32, Error> {
        let (job, operation) = (&self.input.job, self.prepared.run.operation()?);
        let rate = job.limits.calls_per_second;
        if operation.name() == job.operation.name() {
            return Ok(rate);
        }
        Ok(NonZeroU32::new(operation.calls_per_second()).map_or(rate, |cap| rate.min(cap)))
    }
}

impl Session {
    async fn drive(&mut self, queue: Queue, mut rerun: Rerun) -> Result<(), Error> {
        let mut queue = Some(queue);
        // An older run is finished first; then the input is looked at again, and what is new is the next round.
        while let Some(owned) = queue {
            let mut identity = owned.identity();
            queue = self.round(owned, rerun).await.map_err(|error| error.or_loss(&mut identity))?;
            rerun = Rerun::No;
        }
        Ok(())
    }

    /// Drives what there is to drive. Gives the queue back if there may be more to do: older runs went first.
    async fn round(&mut self, mut queue: Queue, rerun: Rerun) -> Result<Option<Queue>, Error> {
        or_signal(&mut self.signals, async { Ok(queue.note_kills().await?) }).await?;
        let prepared = self.prepare(&mut queue, rerun).await?;
        if prepared.iter().all(Option::is_none) {
            queue.close().await?;
            return Ok(None);
        }
        self.confirm(&mut queue, rerun).await?;
        let older: Vec<String> =
            prepared.iter().flatten().filter(|it| it.is_older).map(|it| it.run.job.clone()).collect();
        let mut driven = Vec::new();
        for (input, prepared) in self.inputs.iter().zip(prepared) {
            if let Some(prepared) = prepared {
                let admitted = admit(&mut queue, input, prepared, &mut self.limit);
                driven.push(or_signal(&mut self.signals, admitted).await?);
            }
        }
        // What `--limit` leaves nothing of is not begun.
        driven.retain(Driven::may_send);
        if driven.is_empty() {
            tell(
                "nothing is sent: --limit allows no more items\nhint: run it again with a higher --limit, or without it",
            );
            self.exit = self.exit.max(Exit::Stopped);
            queue.close().await?;
            return Ok(None);
        }
        let (client, limiter) = self.target.connect(app_cap(&driven))?;
        let is_real = self.target.is_real();
        let tasks = driven.iter().map(|driven| task(driven, &client, &limiter, is_real)).collect::<Result<_, _>>()?;
        or_signal(&mut self.signals, begin(&mut queue, &driven)).await?;
        let mut progress = Progress::new(Phase::Running);
        let mut watch = |snapshot: &_| progress.update(snapshot);
        let drive = runner::drive(queue, tasks, &mut self.deadlines, rand::random(), &mut self.signals, &mut watch);
        let (mut queue, drive) = drive.await?;
        progress.finish();
        let names: Vec<&str> = driven.iter().map(|driven| driven.prepared.run.job.as_str()).collect();
        let mut exit = Exit::Done;
        let done_before = self.summaries.len();
        for (driven, calls) in driven.iter().zip(&drive.calls) {
            let closing = close(&mut queue, driven, &drive, *calls, &names);
            let (came_to, summary) = or_signal(&mut self.signals, closing).await?;
            exit = exit.max(came_to);
            self.summaries.push(summary);
        }
        if !self.json {
            // What cannot be shown is recorded all the same, and the rest is still to be done.
            let shown = self.summaries[done_before..].iter().try_for_each(|it| super::print(&it.text()).map(drop));
            self.not_shown = self.not_shown.take().or(shown.err());
        }
        self.exit = self.exit.max(exit);
        self.inputs.retain(|input| older.contains(&input.job.name));
        if matches!(exit, Exit::Done | Exit::DoneWithFailures) && !self.inputs.is_empty() {
            return Ok(Some(queue));
        }
        queue.close().await?;
        Ok(None)
    }

    /// Finds or loads the run of each job; none where there is nothing to send. Nothing is sent if this fails.
    async fn prepare(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<Vec<Option<Prepared>>, Error> {
        let (mut outlooks, mut parts) = (Vec::new(), Vec::new());
        for input in &mut self.inputs {
            let outlook = or_signal(&mut self.signals, input.inspect(queue, rerun)).await?;
            parts.push(input.plan_parts(queue, &outlook).await?);
            outlooks.push(outlook);
        }
        if outlooks.iter().all(Outlook::resumes_nothing) {
            return Err(nothing_to_resume());
        }
        self.compare_with_plan(queue, parts).await?;
        let mut all = Vec::new();
        for (at, outlook) in outlooks.into_iter().enumerate() {
            if let Some(finished) = outlook.finished() {
                self.already_finished(queue, at, &finished).await?;
            }
            let input = &mut self.inputs[at];
            let mut progress = Progress::new(Phase::Loading);
            let mut watch = |snapshot: &_| progress.update(snapshot);
            let prepared = or_signal(&mut self.signals, input.prepare(queue, outlook, rerun, &mut watch)).await;
            progress.finish();
            let prepared = prepared?;
            if let Some(Prepared { run, .. }) = &prepared {
                // A run that is resumed may be of another operation than the job names now.
                if self.target.is_real() {
                    jobs::check_protection(&input.job, run.operation()?)?;
                }
                if let Some(refusal) = input.refusals(queue, run).await?.into_iter().next() {
                    return Err(refusal);
                }
                tell_notes(queue, run).await?;
            }
            all.push(prepared);
        }
        Ok(all)
    }

    /// Refuses another plan than the one that was asked for; without one, says what is different from the plan before.
    async fn compare_with_plan(&mut self, queue: &mut Queue, parts: Vec<PlanParts>) -> Result<(), Error> {
        let is_first_round = self.planned.is_empty();
        match &self.plan {
            Some(asked) if is_first_round && *asked == plan_id(&parts) && parts.iter().any(PlanParts::sends) => {}
            Some(asked) if is_first_round => {
                let what = plan::what_differs(queue, &parts, asked).await?;
                return Err(Error::OtherPlan { asked: asked.clone(), what });
            }
            // The older runs of the plan are finished; what follows must be the rest of it.
            Some(asked) => {
                if let Some(what) = self.differs_from_rest(&parts) {
                    return Err(Error::OtherPlan { asked: asked.clone(), what });
                }
            }
            None if is_first_round => {
                for part in parts.iter().filter(|part| part.sends()) {
                    if let Some(note) = plan::differs_from_last(queue, part).await? {
                        tell(note);
                    }
                }
            }
            None => match self.differs_from_rest(&parts) {
                Some(what) if self.was_asked => {
                    return Err(Error::OtherPlan { asked: "as it was confirmed".to_owned(), what });
                }
                Some(what) => tell(format!("note: {what}")),
                None => {}
            },
        }
        self.planned = parts;
        Ok(())
    }

    /// What is different from the rest of what was planned, now that the older runs of the last round are finished.
    fn differs_from_rest(&self, parts: &[PlanParts]) -> Option<String> {
        let rest = |planned: &PlanParts| PlanParts {
            continues: planned.continues.iter().skip(1).cloned().collect(),
            ..planned.clone()
        };
        let rest: Vec<PlanParts> = self.planned.iter().map(rest).collect();
        let other = parts.iter().find(|part| !rest.contains(part))?;
        Some(format!("{}: the input or the job changed while the older run was finished", other.job))
    }

    /// Shows all that would be sent and asks for confirmation, if that is required.
    async fn confirm(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<(), Error> {
        if std::mem::replace(&mut self.confirmed, true) {
            return Ok(());
        }
        let mut text = String::new();
        for input in &mut self.inputs {
            let (plan, _) = plan::plan_job(input, queue, rerun).await?;
            text.push_str(&plan.question());
        }
        self.was_asked = true;
        confirm::ask(self.target.sdkappid, &text, &mut self.signals).await
    }

    /// A run has finished this input before: nothing is sent, and it counts as that run did.
    async fn already_finished(&mut self, queue: &Queue, input: usize, run: &Run) -> Result<(), Error> {
        let tally = queue.reader().await?.tally(run).await?;
        self.exit = self.exit.max(exit_of_finished(&tally, self.inputs[input].job.input.rejects));
        // After a round of its own that is no news.
        if self.summaries.is_empty() {
            let (job, id) = (&run.job, &run.uuid);
            tell(format!(
                "{job}: this input is finished (run {id}); nothing is sent\nhint: --again makes a new run of it"
            ));
        }
        Ok(())
    }

    fn end(self) -> Result<Exit, Error> {
        if self.json {
            super::print_json(&self.summaries)?;
        }
        if let Some(seen) = self.target.seen() {
            let (calls, worst, overlaps) = (seen.calls, seen.worst_second, seen.overlaps);
            tell(format!("the sandbox saw {calls} calls, at most {worst} in a second, {overlaps} overlapping writes"));
        }
        self.not_shown.map_or(Ok(self.exit), Err)
    }
}

/// Waits for what a signal ends. All of it can be done again.
async fn or_signal<T>(signals: &mut Signals, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        biased;
        signal = signals.next() => Err(Error::Interrupted(signal)),
        done = doing => done,
    }
}

/// A run that is about to be driven, as far as `--limit` lets it.
async fn admit<'a>(
    queue: &mut Queue,
    input: &'a JobInput,
    prepared: Prepared,
    limit: &mut Option<u64>,
) -> Result<Driven<'a>, Error> {
    let run = prepared.run.id;
    let last_request = match limit {
        Some(left) => {
            let limited = queue.limit(run, *left).await?;
            *left = left.saturating_sub(limited.items);
            limited.last_request
        }
        None => queue.reader().await?.last_request(run).await?,
    };
    let tally = queue.reader().await?.tally(&prepared.run).await?;
    Ok(Driven { input, prepared, tally, last_request, limited: limit.is_some() })
}

/// From now on the runs are finished before any other input of their jobs, and those that they replace are given up.
async fn begin(queue: &mut Queue, driven: &[Driven<'_>]) -> Result<(), Error> {
    let now = clock::now().as_millisecond();
    for Driven { input, prepared: Prepared { run, replaces, .. }, .. } in driven {
        queue.note_settings(run.id, &input.settings()).await?;
        // In this order: killed in between, the new run is a plan and the next start begins it. The other way round both
        // would be unfinished, and both be sent.
        for replaced in replaces {
            queue.supersede(*replaced).await?;
        }
        queue.begin(run.id, now).await?;
    }
    Ok(())
}

/// What must be known of the input before its first row is sent.
async fn tell_notes(queue: &Queue, run: &Run) -> Result<(), Error> {
    if run.started_at.is_none() {
        Input::read(&queue.reader().await?, run).await?.notes().for_each(tell);
    }
    Ok(())
}

/// Checks the sums, notes how the run stands, sums up.
async fn close(
    queue: &mut Queue,
    driven: &Driven<'_>,
    drive: &runner::Drive,
    calls: u64,
    jobs: &[&str],
) -> Result<(Exit, Summary), Error> {
    let run = &driven.prepared.run;
    queue.identity().check()?;
    let tally = queue.check_sums(run).await?;
    let end = match &drive.end {
        End::Complete if driven.limited && tally[Outcome::Pending] > 0 => End::Stopped(StopReason::Limit),
        end => end.clone(),
    };
    match &end {
        End::Stopped(reason) if tally[Outcome::Pending] > 0 => {
            queue.note_stop(run.id, reason.ended_by(), &explain(reason, jobs)).await?;
        }
        End::Stopped(_) | End::Complete => queue.finish(run.id, clock::now().as_millisecond()).await?,
    }
    let figures = Figures::read(&queue.reader().await?, &queue.run(run.id).await?).await?;
    let items = driven.tally[Outcome::Pending] - tally[Outcome::Pending];
    let session = summary::Session { took: drive.elapsed, calls, items };
    Ok((exit_of(&tally, &end, driven.input.job.input.rejects), Summary { figures, session }))
}

fn task(driven: &Driven<'_>, client: &Arc<Client>, limiter: &Limiter, is_real: bool) -> Result<Task, Error> {
    let job = &driven.input.job;
    let run = &driven.prepared.run;
    let (operation, calls_per_second) = (run.operation()?, driven.calls_per_second()?);
    Ok(Task {
        run: run.id,
        last_request: driven.last_request,
        limited: driven.limited,
        plan: JobPlan {
            operation,
            delete_type: run.delete_type(),
            calls_per_second,
            retry: job.retry,
            max_in_flight: job.limits.max_in_flight.and_then(|width| usize::try_from(width.get()).ok()),
            stop: job.stop,
            max_already_done: job.guard.max_already_done,
            canary: job.guard.canary_on(is_real),
            tally: driven.tally,
        },
        client: Arc::clone(client),
        limiter: limiter.command(operation.name(), cap(calls_per_second)?)?,
    })
}

/// What the jobs agree to send the app: the lowest of their caps.
fn app_cap(driven: &[Driven<'_>]) -> NonZeroU32 {
    let caps = driven.iter().map(|driven| driven.input.job.limits.app_calls_per_second);
    caps.min().unwrap_or(NonZeroU32::MIN)
}
