//! Counts different values in bounded memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

/// As many hashes are kept; below this number the count is exact.
const KEPT: usize = 1 << 16;

/// The number of different values: exact while they are few, else an estimate within some 2 %.
///
/// It keeps the hashes that end with a number of zero bits, and asks for one more zero whenever they become too many.
#[derive(Debug, Default)]
pub(super) struct DistinctCount {
    hashes: HashSet<u64, FixedState>,
    zeros: u32,
}

impl DistinctCount {
    pub(super) fn add(&mut self, value: impl Hash) {
        let hash = FixedState::default().hash_one(value);
        if hash.trailing_zeros() < self.zeros {
            return;
        }
        self.hashes.insert(hash);
        while self.hashes.len() > KEPT {
            self.zeros += 1;
            self.hashes.retain(|hash| hash.trailing_zeros() >= self.zeros);
        }
    }

    pub(super) fn count(&self) -> u64 {
        (self.hashes.len() as u64) << self.zeros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_counted_exactly_and_many_are_estimated() {
        let count = |values: u64| {
            let mut count = DistinctCount::default();
            (0..values).chain(0..values).for_each(|value| count.add(value));
            assert!(count.hashes.len() <= KEPT);
            count.count()
        };
        assert_eq!((count(0), count(7), count(50_000)), (0, 7, 50_000));
        let many = count(500_000);
        assert!((480_000..520_000).contains(&many), "{many}");
    }
}
