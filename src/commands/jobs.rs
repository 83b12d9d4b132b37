//! From job files to jobs that may run together.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::Error;
use super::prepare::Candidate;
use crate::domain::job::Job;
use crate::settings::{self, Env};

/// Reads job files. Their names tell their runs apart, so no two may share one.
pub(super) fn load(files: &[PathBuf], env: &Env) -> Result<Vec<Job>, Error> {
    let jobs = files.iter().map(|file| settings::load_job(file, env)).collect::<Result<Vec<_>, _>>()?;
    for (at, job) in jobs.iter().enumerate() {
        if jobs[..at].iter().any(|other| other.name == job.name) {
            return Err(Error::Usage(format!("two jobs are named `{}`\nhint: give each a name of its own", job.name)));
        }
    }
    Ok(jobs)
}

/// A job with its protected list, the admin that signs its calls included.
pub(super) fn candidate(job: Job, target: &str, admin: Option<&str>) -> Result<Candidate, Error> {
    let list = settings::load_protected(&job)?;
    let protected = match admin {
        Some(admin) => list.with(admin),
        None => list,
    };
    Ok(Candidate { job, protected: Arc::new(protected), target: target.to_owned() })
}
