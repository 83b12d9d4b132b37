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
        let queue = self.queue.display();
        tracing::warn!(
            event = "queue_locked",
            %queue,
            max_wait_s = MAX_WAIT.as_secs(),
            "another program holds the write lock of the queue"
        );
        let begun = begin.await;
        self.set(None);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(event = "queue_unlocked", %queue, duration_ms, "the write lock of the queue is free");
        begun
    }
}
