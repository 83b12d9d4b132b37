//! The free space on the disk of a queue.

use std::path::Path;

use crate::domain::guard::{Bytes, DiskSpace};
use crate::queue::path::beside;
use crate::queue::sqlite::reader::Reader;

/// What this user may still write on the disk of a file that exists or could be created; none if unknown.
pub fn free_bytes(path: &Path) -> Option<Bytes> {
    disk(path).map(|(free, _)| free)
}

/// The state of the disk of a queue that exists or could be created, with `items` outcomes still to be recorded; none
/// if unknown. Takes some microseconds.
pub fn disk_space(queue: &Path, items: u64) -> Option<DiskSpace> {
    let (free, size) = disk(queue)?;
    let wal = std::fs::metadata(beside(queue, "-wal")).map_or(0, |wal| wal.len());
    Some(DiskSpace { free, size, wal: Bytes(wal), items })
}

impl Reader {
    /// The path of the file, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state of the queue's disk, as [`disk_space`] of its path.
    pub fn disk_space(&self, items: u64) -> Option<DiskSpace> {
        disk_space(&self.path, items)
    }
}

/// The bytes that are free for this user, and the size of the disk.
fn disk(path: &Path) -> Option<(Bytes, Bytes)> {
    let absolute = std::path::absolute(path).ok()?;
    let found = absolute.ancestors().find_map(|there| rustix::fs::statvfs(there).ok())?;
    let bytes = |blocks: u64| Bytes(blocks.saturating_mul(found.f_frsize));
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}
