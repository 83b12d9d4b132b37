//! `imbulk run`: load, send, record, sum up.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::exit::Exit;
use super::prepare::{Candidate, Repeat, Step};
use super::target::{Target, cap};
use super::verdict::{exit_of, explain};
use super::{confirm, jobs, plan};
use crate::api::Client;
use crate::cli;
use crate::clock;
use crate::domain::outcome::Outcome;
use crate::domain::schedule::{End, JobPlan};
use crate::domain::tally::Tally;
use crate::limiter::Limiter;
use crate::queue::{Queue, Run, RunId};
use crate::report::Figures;
use crate::report::progress::{Phase, Progress};
use crate::report::summary::{self, Summary};
use crate::report::tell::{finish, tell};
use crate::runner::{self, Deadline, Signals, Task};
use crate::settings::Env;

/// Drives the jobs to their end, or until something stops them.
pub(super) async fn run(args: &cli::Run, env: &Env, queue: &Path) -> Result<Exit, Error> {
    if !args.execute && !args.sandbox {
        tell("nothing is sent without --execute: this is the plan");
        return plan::plan(&cli::Plan { jobs: args.jobs.clone(), json: args.json }, env, queue).await;
    }
    let jobs = jobs::load(&args.jobs, env)?;
    let deadlines = jobs.iter().filter_map(|job| job.stop.until.and_then(Deadline::starting_now)).collect();
    let target = if args.sandbox { Target::sandbox(&jobs).await? } else { Target::of(&jobs, env)? };
    let candidate = |job| jobs::candidate(job, &target.name(), Some(target.identifier.as_str()));
    let mut session = Session {
        candidates: jobs.into_iter().map(candidate).collect::<Result<_, _>>()?,
        target,
        signals: Signals::listen(leave).map_err(Error::io("can't listen for signals"))?,
        deadlines,
        summaries: Vec::new(),
        not_shown: None,
        exit: Exit::Done,
        confirmed: args.sandbox || args.yes || !confirm::is_at_a_terminal(),
        json: args.json,
    };
    let repeat = if args.again { Repeat::Again } else { Repeat::No };
    let queue = unless_signalled(&mut session.signals, async { Ok(Queue::open(queue).await?) }).await?;
    let driven = session.drive(queue, repeat).await;
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
    tell(format!("{why}: left at once; run again to go on"));
    finish();
    std::process::exit(Exit::Stopped.code().into());
}

struct Session {
    candidates: Vec<Candidate>,
    target: Target,
    signals: Signals,
    deadlines: Vec<Deadline>,
    summaries: Vec<Summary>,
    /// Why a summary could not be printed.
    not_shown: Option<Error>,
    exit: Exit,
    /// Whether nobody needs to be asked.
    confirmed: bool,
    json: bool,
}

/// A job with the run that it drives.
struct Driven<'a> {
    candidate: &'a Candidate,
    run: Run,
    /// Unfinished runs in whose place it stands.
    replaces: Vec<RunId>,
    tally: Tally,
}

impl Session {
    async fn drive(&mut self, queue: Queue, mut repeat: Repeat) -> Result<(), Error> {
        let mut queue = Some(queue);
        // An older run is finished first; then the input is looked at again, and what is new is the next round.
        while let Some(owned) = queue {
            let mut identity = owned.identity();
            queue = self.round(owned, repeat).await.map_err(|error| error.or_loss(&mut identity))?;
            repeat = Repeat::No;
        }
        Ok(())
    }

    /// Drives what there is to drive. Gives the queue back if there may be more to do: older runs went first.
    async fn round(&mut self, mut queue: Queue, repeat: Repeat) -> Result<Option<Queue>, Error> {
        let mut driven = Vec::new();
        let mut older = Vec::new();
        for candidate in &self.candidates {
            let (run, replaces) = match prepare(candidate, &mut queue, repeat, &mut self.signals).await? {
                Step::Drive(run) => (run, Vec::new()),
                Step::DriveInstead(run, replaces) => (run, replaces),
                Step::Resume(run) => {
                    older.push(run.job.clone());
                    (run, Vec::new())
                }
                Step::AlreadyFinished(run) => {
                    self.already_finished(&run);
                    continue;
                }
            };
            candidate.check_guard(&queue, &run).await?;
            let tally = queue.reader().await?.tally(&run).await?;
            driven.push(Driven { candidate, run, replaces, tally });
        }
        if driven.is_empty() {
            queue.close().await?;
            return Ok(None);
        }
        let (client, limiter) = self.target.connect(app_cap(&driven))?;
        let tasks = driven.iter().map(|driven| task(driven, &client, &limiter)).collect::<Result<_, _>>()?;
        if !self.confirmed {
            confirm::ask(self.target.sdkappid, &question(&driven)?, &mut self.signals).await?;
        }
        unless_signalled(&mut self.signals, begin(&mut queue, &driven)).await?;
        let mut progress = Progress::new(Phase::Running);
        let mut watch = |snapshot: &_| progress.update(snapshot);
        let drive = runner::drive(queue, tasks, &mut self.deadlines, rand::random(), &mut self.signals, &mut watch);
        let (mut queue, drive) = drive.await?;
        progress.finish();
        let names: Vec<&str> = driven.iter().map(|driven| driven.run.job.as_str()).collect();
        let mut exit = Exit::Done;
        let done_before = self.summaries.len();
        for (driven, calls) in driven.iter().zip(&drive.calls) {
            let closing = close(&mut queue, driven, &drive, *calls, &names);
            let (came_to, summary) = unless_signalled(&mut self.signals, closing).await?;
            exit = exit.max(came_to);
            self.summaries.push(summary);
        }
        if !self.json {
            // What cannot be shown is recorded all the same, and the rest is still to be done.
            let shown = self.summaries[done_before..].iter().try_for_each(|it| super::print(&it.text()).map(drop));
            self.not_shown = self.not_shown.take().or(shown.err());
        }
        self.exit = self.exit.max(exit);
        self.candidates.retain(|candidate| older.contains(&candidate.job.name));
        if matches!(exit, Exit::Done | Exit::DoneWithFailures) && !self.candidates.is_empty() {
            return Ok(Some(queue));
        }
        queue.close().await?;
        Ok(None)
    }

