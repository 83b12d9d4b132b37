//! Divides the rows into parts that fit in memory, so that rows which belong together are in one part.

use std::cmp::Reverse;

use super::spill_file::{Extent, SpillFile};
use super::waiting_row::{SeededHash, WaitingRow};
use super::{IntakeError, IntakeOptions};

/// The column that decides the part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartitionKey {
    /// `From_Account`: all rows of one account group are in one part.
    FromAccount,
    /// The item's account: equal rows are in one part. Used where a request may hold items of any group, and within one
    /// group.
    Account,
}

/// The tables of a part of this size fit in the processor's second-level cache: measured some 10 % faster than 1 MiB.
const PART_BYTES: u64 = 1 << 18;
/// More parts would be slower: consecutive rows go to different parts, and the ends of the parts do not fit in the
/// processor's caches.
const MAX_PARTS: usize = 512;
/// Large enough for cheap writes. On average, half of each part's last block is empty.
const BLOCK_BYTES: usize = 32 << 10;
/// The smallest block, for small memory budgets.
const MIN_BLOCK_BYTES: usize = 64;
/// How often a part is divided again. Four times by 256 is more than the number of rows; a part that is still too large
/// has equal rows, which take no memory when they are indexed.
const MAX_DEPTH: u64 = 4;

/// The waiting rows, by part.
#[derive(Debug)]
pub(super) struct Partitions<'a> {
    parts: Vec<Part>,
    key: PartitionKey,
    seed: SeededHash,
    depth: u64,
    heavy: Option<HeavyAccount>,
    memory: usize,
    block_bytes: usize,
    /// Bytes that blocks in memory take.
    held: usize,
    spill: SpillFile<'a>,
}

/// One part: blocks on disk, then blocks in memory, in row order.
#[derive(Debug, Default)]
struct Part {
    spilled: Vec<Extent>,
    full: Vec<Vec<u8>>,
    /// The block that is being filled.
    open: Vec<u8>,
    /// The number of the last row.
    last: u64,
    bytes: u64,
    /// The hash of the majority of rows, if there is one (Boyer–Moore majority vote), and its lead.
    candidate: u64,
    votes: u64,
}

/// The account group that may have most of the rows. It has the last part to itself, because no hash of its account can
/// divide it, and no other group should be divided for its sake.
#[derive(Debug)]
struct HeavyAccount {
    seed: SeededHash,
    hash: u64,
}

impl<'a> Partitions<'a> {
    /// Creates the parts for the whole input.
    pub(super) fn new(options: &IntakeOptions<'a>, key: PartitionKey) -> Self {
        let spill = SpillFile::new(options.temp_dir);
        Self::sized(options.expected_bytes, options.memory, key, 0, None, spill)
    }

    fn sized(
        bytes: u64,
        memory: usize,
        key: PartitionKey,
        depth: u64,
        heavy: Option<HeavyAccount>,
        spill: SpillFile<'a>,
    ) -> Self {
        let share = share(memory);
        let count = if bytes <= share {
            1
        } else {
            let wanted = bytes / PART_BYTES.min(share / 2).max(1);
            usize::try_from(wanted).unwrap_or(MAX_PARTS).clamp(2, MAX_PARTS)
        };
        let count = count + usize::from(heavy.is_some());
        Self {
            parts: (0..count).map(|_| Part::default()).collect(),
            key,
            seed: SeededHash::new(depth),
            depth,
            heavy,
            memory,
            block_bytes: (memory / (4 * count)).clamp(MIN_BLOCK_BYTES, BLOCK_BYTES),
            held: 0,
            spill,
        }
    }

    /// The number of parts.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Stores a row. Rows arrive in input order.
    pub(super) fn add(&mut self, waiting: &WaitingRow<'_>) -> Result<(), IntakeError> {
        let hash = hash_of(&self.seed, self.key, waiting);
        let index = self.index(hash, waiting);
        let max_bytes = waiting.max_bytes();
        let open = &self.parts[index].open;
        if open.capacity() - open.len() < max_bytes {
            self.open_block(index, max_bytes.max(self.block_bytes))?;
        }
        let part = &mut self.parts[index];
        part.vote(hash);
        let before = part.open.len();
        waiting.write(part.last, &mut part.open);
        part.bytes += (part.open.len() - before) as u64;
        part.last = waiting.row;
        Ok(())
    }

    fn index(&self, hash: u64, waiting: &WaitingRow<'_>) -> usize {
        let hashed = match &self.heavy {
            Some(heavy) if hash_of(&heavy.seed, PartitionKey::FromAccount, waiting) == heavy.hash => {
                return self.parts.len() - 1;
            }
            Some(_) => self.parts.len() - 1,
            None => self.parts.len(),
        };
        // The upper half of the hash, scaled to a number below `hashed`.
        (((hash >> 32) * hashed as u64) >> 32) as usize
    }

    fn open_block(&mut self, index: usize, capacity: usize) -> Result<(), IntakeError> {
        if self.held + capacity > self.memory {
            self.spill_until(self.memory / 2)?;
        }
        let block = Vec::with_capacity(capacity);
        self.held += block.capacity();
        let part = &mut self.parts[index];
        let full = std::mem::replace(&mut part.open, block);
        part.full.push(full);
        Ok(())
    }

