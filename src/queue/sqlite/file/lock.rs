//! Ownership of a queue: a kernel lock on the database file, which the kernel releases when the owner ends.
//!
//! The lock is flock(2), which belongs to the file and not to one of its names. SQLite locks the same file with
//! fcntl(2), a different kind of lock. Closing *any* descriptor of a file releases all fcntl(2) locks of the process on
//! it. Therefore the descriptor of the lock is opened before SQLite opens the file and closed after SQLite has closed
//! it.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::identity::FileId;
use crate::queue::error::QueueError;

/// How often the lock is requested, and the pause in between: a process that asks for the owner holds it for some
/// microseconds.
const REQUESTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// How often proc(5) is asked for the owner. The kernel hands out its list of locks page by page, and a page can lack
/// one if other processes took or released locks since the last page.
const READS_OF_LOCKS: u32 = 20;

/// How long a released descriptor stays open. SQLite needs far less time to close the file.
const KEPT_OPEN: Duration = Duration::from_secs(3);

/// Kept for as long as this process may write to the queue.
#[derive(Debug)]
pub(in crate::queue) struct Lock {
    file: Arc<File>,
    held: Arc<()>,
}

/// How a reader finds out whether a process owns the queue.
#[derive(Debug, Clone)]
pub(in crate::queue) enum Ownership {
    /// It asks the kernel. The descriptor stays open for as long as SQLite has the file open.
    Asked(Arc<File>),
    /// This process owns it for as long as the value is alive. The kernel cannot tell two locks of one process apart.
    Own(Weak<()>),
}

impl Ownership {
    pub(in crate::queue) fn is_taken(&self) -> bool {
        match self {
            Self::Asked(file) => is_taken(file),
            Self::Own(held) => held.strong_count() > 0,
        }
    }

    /// The pid of the owner, if there is one and proc(5) shows it.
    pub(in crate::queue) fn owner(&self) -> Option<u32> {
        match self {
            Self::Asked(file) => owner(&file.metadata().ok()?),
            Self::Own(held) => (held.strong_count() > 0).then(std::process::id),
        }
    }
}

impl Lock {
    /// Takes the lock of the file with this name, or fails with the pid of its owner. Creates the file if it does not
    /// exist, readable by the user alone because it contains accounts.
    pub(in crate::queue) async fn take(queue: &Path) -> Result<Self, QueueError> {
        for _ in 1..REQUESTS {
            match Self::try_take(queue) {
                Err(QueueError::InUse { .. }) => tokio::time::sleep(PAUSE).await,
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
                    return Err(QueueError::InUse { queue: queue.to_owned(), pid });
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

    /// How readers in this process find out about the owner.
    pub(in crate::queue) fn ownership(&self) -> Ownership {
        Ownership::Own(Arc::downgrade(&self.held))
    }

    /// The file that is locked.
    pub(in crate::queue) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

impl Drop for Lock {
    /// Other owners of the descriptor do not keep the lock.
    fn drop(&mut self) {
        // If this fails, the kernel releases the lock when the process ends.
        let _still_locked = self.file.unlock();
        keep_open(Arc::clone(&self.file));
    }
}

/// SQLite's thread may still be copying the WAL into the file under its own locks. Closing a descriptor now would
/// release them, and the next owner would start too early.
fn keep_open(file: Arc<File>) {
    static CLOSING: Mutex<Vec<(Instant, Arc<File>)>> = Mutex::new(Vec::new());
    let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    closing.retain(|(since, _)| since.elapsed() < KEPT_OPEN);
    closing.push((Instant::now(), file));
}

/// Whether a process owns the queue in this file.
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

/// The process that has locked a file, if proc(5) shows it.
fn owner(file: &Metadata) -> Option<u32> {
    (0..READS_OF_LOCKS).find_map(|_| owner_in(&std::fs::read_to_string("/proc/locks").ok()?, file.dev(), file.ino()))
}

/// A line reads `7: FLOCK  ADVISORY  WRITE 4926 fe:00:10010677 0 EOF`. The pid of a process in another container is 0
/// or negative.
fn owner_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let held = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut held = held.filter(|fields| fields.get(1) == Some(&"FLOCK") && fields.get(3) == Some(&"WRITE"));
    // Layered file systems show another device here than stat(2) returns.
    let same_inode = format!(":{inode}");
    let fields =
        held.find(|fields| fields.get(5).is_some_and(|found| *found == place || found.ends_with(same_inode.as_str())))?;
    fields.get(4)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_second_owner_gets_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        let first = Lock::take(&queue).await.unwrap();
        let asking = File::open(&queue).unwrap();
        assert!(is_taken(&asking));
        match Lock::take(&queue).await {
            Err(QueueError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        let kept = first.file();
        drop(first);
        assert!(!is_taken(&asking), "keeping the file does not keep the lock");
        Lock::take(&queue).await.unwrap();
        drop(kept);
    }

    #[tokio::test]
    async fn the_lock_belongs_to_the_file_and_not_to_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [queue, hard, soft, moved] =
            ["q.db", "hard.db", "soft.db", "moved.db"].map(|name| folder.path().join(name));
        let _first = Lock::take(&queue).await.unwrap();
        std::fs::hard_link(&queue, &hard).unwrap();
        std::os::unix::fs::symlink("q.db", &soft).unwrap();
        for name in [&hard, &soft] {
            assert!(matches!(Lock::take(name).await, Err(QueueError::InUse { .. })), "{}", name.display());
        }
        std::fs::rename(&queue, &moved).unwrap();
        assert!(matches!(Lock::take(&moved).await, Err(QueueError::InUse { .. })));
        Lock::take(&queue).await.unwrap();
    }

    #[tokio::test]
    async fn asking_for_the_owner_does_not_prevent_a_process_from_becoming_it() {
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

    #[tokio::test]
    async fn the_owner_is_found_while_other_locks_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("q.db");
        let _first = Lock::take(&queue).await.unwrap();
        let asking = File::open(&queue).unwrap().metadata().unwrap();
        let asked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (folder, asked) = (folder.path(), &asked);
                scope.spawn(move || {
                    let name = |file| folder.join(format!("{thread}-{file}"));
                    let files: Vec<_> = (0..100).map(|file| File::create(name(file)).unwrap()).collect();
                    while !asked.load(Ordering::Relaxed) {
                        files.iter().for_each(|file| file.lock().unwrap());
                        files.iter().for_each(|file| file.unlock().unwrap());
                    }
                });
            }
            let owners: Vec<_> = (0..300).map(|_| owner(&asking)).collect();
            asked.store(true, Ordering::Relaxed);
            assert_eq!(owners, [Some(std::process::id()); 300]);
        });
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
