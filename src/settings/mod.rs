//! What the user asked for: the job file, above it the environment, above that the flags.
//!
//! The environment is read here and nowhere else, once. Secrets come from it alone, never from a file that is
//! shared or a flag that `ps` shows.

mod env;
mod job_file;
mod mistake;
mod nearest;
mod values;

use std::path::{Path, PathBuf};

use crate::domain::guard::{Protected, ProtectedError};
use crate::domain::job::Job;

pub use env::{Credential, Env, EnvError};
pub use job_file::load_job;
pub use mistake::{JobFileError, Mistake};

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
    #[error("{}: the protected list cannot be read: {source}", file.display())]
    Read {
        /// The list.
        file: PathBuf,
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

/// Reads the job's protected list. The admin identifier is on it even where the job names none.
pub fn load_protected(job: &Job) -> Result<Protected, ProtectedFileError> {
    let list = match &job.guard.protected {
        Some(file) => read_list(file)?,
        None => Protected::default(),
    };
    Ok(match &job.app.identifier {
        Some(admin) => list.with(admin),
        None => list,
    })
}

fn read_list(file: &Path) -> Result<Protected, ProtectedFileError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| ProtectedFileError::Read { file: file.to_owned(), source })?;
    Protected::parse(&text).map_err(|source| ProtectedFileError::Wrong { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_names_the_queue_before_the_environment_does() {
        let env = Env::from_lookup(|name| (name == "IMBULK_QUEUE").then(|| "env.db".into())).expect("good");
        assert_eq!(queue_file(Some(Path::new("flag.db")), &env), Path::new("flag.db"));
        assert_eq!(queue_file(None, &env), Path::new("env.db"));
        assert_eq!(queue_file(None, &Env::default()), Path::new("imbulk.db"));
    }
}
