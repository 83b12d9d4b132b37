//! Checksums of lines: SQLite keeps none of its pages, and a byte that changed on the disk would be read as if written.
//!
//! CRC-32: all changes within 32 bits in a row are found, of others all but one in 4 billion. Each part goes in with its
//! length, so that no two lines say the same bytes.

use crate::domain::ids::{RequestId, RunId};
use crate::domain::row::RowNo;

/// The checksum of a line in the making.
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(crc32fast::Hasher::new())
    }

    pub(super) fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(super) fn row(self, row: RowNo) -> Self {
        self.number(row.cast_signed())
    }

    pub(super) fn text(self, text: &str) -> Self {
        // No text is as long as an i64 goes.
        let mut longer = self.number(i64::try_from(text.len()).unwrap_or(i64::MAX));
        longer.0.update(text.as_bytes());
        longer
    }

    /// Nothing is another thing than 0 …
    pub(super) fn number_if_any(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    /// … and than an empty text.
    pub(super) fn text_if_any(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    /// As it is stored: signed, since SQLite needs six bytes for half of all unsigned ones.
    pub(super) fn sum(self) -> i64 {
        self.0.finalize().cast_signed().into()
    }
}

/// The modulus of the checksum of a request: the largest prime of two bytes.
const PRIME: i64 = 65_521;

/// The checksum of a request that was never sent: the formula of `checksum_ok` in the migration, where all else is as
/// a load leaves it. SQL does the rest: every change of a request writes it anew.
pub(super) const fn request_checksum(id: RequestId, run: RunId, item_count: u32, row_count: u32) -> i64 {
    let (id, run) = (id.get(), run.get());
    let loaded = id % PRIME * 3 + run % PRIME * 7_877 + item_count as i64 * 15_013 + row_count as i64 * 22_501;
    (loaded + 23 * 52_501 + 29 * 59_999) % PRIME
}
