//! Waiting for the write lock of the database, which another program may hold: a `sqlite3` shell with a transaction that
//! is still open, a backup.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait of a write for the lock.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);
/// The delay before the wait is reported. Our own transactions are never in the way, as there is one writer.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// Whether a write waits for another program. Clones share it.
#[derive(Debug, Clone)]
pub struct Busy {
    queue: PathBuf,
    since: Arc<Mutex<Option<Instant>>>,
}

impl Busy {
    pub(super) fn new(queue: &Path) -> Self {
        Self { queue: queue.to_owned(), since: Arc::default() }
    }

    /// For how long the write that waits now has been waiting; none where none does.
    pub fn waits_for(&self) -> Option<Duration> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits for the beginning of a transaction, and says so where that takes long.
    pub(super) async fn wait<T>(&self, begin: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut begin = pin!(begin);
        tokio::select! {
            biased;
            begun = &mut begin => return begun,
            () = tokio::time::sleep(SAY_AFTER) => {}
        }
        self.set(Some(started));
        let (queue, most) = (self.queue.display(), MAX_WAIT.as_secs());
        tracing::warn!("{queue}: another program holds the write lock of the queue; waiting for up to {most} s");
        let begun = begin.await;
        self.set(None);
        tracing::warn!("{queue}: waited {} s for the write lock of the queue", started.elapsed().as_secs());
        begun
    }
}
