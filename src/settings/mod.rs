//! What the user asked for: the job file, above it the environment, above that the flags.
//!
//! The environment is read here and nowhere else, once. Secrets come from it alone, never from a file that is
//! shared or a flag that `ps` shows.

mod diagnostic;
mod env;
mod job_file;
mod values;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::domain::guard::{Protected, ProtectedError};
use crate::domain::hint::Hint;
use crate::domain::job::{Job, Protection};

pub use diagnostic::{JobFileDiagnostic, JobFileError};
pub use env::{Credential, Env, EnvError, KeyFileError, Secret};
pub use job_file::{
    APP_CALLS_PER_SECOND, DEFAULT_RETRY, DEFAULT_STOP, JOB_KEYS, JobKey, NAME_CHARS, check_job_name, job_schema,
    load_job,
};

/// The queue file where neither flag nor environment names one.
pub const DEFAULT_QUEUE: &str = "imbulk.db";

/// The queue file: the flag's, else the environment's, else `imbulk.db` in the current folder.
pub fn queue_file(flag: Option<&Path>, env: &Env) -> PathBuf {
    let named = flag.or(env.queue.as_deref());
    named.unwrap_or(Path::new(DEFAULT_QUEUE)).to_owned()
}

/// A protected list that can't be used. Without it nothing may be sent.
#[derive(Debug, thiserror::Error)]
pub enum ProtectedFileError {
    /// It can't be read.
    #[error("{}:{line}: guard.protected: {} cannot be read: {source}", job.display(), list.display())]
    Read {
        /// The job file.
        job: PathBuf,
        /// The line of the job file that names the list, from 1.
        line: usize,
        /// The list.
        list: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("{}: {source}", file.display())]
    Wrong {
        /// The list.
        file: PathBuf,
        /// Where and what.
        source: ProtectedError,
    },
}

impl Hint for ProtectedFileError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Read { .. } => {
                Some("correct the path, which is relative to the job file's folder, or create the file".into())
            }
            Self::Wrong { source, .. } => source.hint(),
        }
    }
}

/// Reads the job's protected list. The admins are on it even where the job names no list: the one that signs the calls
/// and, where the environment names that one, the one of the job file.
pub fn load_protected(job: &Job) -> Result<Protected, ProtectedFileError> {
    let list = match &job.guard.protected {
        Some(Protection::File { path, line }) => read_list(path, *line, job)?,
        Some(Protection::Nobody) | None => Protected::default(),
    };
    let admins = job.app.identifier.iter().chain(&job.app_in_file.identifier);
    Ok(admins.fold(list, |list, admin| list.with(admin)))
}

fn read_list(file: &Path, line: usize, job: &Job) -> Result<Protected, ProtectedFileError> {
    let unreadable = |source| ProtectedFileError::Read { job: job.file.clone(), line, list: file.to_owned(), source };
    let text = std::fs::read(file).map_err(unreadable)?;
    let columns: Vec<&str> =
        job.operation.shape.columns().filter_map(|id| job.input.columns.get(id)).map(String::as_str).collect();
    Protected::parse(&text, &columns).map_err(|source| ProtectedFileError::Wrong { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_names_the_queue_before_the_environment_does() {
        let env = Env::of_variables([("IMBULK_QUEUE".into(), "env.db".into())]).expect("good");
        assert_eq!(queue_file(Some(Path::new("flag.db")), &env), Path::new("flag.db"));
        assert_eq!(queue_file(None, &env), Path::new("env.db"));
        assert_eq!(queue_file(None, &Env::default()), Path::new("imbulk.db"));
    }
}
