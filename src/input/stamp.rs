//! What the file system says of a file, and whether it shows every change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use jiff::Timestamp;

/// A file that was changed within this time before it was read may be changed again without another stamp: the clocks
/// of file systems advance in steps, of up to 2 s on FAT.
const STEP_OF_FILE_TIMES: Duration = Duration::from_secs(3);

/// What the file system says of a file. Equal stamps mean that it was not written to in between, unless the first one
/// is recent (`is_recent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// Last change of content or attributes, which can't be set back by hand: seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
    /// Device and inode: another file under the same name has another one.
    pub inode: (u64, u64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Stamp {
    /// Whether the last change is so short before this moment, or even after it, that one more change may leave the
    /// same stamp.
    pub(super) fn is_recent(&self, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        now.as_nanosecond() - changed < STEP_OF_FILE_TIMES.as_nanos().cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_recent_for_longer_than_the_clock_of_any_file_system_takes_for_a_step() {
        let at = |seconds, nanoseconds| Timestamp::new(seconds, nanoseconds).unwrap();
        let changed = |modified, changed| Stamp { size: 1, modified, changed, inode: (1, 2) };
        for (modified, attributes, now, is_recent) in [
            ((100, 0), (100, 0), at(100, 0), true),
            ((100, 0), (100, 5), at(103, 4), true),
            ((100, 0), (100, 5), at(103, 5), false),
            ((100, 7), (100, 5), at(103, 6), true),
            ((100, 0), (100, 0), at(50, 0), true),
        ] {
            assert_eq!(changed(modified, attributes).is_recent(now), is_recent, "{modified:?} {attributes:?} {now}");
        }
    }
}
