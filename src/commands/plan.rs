//! `imbulk plan`: everything but sending.

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use super::prepare::{Candidate, Step};
use super::{jobs, target};
use crate::cli;
use crate::clock;
use crate::queue::{Queue, Run};
use crate::report::plan::Plan;
use crate::report::progress::{Phase, Progress};
use crate::report::tell::tell;
use crate::settings::Env;

/// Loads the input of each job as a planned run and shows what would be sent.
pub(super) async fn plan(args: &cli::Plan, env: &Env, queue: &Path) -> Result<Exit, Error> {
    jobs::check_environment(env)?;
    let jobs = jobs::load(&args.jobs, env)?;
    jobs::tell_zone(&jobs);
    let proxies = env.proxies()?;
    for job in &jobs {
        if let Some(proxy) = target::proxy_of(job, &proxies)? {
            tell(format!("{}: calls go through the proxy {proxy}", job.name));
        }
        if target::is_real(job) {
            jobs::check_protection(job)?;
        }
    }
    let mut queue = Queue::open(queue).await?;
    let mut plans = Vec::new();
    let mut exit = Exit::Done;
    for job in jobs {
        let target = target::name(&job);
        let candidate = jobs::candidate(job, &target, None)?;
        let mut progress = Progress::new(Phase::Loading);
        let step = candidate.preview(&mut queue, &mut |snapshot| progress.update(snapshot)).await;
        progress.finish();
        let step = step?;
        let finished = matches!(step, Step::AlreadyFinished(_));
        let (Step::Drive(run) | Step::DriveInstead(run, _) | Step::Resume(run) | Step::AlreadyFinished(run)) = step;
        let mut plan = read(&candidate, &queue, &run).await?;
        if !finished {
            plan.until = candidate.job.stop.until.and_then(|until| until.next(&plan.now));
            plan.guards = candidate.read_guards(&queue, &run).await?;
        }
        if !args.json {
            super::print(&plan.text(&candidate.job.file.display().to_string()))?;
        }
        if !finished {
            exit = exit.max(check(&candidate, &queue, &run).await?);
        }
        plans.push(plan);
    }
    queue.close().await?;
    if args.json {
        super::print_json(&plans)?;
    }
    Ok(exit)
}

async fn read(candidate: &Candidate, queue: &Queue, run: &Run) -> Result<Plan, Error> {
    let limits = candidate.job.limits;
    let calls_per_second = limits.calls_per_second.min(limits.app_calls_per_second);
    Ok(Plan::read(&queue.reader().await?, run, calls_per_second, &clock::local_now()).await?)
}

/// The exit code that `run` would refuse with, and why.
async fn check(candidate: &Candidate, queue: &Queue, run: &Run) -> Result<Exit, Error> {
    match candidate.check_guard(queue, run).await {
        Ok(()) => Ok(Exit::Done),
        Err(guard @ Error::Guard(_)) => {
            let exit = guard.exit();
            guard.print();
            Ok(exit)
        }
        Err(error) => Err(error),
    }
}
