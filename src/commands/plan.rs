//! `imbulk plan`: everything but sending.

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use super::jobs;
use super::prepare::{Candidate, Step};
use crate::cli;
use crate::clock;
use crate::queue::{Queue, Run};
use crate::report::plan::Plan;
use crate::report::progress::{Phase, Progress};
use crate::report::tell::tell;
use crate::settings::Env;

/// Loads the input of each job as a planned run and shows what would be sent.
pub(super) async fn plan(args: &cli::Plan, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let jobs = jobs::load(&args.jobs, env)?;
    let mut queue = Queue::open(queue).await?;
    let mut plans = Vec::new();
    for job in jobs {
        let target = super::target::name(&job);
        let candidate = jobs::candidate(job, &target, None)?;
        let mut progress = Progress::new(Phase::Loading);
        let step = candidate.preview(&mut queue, &mut |snapshot| progress.update(snapshot)).await;
        progress.finish();
        let (Step::Drive(run) | Step::DriveInstead(run, _) | Step::Resume(run) | Step::AlreadyFinished(run)) = step?;
        let plan = read(&candidate, &queue, &run).await?;
        if !args.json {
            super::print(&plan.text(&candidate.job.file.display().to_string()))?;
        }
        warn(&candidate, &queue, &run).await?;
        plans.push(plan);
    }
    queue.close().await?;
    if args.json { super::print_json(&plans) } else { Ok(Exit::Done) }
}

async fn read(candidate: &Candidate, queue: &Queue, run: &Run) -> Result<Plan, Error> {
    let limits = candidate.job.limits;
    let calls_per_second = limits.calls_per_second.min(limits.app_calls_per_second);
    Ok(Plan::read(&queue.reader().await?, run, calls_per_second, &clock::local_now()).await?)
}

/// What would keep the run from sending.
async fn warn(candidate: &Candidate, queue: &Queue, run: &Run) -> Result<(), Error> {
    if let Err(guard) = candidate.check_guard(queue, run).await {
        tell(guard);
    }
    Ok(())
}
