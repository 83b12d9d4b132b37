//! `imbulk verify`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::session::{self, RunLog, ServiceManager, VerifyOptions};
use crate::settings::Env;

/// Looks up at the server whether the effects of a run are there.
pub(super) async fn verify(args: cli::VerifyArgs, env: &Env, path: &Path, log: &mut RunLog) -> Result<Exit, Error> {
    let cli::VerifyArgs { name, target, outcome: mut outcomes, sample, seed, json } = args;
    outcomes.sort_unstable();
    outcomes.dedup();
    let options = VerifyOptions { name, target, outcomes, sample, seed };
    let manager = ServiceManager::start();
    let done = session::verify(&options, env, path, log, &manager).await;
    manager.stop();
    let (report, exit) = done?;
    if json { super::print_json(&report) } else { super::print(&report.text()) }?;
    Ok(exit)
}
