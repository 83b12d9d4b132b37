//! Parts the rows so that those which belong together meet in one part that fits in memory.

use super::record::{Record, Seeded};
use super::spill::{Extent, Spill};
use super::{IntakeError, Plan};

/// What decides the part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// `From_Account`: all rows of one lane meet.
    Lane,
    /// The item's account: equal rows meet. Where items of any lane go together, or there is but one lane.
    Account,
}

/// The tables of a part of this size stay in the processor's second cache: measured some 10 % faster than 1 MiB.
const PART_BYTES: u64 = 1 << 18;
/// More parts would cost more than they save: each row goes to another one, and so many places do not stay in the processor's
/// caches.
const MAX_PARTS: usize = 512;
/// Large enough that a block is one cheap write; a part's last block stands half empty.
const BLOCK_BYTES: usize = 32 << 10;
/// A small budget is spent on a few blocks a part nevertheless.
const MIN_BLOCK_BYTES: usize = 64;
/// How often a part is parted again. Four times by 256 is more rows than there are; what is still too large by then
/// are rows that say the same, and those take no room when they are looked through.
const MAX_DEPTH: u64 = 4;

/// Rows that wait, by part.
#[derive(Debug)]
pub(super) struct Partitions<'a> {
    parts: Vec<Part>,
    spread: Spread,
    seed: Seeded,
    depth: u64,
    hot: Option<Hot>,
    memory: usize,
    block_bytes: usize,
    /// Bytes that blocks in memory take.
    held: usize,
    spill: Spill<'a>,
}

/// One part: blocks on disk, then blocks in memory, in row order.
#[derive(Debug, Default)]
struct Part {
    spilled: Vec<Extent>,
    full: Vec<Vec<u8>>,
    /// The block that is being filled.
    open: Vec<u8>,
    /// The row of the last record.
    last: u64,
    bytes: u64,
    /// The hash that has the majority of rows, if one has (Boyer and Moore's vote), and how sure that is.
    candidate: u64,
    votes: u64,
}

/// The lane that may have most of the rows: it gets the last part for itself. No hash of it could part it, and no
/// other lane should be torn apart on its account.
#[derive(Debug)]
struct Hot {
    seed: Seeded,
    hash: u64,
}

impl<'a> Partitions<'a> {
    /// Parts for the whole input.
    pub(super) fn new(plan: &Plan<'a>, spread: Spread) -> Self {
        let spill = Spill::new(plan.temp_dir);
        Self::sized(plan.expected_bytes, plan.memory, spread, 0, None, spill)
    }

    fn sized(bytes: u64, memory: usize, spread: Spread, depth: u64, hot: Option<Hot>, spill: Spill<'a>) -> Self {
        let share = share(memory);
        let count = if bytes <= share {
            1
        } else {
            let wanted = bytes / PART_BYTES.min(share / 2).max(1);
            usize::try_from(wanted).unwrap_or(MAX_PARTS).clamp(2, MAX_PARTS)
        };
        let count = count + usize::from(hot.is_some());
        Self {
            parts: (0..count).map(|_| Part::default()).collect(),
            spread,
            seed: Seeded::new(depth),
            depth,
            hot,
            memory,
            block_bytes: (memory / (4 * count)).clamp(MIN_BLOCK_BYTES, BLOCK_BYTES),
            held: 0,
            spill,
        }
    }

    /// How many parts there are.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Lays a row aside. Rows come in order.
    pub(super) fn add(&mut self, record: &Record<'_>) -> Result<(), IntakeError> {
        let hash = hash_of(&self.seed, self.spread, record);
        let index = self.index(hash, record);
        let room = record.room();
        let open = &self.parts[index].open;
        if open.capacity() - open.len() < room {
            self.open_block(index, room.max(self.block_bytes))?;
        }
        let part = &mut self.parts[index];
        part.vote(hash);
        let before = part.open.len();
        record.write(part.last, &mut part.open);
        part.bytes += (part.open.len() - before) as u64;
        part.last = record.row;
        Ok(())
    }

    fn index(&self, hash: u64, record: &Record<'_>) -> usize {
        let hashed = match &self.hot {
            Some(hot) if hash_of(&hot.seed, Spread::Lane, record) == hot.hash => return self.parts.len() - 1,
            Some(_) => self.parts.len() - 1,
            None => self.parts.len(),
        };
        // The upper half of the hash, scaled: below `hashed`.
        (((hash >> 32) * hashed as u64) >> 32) as usize
    }

    fn open_block(&mut self, index: usize, capacity: usize) -> Result<(), IntakeError> {
        if self.held + capacity > self.memory {
            self.spill_all()?;
        }
        let block = Vec::with_capacity(capacity);
        self.held += block.capacity();
        let part = &mut self.parts[index];
        let full = std::mem::replace(&mut part.open, block);
        part.full.push(full);
        Ok(())
    }

    fn spill_all(&mut self) -> Result<(), IntakeError> {
        for part in &mut self.parts {
            let open = std::mem::take(&mut part.open);
            for block in part.full.drain(..).chain([open]).filter(|block| !block.is_empty()) {
                part.spilled.push(self.spill.write(&block)?);
            }
        }
        self.held = 0;
        Ok(())
    }

