//! What a load has taken in total.

use super::largest_accounts::{LargeAccount, Largest};
use crate::domain::request::skipped_row::SkippedRow;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::stored_request::StoredRequest;

/// Counts what a load takes.
#[derive(Debug, Default)]
pub(super) struct LoadTotals {
    tally: Tally,
    items: i64,
    largest: Largest,
}

impl LoadTotals {
    /// Adds a request. Those of one From_Account must follow each other.
    pub(super) fn add_request(&mut self, request: &StoredRequest) {
        self.tally[Outcome::Pending] += u64::from(request.row_count);
        self.items += i64::from(request.item_count);
        self.largest.request(request);
    }

    /// Adds a skipped row.
    pub(super) fn add_skipped(&mut self, skipped: &SkippedRow) {
        self.tally[skipped.reason.outcome()] += 1;
    }

    /// The rows by outcome, the number of items, and the largest accounts.
    pub(super) fn finish(self) -> (Tally, i64, Vec<LargeAccount>) {
        (self.tally, self.items, self.largest.finish())
    }
}
