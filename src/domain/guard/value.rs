//! The guards that are checked before anything is sent: the value of each, and its limit.

use serde::{Deserialize, Serialize};

use super::{as_f64, median};
use crate::domain::job::Guard;
use crate::domain::response::outcome::Count;

/// The facts that the guards check.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// Items of the run.
    pub items: Count,
    /// Items that its input names. The others were carried over from an earlier run.
    pub items_of_input: Count,
    /// Rows of the input.
    pub rows: Count,
    /// Rows that cannot be sent.
    pub rejected: Count,
    /// Items of the inputs of the last [`super::LAST_RUNS`] finished runs of the job, in any order.
    pub last_runs: &'a [Count],
}

/// The value and the limit of one guard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum GuardValue {
    /// `guard.min_items`
    MinItems {
        /// Items of the input.
        items: Count,
        /// The minimum.
        min: Count,
    },
    /// `guard.max_items`
    MaxItems {
        /// Items of the run.
        items: Count,
        /// The maximum.
        max: Count,
    },
    /// `guard.max_change`
    MaxChange {
        /// Items of the input.
        items: Count,
        /// The median of the last runs; none if there is none.
        median: Option<f64>,
        /// The maximum as a multiple of the median.
        max_change: f64,
    },
    /// `guard.max_rejected`
    MaxRejected {
        /// Rows that cannot be sent.
        rejected: Count,
        /// Rows of the input.
        rows: Count,
        /// The maximum of their share.
        max: f64,
        /// This number is allowed regardless of its share.
        tolerated: Count,
    },
}

impl GuardValue {
    /// The key in the job file.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::MinItems { .. } => "guard.min_items",
            Self::MaxItems { .. } => "guard.max_items",
            Self::MaxChange { .. } => "guard.max_change",
            Self::MaxRejected { .. } => "guard.max_rejected",
        }
    }

    /// Whether this guard allows to send the run.
    pub fn allows(&self) -> bool {
        match *self {
            Self::MinItems { items, min } => items >= min,
            Self::MaxItems { items, max } => items <= max,
            Self::MaxChange { items, median, max_change } => {
                median.is_none_or(|median| as_f64(items) <= max_change * median)
            }
            Self::MaxRejected { rejected, rows, max, tolerated } => {
                rejected <= tolerated || as_f64(rejected) <= max * as_f64(rows)
            }
        }
    }
}

/// The default of `guard.max_rejected`.
const MAX_REJECTED: f64 = 0.1;
/// Rejected rows that the default allows regardless of their share: one rejected row does not make a small file wrong.
const TOLERATED: Count = 1;
/// The default of `guard.canary` on a real app.
const CANARY: Count = 100;

impl Guard {
    /// The items of the canary on this kind of target; 0 if there is no canary.
    pub fn canary_on(&self, is_real: bool) -> Count {
        self.canary.unwrap_or(if is_real { CANARY } else { 0 })
    }

    /// Reads every guard that the job sets, in the order in which they are shown. The run is sent if all allow it.
    pub fn read(&self, facts: &Facts<'_>) -> Vec<GuardValue> {
        let Facts { items, items_of_input, rows, rejected, last_runs } = *facts;
        let fewest = self.min_items.map(|min| GuardValue::MinItems { items: items_of_input, min: min.get() });
        let most = self.max_items.map(|max| GuardValue::MaxItems { items, max: max.get() });
        let change = self.max_change.map(|max_change| {
            let median = median(last_runs);
            GuardValue::MaxChange { items: items_of_input, median, max_change }
        });
        let (max, tolerated) = self.max_rejected.map_or((MAX_REJECTED, TOLERATED), |max| (max, 0));
        let rejected = GuardValue::MaxRejected { rejected, rows, max, tolerated };
        [fewest, most, change, Some(rejected)].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::tests::guard;
    use super::*;

    fn facts(items: Count, last_runs: &[Count]) -> Facts<'_> {
        Facts { items, items_of_input: items, rows: items, rejected: 0, last_runs }
    }

