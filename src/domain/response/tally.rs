//! The number of rows by outcome.

use std::ops::{AddAssign, Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::outcome::{Count, Outcome};

/// Rows by outcome. Its own JSON is a list, which only the queue reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally([Count; Outcome::ALL.len()]);

impl Tally {
    /// All rows.
    pub fn total(&self) -> Count {
        self.0.iter().sum()
    }

    /// Moves rows that were pending to their outcome.
    ///
    /// # Panics
    /// If fewer rows are pending, because a row would be counted twice.
    pub fn finish(&mut self, outcome: Outcome, rows: Count) {
        let pending = &mut self[Outcome::Pending];
        *pending = pending.checked_sub(rows).expect("a row ends once");
        self[outcome] += rows;
    }

    /// Each outcome with its number of rows, also if that is zero.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, Count)> {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self[outcome]))
    }
}

impl Index<Outcome> for Tally {
    type Output = Count;

    fn index(&self, outcome: Outcome) -> &Count {
        &self.0[outcome as usize]
    }
}

impl IndexMut<Outcome> for Tally {
    fn index_mut(&mut self, outcome: Outcome) -> &mut Count {
        &mut self.0[outcome as usize]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        other.iter().for_each(|(outcome, rows)| self[outcome] += rows);
    }
}

impl FromIterator<(Outcome, Count)> for Tally {
    fn from_iter<T: IntoIterator<Item = (Outcome, Count)>>(counts: T) -> Self {
        let mut tally = Self::default();
        counts.into_iter().for_each(|(outcome, rows)| tally[outcome] += rows);
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_moves_rows_and_changes_no_sum() {
        let mut tally: Tally = [(Outcome::Pending, 5), (Outcome::Rejected, 2)].into_iter().collect();
        tally.finish(Outcome::Succeeded, 3);
        assert_eq!((tally[Outcome::Pending], tally[Outcome::Succeeded], tally.total()), (2, 3, 7));
    }

    #[test]
    #[should_panic(expected = "a row ends once")]
    fn a_row_that_is_not_pending_cannot_end() {
        Tally::default().finish(Outcome::Failed, 1);
    }
}
