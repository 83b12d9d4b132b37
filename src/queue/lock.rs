//! Who owns a queue: a lock of the kernel's on a file beside it, gone with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::QueueError;

/// Held for as long as this process may write to the queue.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the queue, or says who has it.
    pub(super) fn take(queue: &Path) -> Result<Self, QueueError> {
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

    #[test]
    fn a_second_owner_is_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        assert!(!Lock::is_taken(&queue));
        let first = Lock::take(&queue).unwrap();
        assert!(Lock::is_taken(&queue));
        match Lock::take(&queue) {
            Err(QueueError::Held { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!Lock::is_taken(&queue));
        Lock::take(&queue).unwrap();
    }
}
