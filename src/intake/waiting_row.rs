//! The encoding of rows in blocks, until their part is processed.

use std::hash::{BuildHasher, Hasher};

use crate::domain::request::row::RowNo;

/// A good row with its number. Its texts are bytes, and are checked once when they leave intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitingRow<'a> {
    pub(super) row: RowNo,
    pub(super) from: Option<&'a [u8]>,
    pub(super) account: &'a [u8],
    pub(super) fields: &'a [u8],
}

/// The offsets of the texts of a row, from its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextOffsets {
    pub(super) from: usize,
    pub(super) account: usize,
    pub(super) fields: usize,
}

/// The most bytes of a number written by [`write_number`].
const NUMBER_BYTES: usize = 10;

impl<'a> WaitingRow<'a> {
    /// The most bytes that [`write`](Self::write) adds.
    pub(super) fn max_bytes(&self) -> usize {
        self.from.map_or(0, <[u8]>::len) + self.account.len() + self.fields.len() + 4 * NUMBER_BYTES
    }

    /// Appends the row to a block. `previous` is the number of the row before it.
    pub(super) fn write(&self, previous: RowNo, block: &mut Vec<u8>) {
        write_number(self.row - previous, block);
        match self.from {
            Some(from) => {
                write_number(from.len() as u64 + 1, block);
                block.extend_from_slice(from);
            }
            None => write_number(0, block),
        }
        write_text(self.account, block);
        write_text(self.fields, block);
    }

    /// Reads the next row of a block and the offsets of its texts. None if the block is damaged.
    pub(super) fn read(previous: RowNo, block: &mut &'a [u8]) -> Option<(Self, TextOffsets)> {
        let length = block.len();
        let row = previous.checked_add(read_number(block)?)?;
        let before_from = length - block.len();
        let from = read_from(block).ok()?;
        let before_account = length - block.len();
        let account = read_text(block)?;
        let before_fields = length - block.len();
        let fields = read_text(block)?;
        let offsets = TextOffsets { from: before_from, account: before_account, fields: before_fields };
        Some((Self { row, from, account, fields }, offsets))
    }
}

/// Writes a text so that [`read_text`] finds its end.
fn write_text(text: &[u8], to: &mut Vec<u8>) {
    write_number(text.len() as u64, to);
    to.extend_from_slice(text);
}

/// Reads the next text of a block. None if the block is damaged.
pub(super) fn read_text<'a>(block: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read_number(block)?;
    split(length, block)
}

/// The block is not as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DamagedBlock;

/// Reads a `From_Account` as [`WaitingRow::write`] writes it.
pub(super) fn read_from<'a>(block: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DamagedBlock> {
    match read_number(block).ok_or(DamagedBlock)? {
        0 => Ok(None),
        length => split(length - 1, block).ok_or(DamagedBlock).map(Some),
    }
}

fn split<'a>(length: u64, block: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (text, rest) = block.split_at_checked(usize::try_from(length).ok()?)?;
    *block = rest;
    Some(text)
}

/// Seven bits per byte, the lowest first. Nearly every number here takes one byte.
fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

fn read_number(block: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = block.split_first()?;
        *block = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// A hash function with a seed. Each level of partitions and the index have their own seed, because the rows of one
/// part have equal bits in the hash that chose the part.
#[derive(Debug, Clone)]
pub(super) struct SeededHash(foldhash::quality::FixedState);

impl SeededHash {
    pub(super) fn new(seed: u64) -> Self {
        Self(foldhash::quality::FixedState::with_seed(seed))
    }

    /// The hash of a text within a group.
    pub(super) fn hash(&self, group: u32, text: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(group);
        hasher.write(text);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let long = [b'x'; 300];
        let rows = [
            WaitingRow { row: 3, from: None, account: b"a", fields: b"" },
            WaitingRow { row: 4, from: Some(b""), account: b"", fields: b"{}" },
            WaitingRow { row: u64::MAX, from: Some(&long), account: &long, fields: &long },
        ];
        let mut block = Vec::new();
        let mut previous = 0;
        for waiting in &rows {
            let max_bytes = block.len() + waiting.max_bytes();
            waiting.write(previous, &mut block);
            assert!(block.len() <= max_bytes);
            previous = waiting.row;
        }
        let (mut rest, mut previous) = (&block[..], 0);
        for waiting in &rows {
            let whole = rest;
            let (read, offsets) = WaitingRow::read(previous, &mut rest).unwrap();
            assert_eq!(read, *waiting);
            let text = |place: usize| read_text(&mut &whole[place..]).unwrap();
            assert_eq!(read_from(&mut &whole[offsets.from..]), Ok(waiting.from));
            assert_eq!((text(offsets.account), text(offsets.fields)), (waiting.account, waiting.fields));
            previous = waiting.row;
        }
        assert!(rest.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_block_never_causes_a_panic(bytes: Vec<u8>, previous: u64) {
            let mut rest = &bytes[..];
            while let Some((waiting, _)) = WaitingRow::read(previous, &mut rest) {
                proptest::prop_assert!(waiting.row >= previous);
            }
        }
    }
}
