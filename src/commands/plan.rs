//! `imbulk plan`

use std::path::{Path, PathBuf};

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::report::plan::{Plan, closing};
use crate::session;
use crate::settings::Env;
use crate::stdout::{print, print_json};

/// Shows what would be sent. Exits 4 where `run` would refuse.
pub(super) async fn plan(args: &cli::PlanArgs, env: &Env, queue: &Path) -> Result<Exit, Error> {
    show(&args.jobs, args.json, env, queue).await
}

/// Shows the plan, also for `run` without `--execute`.
pub(super) async fn show(jobs: &[PathBuf], json: bool, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let plans = session::plan(jobs, env, queue).await?;
    if json {
        print_json(&plans).map_err(Error::io("stdout"))?;
    } else {
        let files: Vec<String> = jobs.iter().map(|file| file.display().to_string()).collect();
        let texts: Vec<String> = plans.iter().map(Plan::text).collect();
        print(&format!("{}{}", texts.join("\n"), closing(&plans, &files))).map_err(Error::io("stdout"))?;
    }
    let is_refused = |plan: &Plan| !plan.conditions.refusals.is_empty() || !plan.conditions.later_refusals.is_empty();
    Ok(if plans.iter().any(is_refused) { Exit::Halted } else { Exit::Done })
}
