//! How much room must be left on the disk for anything to be sent (docs/decisions/0009).

use std::fmt;

/// What is kept in any case: for commits, for the log as far as it grows before it is folded, and for what others write
/// meanwhile.
const RESERVE: u64 = 64 << 20;
/// An item that does not simply succeed gets a line of its own, at worst in a page that no other item of its commit is in.
const ITEM: u64 = 8 << 10;
/// On small disks the reserve is no more than this part of all there is, or nothing could ever be sent.
const PART: u64 = 4;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// The disk under the queue, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What this user may still write.
    pub free: Bytes,
    /// What the disk holds when it is empty; zero where the file system does not tell.
    pub size: Bytes,
    /// The queue's log: folding it may let the file grow by as much.
    pub log: Bytes,
    /// Items whose outcome has to be recorded yet, those included that are about to leave.
    pub items: u64,
}

impl DiskSpace {
    /// What must stay free for what was sent to be recorded.
    pub fn reserve(self) -> Bytes {
        Bytes((RESERVE + self.log.0 + self.items * ITEM).min(self.size.0 / PART))
    }

    /// Whether nothing more may be sent.
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

    fn disk(free: u64, size: u64, log: u64) -> DiskSpace {
        DiskSpace { free: Bytes(free), size: Bytes(size), log: Bytes(log), items: 0 }
    }

    #[test]
    fn nothing_is_sent_where_less_is_free_than_the_reserve() {
        assert!(!disk(72 * MIB, 1 << 40, 8 * MIB).is_short());
        assert!(disk(72 * MIB - 1, 1 << 40, 8 * MIB).is_short(), "the log is folded into the file at some time");
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
