//! Writes the metrics files that jobs name (`report.metrics`).

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clock;
use crate::domain::hint::{Hint, Message};
use crate::export::{READABLE, write_file};
use crate::queue::folder_of;
use crate::report::job_result::JobResult;
use crate::report::metrics::metrics_text;
use crate::stderr::tell;

/// How long other processes may keep the folder locked: each needs it for some milliseconds.
const LOCKED_FOR: Duration = Duration::from_secs(5);
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Writes the metrics of the jobs of a command. A file that cannot be written is a warning, because the outcomes are
/// recorded.
pub(super) async fn write(results: &[JobResult]) {
    let mut files: BTreeMap<&Path, Vec<&JobResult>> = BTreeMap::new();
    for job in results {
        if let Some(path) = &job.reporting.metrics {
            files.entry(path).or_default().push(job);
        }
    }
    for (path, jobs) in files {
        if let Err(Message { text, hint }) = replace(path, &jobs, LOCKED_FOR).await {
            let warning = Message { text: format!("report.metrics: {text}; the exit code does not change"), hint };
            tell(warning.with_hint());
        }
    }
}

async fn replace(path: &Path, jobs: &[&JobResult], patience: Duration) -> Result<(), Message> {
    let _locked = lock(path, patience).await?;
    let before = read(path)?;
    let text = metrics_text(&before, jobs, clock::now()).map_err(|foreign| {
        let hint = "name another file in `report.metrics`, or remove this one";
        Message::new(format!("{}: {foreign}, so the file is not replaced", path.display())).add_hint(hint)
    })?;
    write_file(path, READABLE, text.as_bytes())
        .await
        .map_err(|error| Message { text: error.to_string(), hint: error.hint().map(Into::into) })
}

/// Locks the folder of the file until the lock is dropped: another process may write the metrics of its jobs into the
/// same file. The file itself is replaced, so its own lock would protect nothing.
async fn lock(path: &Path, patience: Duration) -> Result<Option<File>, Message> {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&file);
    // Nothing can be written into a folder that cannot be opened, and the error of the write says more.
    let Ok(locked) = File::open(folder) else { return Ok(None) };
    let end = Instant::now() + patience;
    loop {
        match locked.try_lock() {
            Ok(()) => return Ok(Some(locked)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(TRY_EVERY).await,
            Err(TryLockError::WouldBlock) => {
                let (path, folder) = (path.display(), folder.display());
                let text = format!("cannot replace {path}: another program keeps the folder {folder} locked");
                return Err(Message::new(text).add_hint(format!("`fuser {folder}` names the programs that use it")));
            }
            // Not every network file system can lock a folder. A night without metrics would be an alarm, while two
            // jobs rarely end at once.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// The text of the file; empty if there is none.
fn read(path: &Path) -> Result<String, Message> {
    let read = match std::fs::metadata(path) {
        // Reading a pipe could wait forever.
        Ok(metadata) if !metadata.is_file() => Err(ErrorKind::InvalidInput.into()),
        Ok(_) => std::fs::read_to_string(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    read.map_err(|error| {
        let hint = "the file must be a regular file that imbulk wrote, and its user must be able to read it";
        Message::new(format!("cannot read {}: {error}", path.display())).add_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::report::testing::job_result;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_job_is_lost_if_several_processes_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imbulk.prom");
        let mut writers = JoinSet::new();
        for number in 0..50 {
            let path = path.clone();
            writers.spawn(async move {
                let job = job_result(&format!("job{number}"));
                replace(&path, &[&job], Duration::from_hours(1)).await
            });
        }
        assert!(writers.join_all().await.iter().all(Result::is_ok));
        let text = std::fs::read_to_string(&path).unwrap();
        for number in 0..50 {
            assert!(text.contains(&format!("job=\"job{number}\"")), "job{number} is lost: {text}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_stays_locked_is_an_error_after_a_limited_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imbulk.prom");
        let _locked = lock(&path, Duration::ZERO).await.unwrap();
        let error = replace(&path, &[&job_result("purge")], Duration::ZERO).await.unwrap_err();
        let folder = folder.path().display();
        let text = format!("imbulk.prom: another program keeps the folder {folder} locked");
        assert!(error.text.ends_with(&text) && error.hint.is_some(), "{error:?}");
        assert!(!path.exists());
    }
}