    /// No more rows come: if some are on disk the others follow, so that the memory is free for settling.
    pub(super) fn close(&mut self) -> Result<(), IntakeError> {
        if self.spill.is_used() {
            self.spill_all()?;
        }
        Ok(())
    }

    /// If a part is too large to be settled at once: its rows, parted again.
    pub(super) fn split(&mut self, index: usize) -> Result<Option<Self>, IntakeError> {
        let part = &self.parts[index];
        if part.bytes <= share(self.memory) || self.depth == MAX_DEPTH {
            return Ok(None);
        }
        let holds_one_lane = self.hot.is_some() && index == self.parts.len() - 1;
        let (spread, hot) = match self.spread {
            Spread::Lane if !holds_one_lane => {
                (Spread::Lane, Some(Hot { seed: self.seed.clone(), hash: part.candidate }))
            }
            Spread::Lane | Spread::Account => (Spread::Account, None),
        };
        let spill = Spill::new(self.spill.dir());
        let mut smaller = Self::sized(part.bytes, self.memory, spread, self.depth + 1, hot, spill);
        let mut last = 0;
        self.drain(index, |block| {
            last = each_record(block, last, |record| smaller.add(record))?;
            Ok(())
        })?;
        Ok(Some(smaller))
    }

    /// Hands out the rows of a part, block by block and in order, and forgets them. The first one counts from row 0.
    pub(super) fn drain(
        &mut self,
        index: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), IntakeError>,
    ) -> Result<(), IntakeError> {
        let part = std::mem::take(&mut self.parts[index]);
        for extent in part.spilled {
            each(self.spill.read(extent)?)?;
        }
        for block in part.full.into_iter().chain([part.open]) {
            self.held -= block.capacity();
            each(&block)?;
        }
        Ok(())
    }
}

impl Part {
    /// Counts a row for its hash. If one hash has more than half of the rows, it is the candidate in the end.
    fn vote(&mut self, hash: u64) {
        if self.votes == 0 {
            self.candidate = hash;
        }
        if self.candidate == hash {
            self.votes += 1;
        } else {
            self.votes -= 1;
        }
    }
}

/// How large a part may be to be settled at once: the tables for it take some three times its size.
fn share(memory: usize) -> u64 {
    memory as u64 / 10
}

fn hash_of(seed: &Seeded, spread: Spread, record: &Record<'_>) -> u64 {
    let text = match spread {
        Spread::Lane => record.from.unwrap_or(record.account),
        Spread::Account => record.account,
    };
    seed.hash(0, text)
}

fn each_record(
    mut block: &[u8],
    mut last: u64,
    mut each: impl FnMut(&Record<'_>) -> Result<(), IntakeError>,
) -> Result<u64, IntakeError> {
    while !block.is_empty() {
        let (record, _) = Record::read(last, &mut block).ok_or(IntakeError::Damaged { row: last })?;
        last = record.row;
        each(&record)?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MEMORY: usize = 10_000;

    /// Row, from, account.
    type Row = (u64, Vec<u8>, Vec<u8>);

    /// Walks to the parts that are settled at once; gives the rows of each.
    fn leaves(mut parts: Partitions<'_>) -> Vec<Vec<Row>> {
        parts.close().unwrap();
        let mut found = Vec::new();
        for index in 0..parts.count() {
            if let Some(smaller) = parts.split(index).unwrap() {
                found.extend(leaves(smaller));
                continue;
            }
            assert!(parts.parts[index].bytes <= share(MEMORY), "{} bytes", parts.parts[index].bytes);
            let mut rows = Vec::new();
            let mut keep = |record: &Record<'_>| {
                rows.push((record.row, record.from.unwrap_or_default().to_vec(), record.account.to_vec()));
                Ok(())
            };
            let mut last = 0;
            let keep = |block: &[u8]| {
                last = each_record(block, last, &mut keep)?;
                Ok(())
            };
            parts.drain(index, keep).unwrap();
            found.push(rows);
        }
        found
    }

    #[test]
    fn all_parts_fit_and_only_the_hot_lane_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = Partitions::sized(0, MEMORY, Spread::Lane, 0, None, Spill::new(dir.path()));
        for row in 0..10_000_u64 {
            let from = if row % 5 < 3 { "hot".to_owned() } else { format!("u{}", row % 700) };
            let account = (row * 7919 % 3000).to_string();
            let (from, account) = (Some(from.as_bytes()), account.as_bytes());
            parts.add(&Record { row, from, account, tags: b"" }).unwrap();
            assert!(parts.held <= MEMORY);
        }
        let leaves = leaves(parts);
        assert_eq!(leaves.iter().map(Vec::len).sum::<usize>(), 10_000);
        let (mut lanes, mut pairs) = (HashMap::new(), HashMap::new());
        for (leaf, rows) in leaves.iter().enumerate() {
            assert!(rows.is_sorted_by_key(|(row, ..)| row));
            for (_, from, account) in rows {
                assert_eq!(*pairs.entry((from, account)).or_insert(leaf), leaf);
                if from != b"hot" {
                    assert_eq!(*lanes.entry(from).or_insert(leaf), leaf);
                }
            }
        }
    }

    #[test]
    fn the_vote_finds_the_majority() {
        let mut part = Part::default();
        for hash in [1, 7, 2, 7, 7, 3, 7] {
            part.vote(hash);
        }
        assert_eq!(part.candidate, 7);
    }
}
