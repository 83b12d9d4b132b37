//! How much room the disk has left.

use std::io::ErrorKind;
use std::path::Path;

use super::{QueueError, Reader, beside, primary_code};
use crate::domain::guard::{Bytes, DiskSpace};

/// What this user may still write on the disk that a file stands on, or would; none where that can't be told.
pub fn free_bytes(path: &Path) -> Option<Bytes> {
    disk(path).map(|(free, _)| free)
}

impl Reader {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk under the queue, now, for so many items to be recorded; none where it can't be told. Takes some
    /// microseconds.
    pub fn disk_space(&self, items: u64) -> Option<DiskSpace> {
        let (free, size) = disk(&self.path)?;
        let log = std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |log| log.len());
        Some(DiskSpace { free, size, log: Bytes(log), items })
    }
}

impl QueueError {
    /// The file, where its disk is what failed.
    pub fn disk(&self) -> Option<&Path> {
        /// `SQLITE_IOERR`, `SQLITE_FULL`
        const DISK: [u32; 2] = [10, 13];
        match self {
            Self::Database { path, source } if primary_code(source).is_some_and(|code| DISK.contains(&code)) => {
                Some(path)
            }
            Self::Unusable { path, source } if source.kind() == ErrorKind::StorageFull => Some(path),
            _not_the_disk => None,
        }
    }
}

/// Free for this user, and all there is.
fn disk(path: &Path) -> Option<(Bytes, Bytes)> {
    let absolute = std::path::absolute(path).ok()?;
    let found = absolute.ancestors().find_map(|there| rustix::fs::statvfs(there).ok())?;
    let bytes = |blocks: u64| Bytes(blocks.saturating_mul(found.f_frsize));
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}
