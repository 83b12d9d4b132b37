//! The retry budget: a bucket of tokens that pays for repetitions and that only successes fill.
//!
//! Decision 0007 derives the numbers.

use crate::domain::response::verdict::{ServerHealth, Trouble, Wait};

/// The size of the bucket, which is full at the start.
const MAX_TOKENS: u32 = 500;
/// What a repetition costs. Without any success 35 of them are sent.
const FULL_COST: u32 = 14;
/// What a repetition costs after a throttle or a conflict, which show that the server is up.
const REDUCED_COST: u32 = 5;
/// What a success adds.
const EARNED: u32 = 1;

/// What one repetition costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryCost(u32);

impl RetryCost {
    /// No tokens.
    pub(super) const FREE: Self = Self(0);

    /// The sum of two costs.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The cost of sending `items` items again after a call of `of` items. If the server decided the others, it is a
    /// share of the full cost.
    pub(super) fn of(health: &ServerHealth, wait: Wait, items: usize, of: usize) -> Self {
        let cost = match (health, wait) {
            // A halved batch or a new UserSig is no failure. The rate limiter handles a throttle of single items.
            (ServerHealth::Working | ServerHealth::Unknown, Wait::None) | (_, Wait::Leased) => return Self::FREE,
            (ServerHealth::Failing(Trouble::Unreachable(_)), Wait::None) | (_, Wait::Backoff) => FULL_COST,
            (ServerHealth::Failing(_), Wait::None) | (_, Wait::Alone) => REDUCED_COST,
        };
        match health {
            ServerHealth::Failing(_) => Self(cost),
            ServerHealth::Working | ServerHealth::Unknown => {
                let share = (u64::from(cost) * items as u64).div_ceil(of.max(1) as u64);
                Self(u32::try_from(share).unwrap_or(cost).min(cost))
            }
        }
    }
}

/// The bucket of tokens.
#[derive(Debug)]
pub(super) struct RetryBudget(u32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(MAX_TOKENS)
    }
}

impl RetryBudget {
    /// Takes the cost, if there are enough tokens.
    pub(super) fn pay(&mut self, cost: RetryCost) -> bool {
        let left = self.0.checked_sub(cost.0);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// Gives back what was paid for a request that was not sent.
    pub(super) fn refund(&mut self, paid: RetryCost) {
        self.0 = (self.0 + paid.0).min(MAX_TOKENS);
    }

    /// A call succeeded. A repetition gets back what it cost.
    pub(super) fn earn(&mut self, paid: RetryCost) {
        self.0 = (self.0 + paid.0 + EARNED).min(MAX_TOKENS);
    }

    /// Fills the bucket to one half at least, which is soon used up if nothing else succeeds.
    pub(super) fn refill(&mut self) {
        self.0 = self.0.max(MAX_TOKENS / 2);
    }

    /// Whether a repetition can be paid at its full cost.
    pub(super) fn is_usable(&self) -> bool {
        self.0 >= FULL_COST
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
    fn a_repetition_costs_14_tokens_and_5_after_a_throttle_or_a_conflict() {
        let unreachable = ServerHealth::Failing(Trouble::Unreachable(String::new()));
        assert_eq!(RetryCost::of(&failing(), Wait::Backoff, 7, 7), RetryCost(14));
        assert_eq!(RetryCost::of(&unreachable, Wait::None, 7, 7), RetryCost(14));
        assert_eq!(RetryCost::of(&failing(), Wait::None, 7, 7), RetryCost(5));
        assert_eq!(RetryCost::of(&failing(), Wait::Alone, 7, 7), RetryCost(5));
        assert_eq!(RetryCost::of(&failing(), Wait::Backoff, 1, 7), RetryCost(14), "an answer that decided no item");
    }

    #[test]
    fn a_share_of_a_batch_costs_a_share_and_a_halved_batch_costs_nothing() {
        assert_eq!(RetryCost::of(&ServerHealth::Working, Wait::Backoff, 3, 100), RetryCost(1));
        assert_eq!(RetryCost::of(&ServerHealth::Working, Wait::Backoff, 50, 100), RetryCost(7));
        assert_eq!(RetryCost::of(&ServerHealth::Working, Wait::Alone, 99, 100), RetryCost(5));
        assert_eq!(RetryCost::of(&ServerHealth::Working, Wait::None, 50, 100), RetryCost::FREE);
        assert_eq!(RetryCost::of(&ServerHealth::Unknown, Wait::None, 100, 100), RetryCost::FREE);
    }

    #[test]
    fn without_a_success_35_repetitions_can_be_paid() {
        let mut budget = RetryBudget::default();
        assert_eq!((0..1000).filter(|_| budget.pay(RetryCost(FULL_COST))).count(), 35);
        assert!(!budget.is_usable());
        budget.refill();
        assert_eq!((0..1000).filter(|_| budget.pay(RetryCost(FULL_COST))).count(), 17);
    }

    proptest! {
        /// Failed repetitions never cost more than the full bucket and one token for each success.
        #[test]
        fn failed_repetitions_are_paid_by_the_bucket_and_by_successes(
            steps in prop::collection::vec(
                (prop::sample::select(vec![0, 1, REDUCED_COST, FULL_COST]), any::<bool>()), 0..400,
            ),
        ) {
            let (mut budget, mut lost, mut successes) = (RetryBudget::default(), 0, 0);
            for (cost, succeeds) in steps {
                let paid = budget.pay(RetryCost(cost));
                if paid && succeeds {
                    budget.earn(RetryCost(cost));
                    successes += 1;
                } else if paid {
                    lost += cost;
                }
                prop_assert!(lost <= MAX_TOKENS + successes);
                prop_assert!(budget.0 <= MAX_TOKENS);
            }
        }
    }
}
