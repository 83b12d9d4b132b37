//! A row while it waits: a few bytes in a block.

use std::hash::{BuildHasher, Hasher};

use crate::domain::row::RowNo;

/// A good row with its number. Texts stay bytes until they leave intake, where they are checked once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) row: RowNo,
    pub(super) from: Option<&'a [u8]>,
    pub(super) account: &'a [u8],
    pub(super) tags: &'a [u8],
}

/// Where the texts of a record stand, counted from its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) from: usize,
    pub(super) account: usize,
    pub(super) tags: usize,
}

/// The most bytes of a number written by [`write_number`].
const NUMBER_BYTES: usize = 10;

impl<'a> Record<'a> {
    /// The most bytes that [`write`](Self::write) adds.
    pub(super) fn room(&self) -> usize {
        self.from.map_or(0, <[u8]>::len) + self.account.len() + self.tags.len() + 4 * NUMBER_BYTES
    }

    /// Appends the record to a block; `previous` is the row of the record before it.
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
        write_text(self.tags, block);
    }

    /// Takes the next record off a block, and says where its texts stand; none if the block is damaged.
    pub(super) fn read(previous: RowNo, block: &mut &'a [u8]) -> Option<(Self, Places)> {
        let length = block.len();
        let row = previous.checked_add(read_number(block)?)?;
        let before_from = length - block.len();
        let from = read_from(block).ok()?;
        let before_account = length - block.len();
        let account = read_text(block)?;
        let before_tags = length - block.len();
        let tags = read_text(block)?;
        let places = Places { from: before_from, account: before_account, tags: before_tags };
        Some((Self { row, from, account, tags }, places))
    }
}

/// Writes a text so that [`read_text`] finds its end.
fn write_text(text: &[u8], to: &mut Vec<u8>) {
    write_number(text.len() as u64, to);
    to.extend_from_slice(text);
}

/// Takes the next text off `block`; none if it is damaged.
pub(super) fn read_text<'a>(block: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read_number(block)?;
    split(length, block)
}

/// A block is not as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Takes what [`Record::write`] wrote of a `From_Account` off `block`.
pub(super) fn read_from<'a>(block: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Damaged> {
    match read_number(block).ok_or(Damaged)? {
        0 => Ok(None),
        length => split(length - 1, block).ok_or(Damaged).map(Some),
    }
}

fn split<'a>(length: u64, block: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (text, rest) = block.split_at_checked(usize::try_from(length).ok()?)?;
    *block = rest;
    Some(text)
}

/// Seven bits a byte, the lowest first; nearly every number here is one byte.
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

/// Hashes by one seed. Parting once more and looking up need a seed of their own each: rows that share a part
/// share bits of the hash that put them there.
#[derive(Debug, Clone)]
pub(super) struct Seeded(foldhash::quality::FixedState);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(foldhash::quality::FixedState::with_seed(seed))
    }

    /// The hash of a text, apart for each `group`.
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
    fn records_come_back_as_they_were_written() {
        let long = [b'x'; 300];
        let records = [
            Record { row: 3, from: None, account: b"a", tags: b"" },
            Record { row: 4, from: Some(b""), account: b"", tags: b"{}" },
            Record { row: u64::MAX, from: Some(&long), account: &long, tags: &long },
        ];
        let mut block = Vec::new();
        let mut previous = 0;
        for record in &records {
            let room = block.len() + record.room();
            record.write(previous, &mut block);
            assert!(block.len() <= room);
            previous = record.row;
        }
        let (mut rest, mut previous) = (&block[..], 0);
        for record in &records {
            let whole = rest;
            let (read, places) = Record::read(previous, &mut rest).unwrap();
            assert_eq!(read, *record);
            let text = |place: usize| read_text(&mut &whole[place..]).unwrap();
            assert_eq!(read_from(&mut &whole[places.from..]), Ok(record.from));
            assert_eq!((text(places.account), text(places.tags)), (record.account, record.tags));
            previous = record.row;
        }
        assert!(rest.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_block_is_found_out_or_read_but_never_a_panic(bytes: Vec<u8>, previous: u64) {
            let mut rest = &bytes[..];
            while let Some((record, _)) = Record::read(previous, &mut rest) {
                proptest::prop_assert!(record.row >= previous);
            }
        }
    }
}
