//! Opens the queue of a session.

use std::path::Path;

use super::error::SessionError;
use crate::queue::Queue;
use crate::stderr::tell;

/// Opens the queue for writing. A new one is announced with its full path, so that a wrong folder is noticed at once.
pub(super) async fn open_queue(path: &Path) -> Result<Queue, SessionError> {
    let is_new = !path.exists();
    let queue = Queue::open(path).await?;
    if is_new {
        let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        tell(format!("note: created the queue {}", full.display()));
    }
    Ok(queue)
}