    /// Writes the parts that take the most memory, until the others take no more than this.
    ///
    /// The others stay in memory, so that an input that is a little too large for it is not written as a whole, and so
    /// that each part has several blocks to write at a time.
    fn spill_until(&mut self, held: usize) -> Result<(), IntakeError> {
        let mut largest: Vec<usize> = (0..self.parts.len()).collect();
        largest.sort_by_key(|&index| Reverse(self.parts[index].held()));
        for index in largest {
            if self.held <= held {
                break;
            }
            self.spill_part(index)?;
        }
        Ok(())
    }

    /// Ends the adding of rows. If some are on disk, no more than half of the memory stays in use, because the tables
    /// of the part in work and what waits for the queue need memory as well.
    pub(super) fn close(&mut self) -> Result<(), IntakeError> {
        if self.spill.is_used() { self.spill_until(self.memory / 2) } else { Ok(()) }
    }

    fn spill_part(&mut self, index: usize) -> Result<(), IntakeError> {
        let part = &mut self.parts[index];
        self.held -= part.held();
        let open = std::mem::take(&mut part.open);
        for block in part.full.drain(..).chain([open]).filter(|block| !block.is_empty()) {
            part.spilled.push(self.spill.write(&block)?);
        }
        Ok(())
    }

    /// Divides a part again if it is too large for memory.
    pub(super) fn split(&mut self, index: usize) -> Result<Option<Self>, IntakeError> {
        let Part { bytes, candidate, .. } = self.parts[index];
        if bytes <= share(self.memory) || self.depth == MAX_DEPTH {
            return Ok(None);
        }
        let holds_one_account = self.heavy.is_some() && index == self.parts.len() - 1;
        let (key, heavy) = match self.key {
            PartitionKey::FromAccount if !holds_one_account => {
                (PartitionKey::FromAccount, Some(HeavyAccount { seed: self.seed.clone(), hash: candidate }))
            }
            PartitionKey::FromAccount | PartitionKey::Account => (PartitionKey::Account, None),
        };
        if self.spill.is_used() {
            // The smaller parts may need all memory.
            (0..self.count()).try_for_each(|index| self.spill_part(index))?;
        }
        let spill = SpillFile::new(self.spill.dir());
        let mut smaller = Self::sized(bytes, self.memory, key, self.depth + 1, heavy, spill);
        let mut last = 0;
        self.drain(index, |block| {
            last = each_row(block, last, |waiting| smaller.add(waiting))?;
            Ok(())
        })?;
        Ok(Some(smaller))
    }

    /// Passes on the rows of a part, block by block and in order, and removes them. The first number is relative to row
    /// 0.
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
    /// The bytes that its blocks in memory take.
    fn held(&self) -> usize {
        self.full.iter().chain([&self.open]).map(Vec::capacity).sum()
    }

    /// Counts a row for its hash. A hash with more than half of the rows is the candidate at the end.
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

/// The largest part that is processed at once. Its tables take some three times its size.
fn share(memory: usize) -> u64 {
    memory as u64 / 10
}

fn hash_of(seed: &SeededHash, key: PartitionKey, waiting: &WaitingRow<'_>) -> u64 {
    let text = match key {
        PartitionKey::FromAccount => waiting.from.unwrap_or(waiting.account),
        PartitionKey::Account => waiting.account,
    };
    seed.hash(0, text)
}

fn each_row(
    mut block: &[u8],
    mut last: u64,
    mut each: impl FnMut(&WaitingRow<'_>) -> Result<(), IntakeError>,
) -> Result<u64, IntakeError> {
    while !block.is_empty() {
        let (waiting, _) = WaitingRow::read(last, &mut block).ok_or(IntakeError::Damaged { row: last })?;
        last = waiting.row;
        each(&waiting)?;
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

    /// The rows of each part that is processed at once.
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
            let mut keep = |waiting: &WaitingRow<'_>| {
                rows.push((waiting.row, waiting.from.unwrap_or_default().to_vec(), waiting.account.to_vec()));
                Ok(())
            };
            let mut last = 0;
            let keep = |block: &[u8]| {
                last = each_row(block, last, &mut keep)?;
                Ok(())
            };
            parts.drain(index, keep).unwrap();
            found.push(rows);
        }
        found
    }

    #[test]
    fn all_parts_fit_and_only_the_heavy_group_is_divided() {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = Partitions::sized(0, MEMORY, PartitionKey::FromAccount, 0, None, SpillFile::new(dir.path()));
        for row in 0..10_000_u64 {
            let from = if row % 5 < 3 { "heavy".to_owned() } else { format!("u{}", row % 700) };
            let account = (row * 7919 % 3000).to_string();
            let (from, account) = (Some(from.as_bytes()), account.as_bytes());
            parts.add(&WaitingRow { row, from, account, fields: b"" }).unwrap();
            assert!(parts.held <= MEMORY);
        }
        let leaves = leaves(parts);
        assert_eq!(leaves.iter().map(Vec::len).sum::<usize>(), 10_000);
        let (mut account_groups, mut pairs) = (HashMap::new(), HashMap::new());
        for (leaf, rows) in leaves.iter().enumerate() {
            assert!(rows.is_sorted_by_key(|(row, ..)| row));
            for (_, from, account) in rows {
                assert_eq!(*pairs.entry((from, account)).or_insert(leaf), leaf);
                if from != b"heavy" {
                    assert_eq!(*account_groups.entry(from).or_insert(leaf), leaf);
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
