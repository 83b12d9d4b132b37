//! The bytes of a ledger file.
//!
//! ```text
//! 0        "imbulk slots v2\n"
//! 16       the moment until which the counts are needed, in seconds since 1970
//! 64 n     name of the command with section n, 1 ≤ n < 64, padded with zeros
//! 4096     header of section n, at 32 n
//! 6144     128 counts of calls, 16 bytes each: the quarter of an hour since 1970, and its calls
//! 8192     section 0, the app: 65,536 slots of 24 bytes
//! …        section n, a command: the same
//! ```

use crate::domain::rate_limit::slots::Slot;
use crate::domain::rate_limit::{Cap, Moment};

pub(super) const MAGIC: [u8; 16] = *b"imbulk slots v2\n";
pub(super) const NAME: usize = 64;
pub(super) const SECTIONS: u32 = 64;
pub(super) const MOMENT: usize = size_of::<u64>();
pub(super) const HEADERS: u64 = 4096;
pub(super) const HEADER: u64 = 32;
pub(super) const COUNTS_NEEDED_UNTIL: u64 = 16;
pub(super) const COUNTS: u64 = 6144;
/// The quarters of 32 hours: more than the longest day.
pub(super) const COUNTED_QUARTERS: usize = 128;
pub(super) const COUNT: usize = 2 * MOMENT;
pub(super) const SLOTS: u64 = 8192;
pub(super) const SLOT: usize = 3 * MOMENT;
pub(super) const SECTION: u64 = SLOT as u64 * Cap::MAX as u64;

pub(super) fn from_bytes(bytes: &[u8; SLOT]) -> Slot {
    let [free_at, taken, taken_before] = numbers(bytes);
    Slot {
        free_at: Moment::from_nanos(free_at),
        taken: Moment::from_nanos(taken),
        taken_before: Moment::from_nanos(taken_before),
    }
}

pub(super) fn to_bytes(slot: Slot) -> [u8; SLOT] {
    bytes([slot.free_at, slot.taken, slot.taken_before].map(Moment::as_nanos))
}

/// Without `array::map`: every call decodes all slots, and the simulation spends half of its time there unoptimized.
pub(super) fn numbers(bytes: &[u8; 3 * MOMENT]) -> [u64; 3] {
    let (numbers, _) = bytes.as_chunks();
    [u64::from_le_bytes(numbers[0]), u64::from_le_bytes(numbers[1]), u64::from_le_bytes(numbers[2])]
}

pub(super) fn bytes(numbers: [u64; 3]) -> [u8; 3 * MOMENT] {
    let mut bytes = [0; 3 * MOMENT];
    for (place, number) in bytes.chunks_exact_mut(MOMENT).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}
