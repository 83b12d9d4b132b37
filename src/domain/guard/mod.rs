//! Guards: what must hold before anything is sent, and what halts a run.

mod disk_space;
mod protected;
mod value;

use super::job::Stop;
use super::response::outcome::{Count, Outcome};
use super::response::tally::Tally;

pub use disk_space::{Bytes, DiskSpace};
pub use protected::{Protected, ProtectedError};
pub use value::{Facts, GuardValue};

/// The number of earlier runs that `max_change` compares with: a week of nightly runs.
pub const LAST_RUNS: usize = 7;

/// Items with an outcome, and how many of them indicate a wrong input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeCounts {
    /// Items that were sent and have an outcome.
    pub ended: Count,
    /// Items that failed or are in doubt.
    pub failed: Count,
    /// Items that were already done.
    pub already_done: Count,
}

impl OutcomeCounts {
    /// Counts the rows of a run that were sent and have an outcome.
    pub fn of(tally: &Tally) -> Self {
        let mut counts = Self::default();
        tally.iter().for_each(|(outcome, rows)| counts.count(outcome, rows));
        counts
    }

    /// Adds items with an outcome. An item in doubt counts as failed. An item that was left out, such as an account
    /// that is online, was not sent, so it says nothing.
    pub fn count(&mut self, outcome: Outcome, items: Count) {
        match outcome {
            Outcome::Succeeded => {}
            Outcome::AlreadyDone => self.already_done += items,
            Outcome::Failed | Outcome::InDoubt => self.failed += items,
            Outcome::Pending | Outcome::Rejected | Outcome::Duplicate | Outcome::Protected => return,
        }
        self.ended += items;
    }

    /// Whether at least this share of the items was already done.
    pub fn already_done_reaches(&self, share: Option<f64>) -> bool {
        share.is_some_and(|share| reaches(self.already_done, self.ended, share))
    }
}

/// Whether the fuse counts this outcome.
pub const fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::InDoubt)
}

/// The share of `failed_share` from which on the fuse is close.
const CLOSE: f64 = 0.8;

impl Stop {
    /// The fuse: whether the share of failed items halts the run.
    pub fn trips_fuse(&self, counts: OutcomeCounts) -> bool {
        counts.ended >= self.after_items && reaches(counts.failed, counts.ended, self.failed_share)
    }

    /// Whether few more failed items would blow the fuse. Known from half of `after_items` on, so that a person can act
    /// before the run halts.
    pub fn is_near_fuse(&self, counts: OutcomeCounts) -> bool {
        counts.ended >= self.after_items.div_ceil(2) && reaches(counts.failed, counts.ended, self.failed_share * CLOSE)
    }

    /// Whether the share of items that were already done halts the run.
    pub fn trips_already_done(&self, counts: OutcomeCounts, max_already_done: Option<f64>) -> bool {
        counts.ended >= self.after_items && counts.already_done_reaches(max_already_done)
    }

    /// Whether the outcomes of the canary forbid to send the rest.
    pub fn fails_canary(&self, counts: OutcomeCounts, max_already_done: Option<f64>) -> bool {
        reaches(counts.failed, counts.ended, self.failed_share) || counts.already_done_reaches(max_already_done)
    }
}

/// Whether `part` of `whole` is at least this share. Nothing is never a share.
fn reaches(part: u64, whole: u64, share: f64) -> bool {
    part > 0 && as_f64(part) >= share * as_f64(whole)
}

/// The median; of an even number, the mean of the middle two.
fn median(counts: &[u64]) -> Option<f64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(as_f64(lower), as_f64(upper)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of items stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::Guard;

    /// The guards of a job that sets none.
    pub(super) fn guard() -> Guard {
        Guard {
            protected: None,
            min_items: None,
            max_items: None,
            max_change: None,
            max_rejected: None,
            max_already_done: None,
            canary: None,
            hold: None,
            approval: None,
            unless_online: false,
        }
    }

    fn counts(ended: Count, failed: Count, already_done: Count) -> OutcomeCounts {
        OutcomeCounts { ended, failed, already_done }
    }

    fn stop(failed_share: f64, after_items: u64) -> Stop {
        Stop { failed_share, after_items, outage: None }
    }

    #[test]
    fn items_that_were_not_sent_do_not_dilute_the_shares() {
        let mut counts = counts(0, 0, 0);
        for (outcome, items) in [(Outcome::Failed, 40), (Outcome::Protected, 60), (Outcome::AlreadyDone, 10)] {
            counts.count(outcome, items);
        }
        assert_eq!(counts, OutcomeCounts { ended: 50, failed: 40, already_done: 10 });
        assert!(stop(0.5, 50).trips_fuse(counts), "40 of 50");
    }

    #[test]
    fn the_fuse_waits_for_enough_items_and_blows_at_its_share() {
        let stop = stop(0.05, 1000);
        assert!(!stop.trips_fuse(counts(999, 999, 0)));
        assert!(!stop.trips_fuse(counts(1000, 49, 0)));
        assert!(stop.trips_fuse(counts(1000, 50, 0)));
    }

    #[test]
    fn a_share_of_one_blows_only_when_everything_failed() {
        let stop = stop(1.0, 10);
        assert!(!stop.trips_fuse(counts(10, 9, 0)));
        assert!(stop.trips_fuse(counts(10, 10, 0)));
    }

    #[test]
    fn without_a_failure_the_fuse_holds() {
        assert!(!stop(0.01, 0).trips_fuse(OutcomeCounts::default()));
        assert!(!stop(0.01, 0).trips_fuse(counts(1_000_000, 0, 1_000_000)));
    }

    #[test]
    fn already_done_items_halt_only_where_the_job_says_so_and_after_enough_items() {
        let stop = stop(0.5, 1000);
        assert!(!stop.trips_already_done(counts(1000, 0, 1000), None));
        assert!(!stop.trips_already_done(counts(999, 0, 999), Some(0.5)));
        assert!(!stop.trips_already_done(counts(1000, 0, 499), Some(0.5)));
        assert!(stop.trips_already_done(counts(1000, 0, 500), Some(0.5)));
    }

    #[test]
    fn a_canary_is_checked_by_both_shares_however_few_its_items() {
        let stop = stop(0.5, 1000);
        assert!(!stop.fails_canary(counts(10, 4, 6), None));
        assert!(stop.fails_canary(counts(10, 5, 0), None));
        assert!(stop.fails_canary(counts(10, 0, 3), Some(0.3)));
        assert!(!stop.fails_canary(OutcomeCounts::default(), Some(0.3)));
    }

    #[test]
    fn signs_are_counted_of_rows_that_were_sent() {
        let tally: Tally = Outcome::ALL.into_iter().zip([1, 2, 4, 8, 16, 32, 64, 128]).collect();
        assert_eq!(OutcomeCounts::of(&tally), counts(15, 12, 2));
    }
}