    /// The keys of the guards that refuse.
    fn refusals(guard: &Guard, facts: &Facts<'_>) -> Vec<&'static str> {
        guard.read(facts).iter().filter(|value| !value.allows()).map(GuardValue::key).collect()
    }

    #[test]
    fn every_guard_that_is_set_is_read_and_no_other() {
        let keys = |guard: &Guard| guard.read(&facts(1, &[])).iter().map(GuardValue::key).collect::<Vec<_>>();
        assert_eq!(keys(&guard()), ["guard.max_rejected"]);
        let all =
            Guard { min_items: 1.try_into().ok(), max_items: 1.try_into().ok(), max_change: Some(1.0), ..guard() };
        assert_eq!(keys(&all), ["guard.min_items", "guard.max_items", "guard.max_change", "guard.max_rejected"]);
    }

    #[rstest]
    #[case(9, &["guard.min_items"])]
    #[case(10, &[])]
    #[case(20, &[])]
    #[case(21, &["guard.max_items"])]
    fn the_bounds_themselves_are_allowed(#[case] items: Count, #[case] refuse: &[&str]) {
        let guard = Guard { min_items: 10.try_into().ok(), max_items: 20.try_into().ok(), ..guard() };
        assert_eq!(refusals(&guard, &facts(items, &[])), refuse);
    }

    #[rstest]
    #[case::the_median_bounds_it(315, &[100, 1_000_000, 90, 110, 105], true)]
    #[case::one_odd_night_does_not_move_it(316, &[100, 1_000_000, 90, 110, 105], false)]
    #[case::of_an_even_number_it_is_the_mean_of_the_middle_two(45, &[10, 20], true)]
    #[case::and_no_more(46, &[10, 20], false)]
    #[case::the_first_run_has_nothing_to_be_compared_with(5_000_000, &[], true)]
    #[case::empty_nights_allow_nothing(1, &[0, 0, 0], false)]
    #[case::but_an_empty_one(0, &[0, 0, 0], true)]
    fn a_run_is_compared_with_the_median(#[case] items: Count, #[case] nights: &[Count], #[case] allowed: bool) {
        let guard = Guard { max_change: Some(3.0), ..guard() };
        assert_eq!(refusals(&guard, &facts(items, nights)).is_empty(), allowed);
    }

    #[rstest]
    #[case::no_rows(0, 0, None, true)]
    #[case::at_the_limit(20, 2, None, true)]
    #[case::above(19, 2, None, false)]
    #[case::one_of_two(2, 1, None, true)]
    #[case::two_of_three(3, 2, None, false)]
    #[case::one_of_two_where_the_job_says_the_share(2, 1, Some(0.1), false)]
    #[case::none_allowed(1000, 1, Some(0.0), false)]
    #[case::none_there(1000, 0, Some(0.0), true)]
    #[case::all_allowed(5, 5, Some(1.0), true)]
    fn a_larger_share_of_rejected_rows_is_refused(
        #[case] rows: Count,
        #[case] rejected: Count,
        #[case] max_rejected: Option<f64>,
        #[case] allowed: bool,
    ) {
        let guard = Guard { max_rejected, ..guard() };
        let facts = Facts { rows, rejected, ..facts(rows - rejected, &[]) };
        assert_eq!(refusals(&guard, &facts).is_empty(), allowed);
    }

    #[test]
    fn a_canary_is_the_default_on_a_real_app_alone() {
        assert_eq!([true, false].map(|is_real| guard().canary_on(is_real)), [100, 0]);
        let off = Guard { canary: Some(0), ..guard() };
        assert_eq!(off.canary_on(true), 0);
        let small = Guard { canary: Some(7), ..guard() };
        assert_eq!([true, false].map(|is_real| small.canary_on(is_real)), [7, 7]);
    }

    #[test]
    fn carried_items_count_only_for_the_maximum() {
        let guard =
            Guard { min_items: 10.try_into().ok(), max_items: 20.try_into().ok(), max_change: Some(2.0), ..guard() };
        let with_carried = |input, carried| Facts { items: input + carried, ..facts(input, &[5]) };
        assert_eq!(refusals(&guard, &with_carried(10, 10)), [""; 0]);
        assert_eq!(refusals(&guard, &with_carried(9, 11)), ["guard.min_items"]);
        assert_eq!(refusals(&guard, &with_carried(10, 11)), ["guard.max_items"]);
        assert_eq!(refusals(&guard, &with_carried(11, 0)), ["guard.max_change"]);
    }
}
