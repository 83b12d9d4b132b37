//! From job files to jobs that may run together.

use std::path::PathBuf;

use super::error::Error;
use super::prepare::JobInput;
use super::target::Address;
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
pub(super) fn with_protected(job: Job, address: Address) -> Result<JobInput, Error> {
    let list = settings::load_protected(&job)?;
    let protected = match address.admin() {
        Some(admin) => list.with(admin),
        None => list,
    };
    Ok(JobInput::new(job, protected, address))
}
