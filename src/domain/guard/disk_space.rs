//! The free disk space below which nothing is sent (docs/decisions/0009).

use std::fmt;

/// Bytes that are always reserved: for commits, for the growth of the WAL before a checkpoint, and for other programs.
const RESERVE: u64 = 64 << 20;
/// Bytes per item in flight. An item that does not succeed is stored as a row, at worst in a page of its own.
const ITEM: u64 = 8 << 10;
/// The reserve is at most this part of the disk (one in four), so that a small disk does not prevent sending.
const PART: u64 = 4;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// The space on the queue's disk at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this user may still write.
    pub free: Bytes,
    /// Size of the disk; zero if the file system does not report it.
    pub size: Bytes,
    /// Size of the queue's WAL: a checkpoint may grow the file by as much.
    pub wal: Bytes,
    /// Items whose outcome still has to be recorded, those that are about to be sent included.
    pub items: u64,
}

impl DiskSpace {
    /// Bytes that must stay free so that every outcome can be recorded.
    pub fn reserve(self) -> Bytes {
        Bytes((RESERVE + self.wal.0 + self.items * ITEM).min(self.size.0 / PART))
    }

    /// Whether too little is free to send anything.
    pub fn is_short(self) -> bool {
        self.free < self.reserve()
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let Some((unit, size)) = units.into_iter().find(|(_, size)| bytes >= *size) else {
            return write!(f, "{bytes} bytes");
        };
        let (whole, tenth) = (bytes / size, bytes % size * 10 / size);
        write!(f, "{whole}.{tenth} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(free: u64, size: u64, wal: u64) -> DiskSpace {
        DiskSpace { free: Bytes(free), size: Bytes(size), wal: Bytes(wal), items: 0 }
    }

    #[test]
    fn nothing_is_sent_where_less_is_free_than_the_reserve() {
        assert!(!disk(72 * MIB, 1 << 40, 8 * MIB).is_short());
        assert!(disk(72 * MIB - 1, 1 << 40, 8 * MIB).is_short(), "the WAL is copied into the file at some time");
        assert!(disk(0, 1 << 40, 0).is_short());
        let many = DiskSpace { items: 20_000, ..disk(200 * MIB, 1 << 40, 0) };
        assert!(many.is_short(), "each of them may need a page");
    }

    #[test]
    fn a_small_disk_is_not_all_reserve_and_an_unknown_one_has_none() {
        assert_eq!(disk(0, 16 * MIB, 8 * MIB).reserve(), Bytes(4 * MIB));
        assert!(!disk(5 * MIB, 16 * MIB, 8 * MIB).is_short());
        assert!(!disk(0, 0, 8 * MIB).is_short(), "a file system that tells nothing keeps nobody from sending");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let shown = [0, 1023, 1536, MIB, 64 * MIB, 3 << 30].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.5 KiB", "1.0 MiB", "64.0 MiB", "3.0 GiB"]);
    }
}
