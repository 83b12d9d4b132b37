//! Waiting for the write lock of the database while another program has it, such as a backup or a `sqlite3` shell with
//! an open transaction.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait of a write for the lock.
pub(in crate::queue) const MAX_WAIT: Duration = Duration::from_mins(1);
/// The delay before a wait is reported. A queue has one writer, so another program must have the lock.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// Whether a write waits for another program. Clones share it.
#[derive(Debug, Clone)]
pub struct Busy {
    queue: PathBuf,
    since: Arc<Mutex<Option<Instant>>>,
}

impl Busy {
    pub(in crate::queue) fn new(queue: &Path) -> Self {
        Self { queue: queue.to_owned(), since: Arc::default() }
    }

    /// How long the current write has been waiting; none if no write waits.
    pub fn waits_for(&self) -> Option<Duration> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits for a transaction to begin, and logs a wait that takes long.
    pub(in crate::queue) async fn wait<T>(&self, begin: impl Future<Output = T>) -> T {
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
