//! Who owns a queue: a lock of the kernel's on the database file, gone with the process that holds it.
//!
//! It is flock(2), which belongs to the file itself, whatever names lead to it. SQLite locks the same file with fcntl(2),
//! which is a different lock; but closing *any* descriptor of a file drops all locks that this process has on it by fcntl(2).
//! So the descriptor of the lock is opened before SQLite opens the file, and closed after SQLite has closed it.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::QueueError;
use super::identity::FileId;

/// How often a lock that is taken is tried again, and how long after: who asks for the owner holds the lock for some
/// microseconds.
const TRIES: u32 = 5;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// SQLite has closed the file long before.
const KEPT_OPEN: Duration = Duration::from_secs(3);

/// Held for as long as this process may write to the queue.
#[derive(Debug)]
pub(super) struct Lock {
    file: Arc<File>,
    held: Arc<()>,
}

/// How a reader knows whether a process owns the queue.
#[derive(Debug, Clone)]
pub(super) enum Ownership {
    /// It asks the kernel. Kept for as long as SQLite has the file open.
    Asked(Arc<File>),
    /// This process does, for as long as this is alive. Asking would take the lock, as both have one process.
    Own(Weak<()>),
}

impl Ownership {
    pub(super) fn is_taken(&self) -> bool {
        match self {
            Self::Asked(file) => is_taken(file),
            Self::Own(held) => held.strong_count() > 0,
        }
    }
}

impl Lock {
    /// Takes the lock of the file with this name, or says who has it. Makes the file if there is none, for the user alone:
    /// it lists accounts.
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
        let unusable = |source| QueueError::Unusable { path: queue.to_owned(), source };
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(queue).map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let pid = owner(&file.metadata().map_err(unusable)?);
                    return Err(QueueError::Held { queue: queue.to_owned(), pid });
                }
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
            // Between the two steps another file may have taken the name.
            let locked = FileId::of(&file.metadata().map_err(unusable)?);
            if std::fs::metadata(queue).is_ok_and(|named| FileId::of(&named) == locked) {
                return Ok(Self { file: Arc::new(file), held: Arc::new(()) });
            }
        }
    }

    /// For readers of this process.
    pub(super) fn ownership(&self) -> Ownership {
        Ownership::Own(Arc::downgrade(&self.held))
    }

    /// The locked file.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

impl Drop for Lock {
    /// Other holders of the descriptor do not keep the lock.
    fn drop(&mut self) {
        // The kernel lets go with the process, at the latest.
        let _still_locked = self.file.unlock();
        keep_open(Arc::clone(&self.file));
    }
}

/// SQLite's thread may still be folding the log into the file, under its own locks: a descriptor that is closed now would
/// take them away, and the next owner be let in too early.
fn keep_open(file: Arc<File>) {
    static CLOSING: Mutex<Vec<(Instant, Arc<File>)>> = Mutex::new(Vec::new());
    let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    closing.retain(|(since, _)| since.elapsed() < KEPT_OPEN);
    closing.push((Instant::now(), file));
}

/// Whether some process owns the queue that this file is.
fn is_taken(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _still_locked = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// The process that holds the lock of a file, if proc(5) knows it.
fn owner(file: &Metadata) -> Option<u32> {
    owner_in(&std::fs::read_to_string("/proc/locks").ok()?, file.dev(), file.ino())
}

/// A line is `7: FLOCK  ADVISORY  WRITE 4926 fe:00:10010677 0 EOF`. The process is 0 or less where it is of another container.
fn owner_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let held = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut held = held.filter(|fields| fields.get(1) == Some(&"FLOCK") && fields.get(3) == Some(&"WRITE"));
    // Layered file systems show another device here than to stat(2).
    let same_inode = format!(":{inode}");
    let fields =
        held.find(|fields| fields.get(5).is_some_and(|found| *found == place || found.ends_with(same_inode.as_str())))?;
    fields.get(4)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_owner_is_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        let first = Lock::take(&queue).await.unwrap();
        let asking = File::open(&queue).unwrap();
        assert!(is_taken(&asking));
        match Lock::take(&queue).await {
            Err(QueueError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        let kept = first.file();
        drop(first);
        assert!(!is_taken(&asking), "who keeps the file keeps no lock");
        Lock::take(&queue).await.unwrap();
        drop(kept);
    }

    #[tokio::test]
    async fn the_lock_is_of_the_file_and_not_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [queue, hard, soft, moved] =
            ["q.db", "hard.db", "soft.db", "moved.db"].map(|name| folder.path().join(name));
        let _first = Lock::take(&queue).await.unwrap();
        std::fs::hard_link(&queue, &hard).unwrap();
        std::os::unix::fs::symlink("q.db", &soft).unwrap();
        for name in [&hard, &soft] {
            assert!(matches!(Lock::take(name).await, Err(QueueError::Held { .. })), "{}", name.display());
        }
        std::fs::rename(&queue, &moved).unwrap();
        assert!(matches!(Lock::take(&moved).await, Err(QueueError::Held { .. })));
        Lock::take(&queue).await.unwrap();
    }

    #[tokio::test]
    async fn who_merely_asks_for_the_owner_keeps_nobody_from_becoming_it() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        drop(Lock::take(&queue).await.unwrap());
        let asking = File::open(&queue).unwrap();
        asking.try_lock_shared().unwrap();
        let take = tokio::spawn(async move { Lock::take(&queue).await });
        tokio::task::yield_now().await;
        drop(asking);
        take.await.unwrap().unwrap();
    }

    #[test]
    fn the_owner_is_read_from_the_list_of_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 17 fe:00:7 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 18 fe:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 19 fe:00:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4926 fe:00:7 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF\n";
        let device = rustix::fs::makedev(0xfe, 0);
        assert_eq!(owner_in(locks, device, 7), Some(4926));
        assert_eq!(owner_in(locks, rustix::fs::makedev(0, 31), 7), Some(4926), "of a layered file system");
        assert_eq!(owner_in(locks, device, 8), None, "of another container");
        assert_eq!(owner_in(locks, device, 9), None);
    }
}
