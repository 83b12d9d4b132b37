//! `imbulk run` and `imbulk plan`.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::exit::Exit;
use super::prepare::{Candidate, Repeat, Step};
use super::target::{SANDBOX, Target, cap};
use crate::cli;
use crate::clock;
use crate::domain::guard::GuardTripped;
use crate::domain::job::{Job, Rejects};
use crate::domain::outcome::Outcome;
use crate::domain::schedule::{End, JobPlan, StopReason};
use crate::domain::tally::Tally;
use crate::limiter::Limiter;
use crate::queue::{Queue, Run};
use crate::runner::{self, Signals, Task};
use crate::settings::{self, Env};

/// `imbulk run`
pub async fn run(args: &cli::Run, env: &Env, queue: &Path) -> Result<Exit, Error> {
    if !args.execute && !args.sandbox {
        eprintln!("nothing is sent without --execute: this is the plan");
        return plan(&cli::Plan { jobs: args.jobs.clone(), json: args.json }, env, queue).await;
    }
    let jobs = load_jobs(&args.jobs, env)?;
    let target = if args.sandbox { Target::sandbox(&jobs).await? } else { Target::of(&jobs, env)? };
    let candidates = candidates(jobs, &target.name(), Some(target.identifier.as_str()))?;
    let mut session = Session {
        target,
        candidates,
        exit: Exit::Done,
        confirmed: args.sandbox || args.yes || !std::io::stdin().is_terminal(),
    };
    let mut signals = Signals::listen().map_err(Error::io("can't listen for signals"))?;
    let mut queue = Queue::open(queue).await?;
    let mut repeat = if args.again { Repeat::Again } else { Repeat::No };
    // An older run is finished first; then the input is looked at again, and what is new is the next round.
    loop {
        let (round, next) = session.round(queue, repeat, &mut signals).await?;
        queue = next;
        repeat = Repeat::No;
        if round == Round::Last {
            break;
        }
    }
    queue.close().await?;
    session.report_sandbox();
    Ok(session.exit)
}

/// Whether there may be more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    More,
    Last,
}

struct Session {
    target: Target,
    candidates: Vec<Candidate>,
    exit: Exit,
    confirmed: bool,
}

/// A job with the run that it drives.
struct Driven<'a> {
    candidate: &'a Candidate,
    run: Run,
    tally: Tally,
}

impl Session {
    async fn round(
        &mut self,
        mut queue: Queue,
        repeat: Repeat,
        signals: &mut Signals,
    ) -> Result<(Round, Queue), Error> {
        let mut runs = Vec::new();
        for candidate in &self.candidates {
            let mut watch = |_: u64| {};
            let step = tokio::select! {
                biased;
                () = signals.next() => return Err(Error::Interrupted),
                step = candidate.prepare(&mut queue, repeat, &mut watch) => step?,
            };
            match step {
                Step::Drive(run) => {
                    check_guard(candidate, &queue, &run).await?;
                    let tally = queue.reader().await?.tally(run.id).await?;
                    runs.push(Driven { candidate, run, tally });
                }
                Step::AlreadyFinished(run) if self.exit == Exit::Done => {
                    eprintln!(
                        "{}: this input is finished (run {}); nothing is sent\nhint: --again makes a new run of it",
                        run.job, run.uuid
                    );
                }
                Step::AlreadyFinished(_) => {}
            }
        }
        if runs.is_empty() {
            return Ok((Round::Last, queue));
        }
        if !self.confirmed {
            confirm(&self.target, &runs)?;
            self.confirmed = true;
        }
        let now = clock::now().as_millisecond();
        for driven in &runs {
            queue.begin(driven.run.id, now).await?;
        }
        let (client, limiter) = self.target.connect(app_cap(&runs))?;
        let tasks = runs.iter().map(|driven| task(driven, &client, &limiter)).collect::<Result<_, _>>()?;
        let (mut queue, end, calls) = runner::drive(queue, tasks, rand::random(), signals, &mut |_| {}).await?;
        let mut exit = Exit::Done;
        for driven in &runs {
            exit = exit.max(close(&mut queue, driven, &end, calls).await?);
        }
        self.exit = self.exit.max(exit);
        let round = if matches!(exit, Exit::Done | Exit::DoneWithFailures) { Round::More } else { Round::Last };
        Ok((round, queue))
    }

    fn report_sandbox(&self) {
        if let Some(seen) = self.target.seen() {
            eprintln!(
                "the sandbox saw {} calls, at most {} in a second, {} overlapping writes",
                seen.calls, seen.worst_second, seen.overlaps
            );
        }
    }
}

