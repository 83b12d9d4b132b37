//! What `imbulk run` was asked for.

use std::path::PathBuf;

use crate::domain::job::Job;
use crate::domain::run_choice::Rerun;

/// The options of a session that sends.
#[derive(Debug)]
pub struct RunOptions {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Whether a sandbox is started and everything is sent to it.
    pub sandbox: bool,
    /// Whether no confirmation is required.
    pub yes: bool,
    /// What becomes of runs that exist.
    pub rerun: Rerun,
    /// The id of the only plan that may be sent.
    pub plan: Option<String>,
    /// The approval of a second person for that plan.
    pub approval: Option<PathBuf>,
    /// The most items that are sent.
    pub limit: Option<u64>,
    /// Whether the summary is printed as JSON.
    pub json: bool,
}
