//! `imbulk run`

use std::path::Path;

use super::error::Error;
use super::metrics;
use super::plan::show;
use super::report_files;
use crate::cli;
use crate::clock;
use crate::domain::exit::Exit;
use crate::domain::run_choice::Rerun;
use crate::notify::Notifier;
use crate::report::job_result::JobError;
use crate::report::notification::Notification;
use crate::session::{self, RunLog, RunOptions, ServiceManager};
use crate::settings::Env;
use crate::stderr::tell;

/// Sends, or shows the plan if neither `--execute` nor `--sandbox` is given.
pub(super) async fn run(args: cli::RunArgs, env: &Env, queue: &Path, log: &mut RunLog) -> Result<Exit, Error> {
    if !args.sends() {
        tell("nothing is sent without --execute: this is the plan");
        return show(&args.jobs, args.json, env, queue).await;
    }
    let rerun = match (args.again, args.resume) {
        (true, _) => Rerun::Again,
        (false, true) => Rerun::Resume,
        (false, false) => Rerun::No,
    };
    let cli::RunArgs { jobs, sandbox, yes, plan, approval, limit, json, .. } = args;
    let manager = ServiceManager::start();
    let jobs = session::load_jobs(&jobs, env)?;
    let mut results = session::results_of(&jobs);
    // A rehearsal in the sandbox says nothing of the job's app: it is neither notified nor measured.
    let is_real = !sandbox;
    let notifier =
        is_real.then(|| Notifier::start(&results, env.proxies().unwrap_or_default(), env.secret_variables()));
    let options = RunOptions { jobs, sandbox, yes, rerun, plan, approval, limit, json };
    let done = Box::pin(session::run(options, env, queue, log, &manager, &mut results)).await.map_err(Error::from);
    manager.stop();
    if let Err(error) = &done {
        let of_job = JobError { text: error.to_string(), without_content: error.without_content() };
        results.iter_mut().filter(|job| !job.is_over).for_each(|job| job.fail(error.exit(), of_job.clone()));
    }
    report_files::write(&results, env, queue).await;
    if is_real {
        metrics::write(&results).await;
    }
    if let Some(notifier) = notifier {
        let now = clock::now().as_millisecond();
        notifier.end(results.iter().map(|job| (job, Notification::new(job, now))).collect()).await;
    }
    done
}
