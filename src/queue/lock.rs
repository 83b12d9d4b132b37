//! Who owns a queue: a lock of the kernel's on a file beside it, gone with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::QueueError;

/// How often a lock that is taken is tried again, and how long after: who asks for the owner holds the lock for some
/// microseconds.
const TRIES: u32 = 5;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Held for as long as this process may write to the queue.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the queue, or says who has it.
    pub(super) async fn take(queue: &Path) -> Result<Self, QueueError> {
        for _ in 1..TRIES {
            match Self::try_take(queue) {
                Err(QueueError::Held { .. }) => tokio::time::sleep(TRY_AGAIN_AFTER).await,
                taken_or_unusable => return taken_or_unusable,
            }
        }
        Self::try_take(queue)
    }

    fn try_take(queue: &Path) -> Result<Self, QueueError> {
        let path = path_of(queue);
        let unusable = |source| QueueError::Unusable { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Whoever holds the lock has written its number, or is about to.
                let _unreadable = file.read_to_string(&mut pid);
                return Err(QueueError::Held { queue: queue.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        file.set_len(0).map_err(unusable)?;
        file.seek(SeekFrom::Start(0)).map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _file: file })
    }

    /// Whether some process owns the queue.
    pub(super) fn is_taken(queue: &Path) -> bool {
        let Ok(file) = File::open(path_of(queue)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

fn path_of(queue: &Path) -> PathBuf {
    let mut name = queue.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_owner_is_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        assert!(!Lock::is_taken(&queue));
        let first = Lock::take(&queue).await.unwrap();
        assert!(Lock::is_taken(&queue));
        match Lock::take(&queue).await {
            Err(QueueError::Held { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!Lock::is_taken(&queue));
        Lock::take(&queue).await.unwrap();
    }

    #[tokio::test]
    async fn who_merely_asks_for_the_owner_keeps_nobody_from_becoming_it() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        drop(Lock::take(&queue).await.unwrap());
        let asking = File::open(path_of(&queue)).unwrap();
        asking.try_lock_shared().unwrap();
        let take = tokio::spawn(async move { Lock::take(&queue).await });
        tokio::task::yield_now().await;
        drop(asking);
        take.await.unwrap().unwrap();
    }
}