/// Checks the sums, notes how the run stands, sums up.
async fn close(queue: &mut Queue, driven: &Driven<'_>, end: &End, calls: u64) -> Result<Exit, Error> {
    let tally = queue.check_sums(&driven.run).await?;
    let exit = exit_of(&tally, end, driven.candidate.job.input.rejects);
    match end {
        End::Stopped(reason) if tally[Outcome::Pending] > 0 => {
            queue.note_stop(driven.run.id, &explain(reason)).await?;
            eprintln!("{}: stopped: {}", driven.run.job, explain(reason));
        }
        End::Stopped(_) | End::Complete => queue.finish(driven.run.id, clock::now().as_millisecond()).await?,
    }
    println!("{} {}: {} rows, {calls} calls", driven.run.job, driven.run.uuid, tally.total());
    for (outcome, rows) in tally.iter() {
        println!("  {outcome:<13}{rows}");
    }
    Ok(exit)
}

fn exit_of(tally: &Tally, end: &End, rejects: Rejects) -> Exit {
    if tally[Outcome::Pending] > 0
        && let End::Stopped(reason) = end
    {
        return match reason {
            StopReason::Deadline | StopReason::Signal => Exit::Stopped,
            StopReason::Unreachable { .. } | StopReason::Fuse { .. } | StopReason::Fatal { .. } => Exit::Halted,
        };
    }
    let rejected = match rejects {
        Rejects::Count => tally[Outcome::Rejected],
        Rejects::Allow => 0,
    };
    let failures = tally[Outcome::Failed] + tally[Outcome::InDoubt] + rejected;
    if failures > 0 { Exit::DoneWithFailures } else { Exit::Done }
}

fn explain(reason: &StopReason) -> String {
    match reason {
        StopReason::Deadline => "the time of `stop.until` has come".to_owned(),
        StopReason::Signal => "by a signal".to_owned(),
        StopReason::Unreachable { seconds, reason } => {
            format!("the endpoint could not be reached for {seconds} s: {reason}")
        }
        StopReason::Fuse { failed, ended, .. } => format!("the fuse: {failed} of {ended} items failed"),
        StopReason::Fatal { code: Some(code), reason, .. } => {
            format!("code {code}: {reason}\nhint: `imbulk explain {code}` says what to do")
        }
        StopReason::Fatal { code: None, reason, .. } => reason.clone(),
    }
}

async fn check_guard(candidate: &Candidate, queue: &Queue, run: &Run) -> Result<(), Error> {
    let last_runs = candidate.last_runs(queue).await?;
    let checked: Result<(), GuardTripped> = candidate.job.guard.check(run.item_count.cast_unsigned(), &last_runs);
    checked.map_err(|source| Error::Guard { job: run.job.clone(), source })
}

fn task(driven: &Driven<'_>, client: &Arc<crate::api::Client>, limiter: &Limiter) -> Result<Task, Error> {
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
fn app_cap(runs: &[Driven<'_>]) -> NonZeroU32 {
    let caps = runs.iter().map(|driven| driven.candidate.job.limits.app_calls_per_second);
    caps.min().unwrap_or(NonZeroU32::MIN)
}

/// A person at a terminal types the app's number; cron has no terminal.
fn confirm(target: &Target, runs: &[Driven<'_>]) -> Result<(), Error> {
    let mut stderr = std::io::stderr().lock();
    let failed = || Error::io("can't ask for the SDKAppID");
    for Driven { run, tally, .. } in runs {
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

/// `imbulk plan`
pub async fn plan(args: &cli::Plan, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let jobs = load_jobs(&args.jobs, env)?;
    let mut queue = Queue::open(queue).await?;
    for job in jobs {
        let target = job.app.sdkappid.map_or_else(|| SANDBOX.to_owned(), |sdkappid| sdkappid.to_string());
        let candidates = candidates(vec![job], &target, None)?;
        for candidate in &candidates {
            match candidate.preview(&mut queue, &mut |_| {}).await? {
                Step::Drive(run) | Step::AlreadyFinished(run) => println!("{run:?}"),
            }
        }
    }
    queue.close().await?;
    Ok(Exit::Done)
}

fn load_jobs(files: &[std::path::PathBuf], env: &Env) -> Result<Vec<Job>, Error> {
    let jobs = files.iter().map(|file| settings::load_job(file, env)).collect::<Result<Vec<_>, _>>()?;
    for (at, job) in jobs.iter().enumerate() {
        if jobs[..at].iter().any(|other| other.name == job.name) {
            return Err(Error::Usage(format!("two jobs are named `{}`\nhint: give each a name of its own", job.name)));
        }
    }
    Ok(jobs)
}

fn candidates(jobs: Vec<Job>, target: &str, admin: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let candidate = |job: Job| {
        let list = settings::load_protected(&job)?;
        let protected = match admin {
            Some(admin) => list.with(admin),
            None => list,
        };
        Ok(Candidate { job, protected: Arc::new(protected), target: target.to_owned() })
    };
    jobs.into_iter().map(candidate).collect()
}
