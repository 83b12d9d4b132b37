//! What repetitions may cost: tokens in a bucket, which only success fills.

use crate::domain::response::verdict::{ServerHealth, Trouble, Wait};

/// The most tokens, and how many there are at the start.
const MOST: u32 = 500;
/// What a repetition takes: so 35 of them go out when nothing succeeds.
const FULL: u32 = 14;
/// What a repetition takes after a throttle or a conflict: the server is there, and says what it lacks is time.
const LIGHT: u32 = 5;
/// What a success gives.
const EARNED: u32 = 1;

/// What one repetition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Toll(u32);

impl Toll {
    /// Nothing.
    pub(super) const FREE: Self = Self(0);

    /// For `items` that go out again after an exchange of `of` items. Where the others got their word, a part of it.
    pub(super) fn of(health: &ServerHealth, wait: Wait, items: usize, of: usize) -> Self {
        let whole = match (health, wait) {
            // Halves of a batch, a new signature: nothing failed. A throttle of single items is the limiter's affair.
            (ServerHealth::Working | ServerHealth::Unknown, Wait::None) => return Self::FREE,
            (ServerHealth::Failing(Trouble::Unreachable(_)), Wait::None) | (_, Wait::Backoff) => FULL,
            (ServerHealth::Failing(_), Wait::None) | (_, Wait::Alone) => LIGHT,
        };
        match health {
            ServerHealth::Failing(_) => Self(whole),
            ServerHealth::Working | ServerHealth::Unknown => {
                let follow_up = (u64::from(whole) * items as u64).div_ceil(of.max(1) as u64);
                Self(u32::try_from(follow_up).unwrap_or(whole).min(whole))
            }
        }
    }
}

/// The bucket.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// Takes the toll, if there is enough.
    pub(super) fn pay(&mut self, toll: Toll) -> bool {
        let left = self.0.checked_sub(toll.0);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// A call succeeded: a repetition that did was worth its toll.
    pub(super) fn earn(&mut self, paid: Toll) {
        self.0 = (self.0 + paid.0 + EARNED).min(MOST);
    }

    /// Half full at least: enough to go on with, and soon empty if nothing else succeeds.
    pub(super) fn refill(&mut self) {
        self.0 = self.0.max(MOST / 2);
    }

    /// Whether any repetition can be paid.
    pub(super) fn is_usable(&self) -> bool {
        self.0 >= FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failing() -> ServerHealth {
        ServerHealth::Failing(Trouble::Failing(String::new()))
    }

    #[test]
    fn a_repetition_takes_14_tokens_and_5_after_a_throttle_or_a_conflict() {
        let refused = ServerHealth::Failing(Trouble::Unreachable(String::new()));
        assert_eq!(Toll::of(&failing(), Wait::Backoff, 7, 7), Toll(14));
        assert_eq!(Toll::of(&refused, Wait::None, 7, 7), Toll(14));
        assert_eq!(Toll::of(&failing(), Wait::None, 7, 7), Toll(5));
        assert_eq!(Toll::of(&failing(), Wait::Alone, 7, 7), Toll(5));
        assert_eq!(Toll::of(&failing(), Wait::Backoff, 1, 7), Toll(14), "in an answer that did nothing");
    }

    #[test]
    fn a_part_of_a_batch_takes_its_part_and_a_half_of_a_split_one_nothing() {
        assert_eq!(Toll::of(&ServerHealth::Working, Wait::Backoff, 3, 100), Toll(1));
        assert_eq!(Toll::of(&ServerHealth::Working, Wait::Backoff, 50, 100), Toll(7));
        assert_eq!(Toll::of(&ServerHealth::Working, Wait::Alone, 99, 100), Toll(5));
        assert_eq!(Toll::of(&ServerHealth::Working, Wait::None, 50, 100), Toll::FREE);
        assert_eq!(Toll::of(&ServerHealth::Unknown, Wait::None, 100, 100), Toll::FREE);
    }

    #[test]
    fn without_a_success_35_repetitions_can_be_paid() {
        let mut budget = Budget::default();
        assert_eq!((0..1000).filter(|_| budget.pay(Toll(FULL))).count(), 35);
        assert!(!budget.is_usable());
        budget.refill();
        assert_eq!((0..1000).filter(|_| budget.pay(Toll(FULL))).count(), 17);
    }

    proptest! {
        /// Whatever was before, repetitions that fail are paid by the bucket and by successes, one token each.
        #[test]
        fn failed_repetitions_are_paid_by_the_bucket_and_by_successes(
            steps in prop::collection::vec((prop::sample::select(vec![0, 1, LIGHT, FULL]), any::<bool>()), 0..400),
        ) {
            let (mut budget, mut lost, mut successes) = (Budget::default(), 0, 0);
            for (toll, succeeds) in steps {
                let paid = budget.pay(Toll(toll));
                if paid && succeeds {
                    budget.earn(Toll(toll));
                    successes += 1;
                } else if paid {
                    lost += toll;
                }
                prop_assert!(lost <= MOST + successes);
                prop_assert!(budget.0 <= MOST);
            }
        }
    }
}