    fn already_finished(&self, run: &Run) {
        // After a round of its own that is no news.
        if self.summaries.is_empty() {
            let (job, id) = (&run.job, &run.uuid);
            tell(format!(
                "{job}: this input is finished (run {id}); nothing is sent\nhint: --again makes a new run of it"
            ));
        }
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

/// From now on the runs are finished before any other input of their jobs, and those that they replace are given up.
async fn begin(queue: &mut Queue, driven: &[Driven<'_>]) -> Result<(), Error> {
    let now = clock::now().as_millisecond();
    for Driven { run, replaces, .. } in driven {
        // In this order: killed in between, the new run is a plan and the next start begins it. The other way round both
        // would be unfinished, and both be sent.
        for replaced in replaces {
            queue.supersede(*replaced).await?;
        }
        queue.begin(run.id, now).await?;
    }
    Ok(())
}

/// What the user is asked to confirm.
fn question(driven: &[Driven<'_>]) -> Result<String, Error> {
    let mut text = String::new();
    for Driven { run, tally, .. } in driven {
        let operation = run.operation()?.name();
        text.push_str(&format!("{}: {operation} of {} rows\n", run.job, tally[Outcome::Pending]));
    }
    Ok(text)
}

async fn prepare(
    candidate: &Candidate,
    queue: &mut Queue,
    repeat: Repeat,
    signals: &mut Signals,
) -> Result<Step, Error> {
    let mut progress = Progress::new(Phase::Loading);
    let mut watch = |snapshot: &_| progress.update(snapshot);
    let step = unless_signalled(signals, candidate.prepare(queue, repeat, &mut watch)).await;
    progress.finish();
    step
}

/// Gives up what is done outside of a drive, and may take long, when a signal comes. All of it can be done again.
async fn unless_signalled<T>(signals: &mut Signals, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        biased;
        signal = signals.next() => Err(Error::Interrupted(signal)),
        done = doing => done,
    }
}

/// Checks the sums, notes how the run stands, sums up.
async fn close(
    queue: &mut Queue,
    driven: &Driven<'_>,
    drive: &runner::Drive,
    calls: u64,
    jobs: &[&str],
) -> Result<(Exit, Summary), Error> {
    let run = &driven.run;
    queue.identity().check()?;
    let tally = queue.check_sums(run).await?;
    match &drive.end {
        End::Stopped(reason) if tally[Outcome::Pending] > 0 => queue.note_stop(run.id, &explain(reason, jobs)).await?,
        End::Stopped(_) | End::Complete => queue.finish(run.id, clock::now().as_millisecond()).await?,
    }
    let figures = Figures::read(&queue.reader().await?, &queue.run(run.id).await?).await?;
    let items = driven.tally[Outcome::Pending] - tally[Outcome::Pending];
    let session = summary::Session { took: drive.elapsed, calls, items };
    Ok((exit_of(&tally, &drive.end, driven.candidate.job.input.rejects), Summary { figures, session }))
}

fn task(driven: &Driven<'_>, client: &Arc<Client>, limiter: &Limiter) -> Result<Task, Error> {
    let job = &driven.candidate.job;
    let operation = driven.run.operation()?;
    Ok(Task {
        run: driven.run.id,
        plan: JobPlan {
            operation,
            delete_type: driven.run.delete_type(),
            calls_per_second: job.limits.calls_per_second,
            retry: job.retry,
            max_in_flight: job.limits.max_in_flight.and_then(|width| usize::try_from(width.get()).ok()),
            stop: job.stop,
            tally: driven.tally,
        },
        client: Arc::clone(client),
        limiter: limiter.command(operation.name(), cap(job.limits.calls_per_second)?)?,
    })
}

/// What the jobs agree to send the app: the lowest of their caps.
fn app_cap(driven: &[Driven<'_>]) -> NonZeroU32 {
    let caps = driven.iter().map(|driven| driven.candidate.job.limits.app_calls_per_second);
    caps.min().unwrap_or(NonZeroU32::MIN)
}
