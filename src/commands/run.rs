//! `imbulk run`: load, send, record, sum up.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::exit::Exit;
use super::prepare::{Candidate, Repeat, Step};
use super::target::{Target, cap};
use super::verdict::{exit_of, explain};
use super::{jobs, plan};
use crate::api::Client;
use crate::cli;
use crate::clock;
use crate::domain::outcome::Outcome;
use crate::domain::schedule::{End, JobPlan};
use crate::domain::tally::Tally;
use crate::limiter::Limiter;
use crate::queue::{Queue, Run};
use crate::report::Figures;
use crate::report::progress::{Phase, Progress};
use crate::report::summary::{self, Summary};
use crate::runner::{self, Signals, Task};
use crate::settings::Env;

/// Drives the jobs to their end, or until something stops them.
pub(super) async fn run(args: &cli::Run, env: &Env, queue: &Path) -> Result<Exit, Error> {
    if !args.execute && !args.sandbox {
        eprintln!("nothing is sent without --execute: this is the plan");
        return plan::plan(&cli::Plan { jobs: args.jobs.clone(), json: args.json }, env, queue).await;
    }
    let jobs = jobs::load(&args.jobs, env)?;
    let target = if args.sandbox { Target::sandbox(&jobs).await? } else { Target::of(&jobs, env)? };
    let candidate = |job| jobs::candidate(job, &target.name(), Some(target.identifier.as_str()));
    let mut session = Session {
        candidates: jobs.into_iter().map(candidate).collect::<Result<_, _>>()?,
        target,
        signals: Signals::listen().map_err(Error::io("can't listen for signals"))?,
        summaries: Vec::new(),
        exit: Exit::Done,
        confirmed: args.sandbox || args.yes || !std::io::stdin().is_terminal(),
        json: args.json,
    };
    let mut repeat = if args.again { Repeat::Again } else { Repeat::No };
    let mut queue = Some(Queue::open(queue).await?);
    // An older run is finished first; then the input is looked at again, and what is new is the next round.
    while let Some(owned) = queue {
        queue = session.round(owned, repeat).await?;
        repeat = Repeat::No;
    }
    session.end()
}

struct Session {
    candidates: Vec<Candidate>,
    target: Target,
    signals: Signals,
    summaries: Vec<Summary>,
    exit: Exit,
    /// Whether the user has said that they mean it.
    confirmed: bool,
    json: bool,
}

/// A job with the run that it drives.
struct Driven<'a> {
    candidate: &'a Candidate,
    run: Run,
    tally: Tally,
}

impl Session {
    /// Drives what there is to drive. Gives the queue back if there may be more to do: older runs went first.
    async fn round(&mut self, mut queue: Queue, repeat: Repeat) -> Result<Option<Queue>, Error> {
        let mut driven = Vec::new();
        let mut older = Vec::new();
        for candidate in &self.candidates {
            let run = match prepare(candidate, &mut queue, repeat, &mut self.signals).await? {
                Step::Drive(run) => run,
                Step::Resume(run) => {
                    older.push(run.job.clone());
                    run
                }
                Step::AlreadyFinished(run) => {
                    self.already_finished(&run);
                    continue;
                }
            };
            candidate.check_guard(&queue, &run).await?;
            let tally = queue.reader().await?.tally(run.id).await?;
            driven.push(Driven { candidate, run, tally });
        }
        if driven.is_empty() {
            queue.close().await?;
            return Ok(None);
        }
        if !self.confirmed {
            confirm(&self.target, &driven)?;
        }
        let started = clock::now();
        for driven in &driven {
            queue.begin(driven.run.id, started.as_millisecond()).await?;
        }
        let (client, limiter) = self.target.connect(app_cap(&driven))?;
        let tasks = driven.iter().map(|driven| task(driven, &client, &limiter)).collect::<Result<_, _>>()?;
        let mut progress = Progress::new(Phase::Running);
        let mut watch = |snapshot: &_| progress.update(snapshot);
        let (mut queue, drive) = runner::drive(queue, tasks, rand::random(), &mut self.signals, &mut watch).await?;
        progress.finish();
        let mut exit = Exit::Done;
        for (driven, calls) in driven.iter().zip(&drive.calls) {
            let (came_to, summary) = close(&mut queue, driven, &drive, *calls).await?;
            exit = exit.max(came_to);
            if !self.json {
                super::print(&summary.text())?;
            }
            self.summaries.push(summary);
        }
        self.confirmed = true;
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
            eprintln!("{job}: this input is finished (run {id}); nothing is sent\nhint: --again makes a new run of it");
        }
    }

    fn end(self) -> Result<Exit, Error> {
        if self.json {
            super::print_json(&self.summaries)?;
        }
        if let Some(seen) = self.target.seen() {
            let (calls, worst, overlaps) = (seen.calls, seen.worst_second, seen.overlaps);
            eprintln!("the sandbox saw {calls} calls, at most {worst} in a second, {overlaps} overlapping writes");
        }
        Ok(self.exit)
    }
}

async fn prepare(
    candidate: &Candidate,
    queue: &mut Queue,
    repeat: Repeat,
    signals: &mut Signals,
) -> Result<Step, Error> {
    let mut progress = Progress::new(Phase::Loading);
    let mut watch = |snapshot: &_| progress.update(snapshot);
    let step = tokio::select! {
        biased;
        () = signals.next() => Err(Error::Interrupted),
        step = candidate.prepare(queue, repeat, &mut watch) => step,
    };
    progress.finish();
    step
}

/// Checks the sums, notes how the run stands, sums up.
async fn close(
    queue: &mut Queue,
    driven: &Driven<'_>,
    drive: &runner::Drive,
    calls: u64,
) -> Result<(Exit, Summary), Error> {
    let run = &driven.run;
    let tally = queue.check_sums(run).await?;
    match &drive.end {
        End::Stopped(reason) if tally[Outcome::Pending] > 0 => queue.note_stop(run.id, &explain(reason)).await?,
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
            retry: job.retry,
            max_in_flight: job.limits.max_in_flight.and_then(|width| usize::try_from(width.get()).ok()),
            stop: job.stop,
            tally: driven.tally,
        },
        client: Arc::clone(client),
        limiter: limiter.command(operation.name(), cap(job.limits.calls_per_second)?)?,
        until: job.stop.until,
    })
}

/// What the jobs agree to send the app: the lowest of their caps.
fn app_cap(driven: &[Driven<'_>]) -> NonZeroU32 {
    let caps = driven.iter().map(|driven| driven.candidate.job.limits.app_calls_per_second);
    caps.min().unwrap_or(NonZeroU32::MIN)
}

/// A person at a terminal types the app's number; cron has no terminal.
fn confirm(target: &Target, driven: &[Driven<'_>]) -> Result<(), Error> {
    let mut stderr = std::io::stderr().lock();
    let failed = || Error::io("can't ask for the SDKAppID");
    for Driven { run, tally, .. } in driven {
        let operation = run.operation()?.name();
        writeln!(stderr, "{}: {operation} of {} rows of app {}", run.job, tally[Outcome::Pending], target.sdkappid)
            .map_err(failed())?;
    }
    write!(stderr, "This can't be undone. Type the SDKAppID to go on: ").map_err(failed())?;
    stderr.flush().map_err(failed())?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(failed())?;
    if typed.trim() == target.sdkappid.to_string() {
        return Ok(());
    }
    Err(Error::Usage("that is not the SDKAppID: nothing is sent".to_owned()))
}
