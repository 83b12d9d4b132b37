//! How a request is divided if some of its items are retried.

use std::collections::BTreeMap;

use super::earlier_effect::EarlierCalls;
use super::outcome::Outcome;
use crate::domain::operation::Operation;
use crate::domain::request::Item;
use crate::domain::request::row::RowNo;

/// The outcome and the code that rows had.
pub type EarlierResult = (Outcome, Option<i64>);

/// The items of one request, if some of them are retried.
#[derive(Debug, PartialEq, Eq)]
pub struct RetrySplit {
    /// The items that become pending, by what they had.
    pub retried: Vec<RetriedItems>,
    /// The items that stay as they are.
    pub kept: Vec<Item>,
}

/// Items of one request that become pending, and that had the same result.
#[derive(Debug, PartialEq, Eq)]
pub struct RetriedItems {
    /// What they had.
    pub before: EarlierResult,
    /// What their calls left.
    pub calls: EarlierCalls,
    /// The items.
    pub items: Vec<Item>,
}

/// Divides the items of a request. `calls`: what the calls of the request left. `had`: what an item had if it is
/// retried, by its first row.
pub fn split_for_retry(
    operation: &Operation,
    items: Vec<Item>,
    calls: &EarlierCalls,
    had: impl Fn(RowNo) -> Option<EarlierResult>,
) -> RetrySplit {
    let mut by_result: BTreeMap<EarlierResult, Vec<Item>> = BTreeMap::new();
    let mut kept = Vec::new();
    for item in items {
        match had(item.row) {
            Some(before) => by_result.entry(before).or_default().push(item),
            None => kept.push(item),
        }
    }
    let retried = by_result.into_iter().map(|(before @ (outcome, code), items)| RetriedItems {
        before,
        calls: calls.clone().after(operation, outcome, code),
        items,
    });
    RetrySplit { retried: retried.collect(), kept }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::operation::by_name;
    use crate::domain::request::Doubt;
    use crate::domain::request::account::UserId;

    const FAILED: EarlierResult = (Outcome::Failed, Some(30008));
    const IN_DOUBT: EarlierResult = (Outcome::InDoubt, None);
    const PLAIN: EarlierResult = (Outcome::Succeeded, None);

    /// Retried items: what they had, and the doubt, the codes and the rows that they have now.
    type Retried = (EarlierResult, Doubt, Vec<i64>, Vec<RowNo>);

    #[rstest]
    #[case::nothing(&[None, None], vec![], &[0, 1])]
    #[case::all_of_one_result(
        &[Some(FAILED), Some(FAILED)], vec![(FAILED, Doubt::TimedOut, vec![30008, 1], vec![0, 1])], &[]
    )]
    #[case::an_outcome_in_doubt_leaves_the_effect_unknown(
        &[None, Some(IN_DOUBT)], vec![(IN_DOUBT, Doubt::EffectUnknown, vec![1], vec![1])], &[0]
    )]
    #[case::each_result_apart(
        &[Some(FAILED), Some(PLAIN), None, Some(FAILED)],
        vec![
            (PLAIN, Doubt::TimedOut, vec![1], vec![1]),
            (FAILED, Doubt::TimedOut, vec![30008, 1], vec![0, 3]),
        ],
        &[2]
    )]
    fn items_are_retried_with_those_that_had_the_same_result(
        #[case] had: &[Option<EarlierResult>],
        #[case] retried: Vec<Retried>,
        #[case] kept: &[RowNo],
    ) {
        let item = |row: RowNo| Item { account: UserId::new(&format!("u{row}")).unwrap(), row, updates: None };
        let items = (0..had.len() as u64).map(item).collect();
        let calls = EarlierCalls { doubt: Doubt::TimedOut, history: std::iter::once(1).collect() };
        let operation = by_name("friend_delete_all").unwrap();
        let split = split_for_retry(operation, items, &calls, |row| had[usize::try_from(row).unwrap()]);
        let rows = |items: &[Item]| items.iter().map(|item| item.row).collect::<Vec<_>>();
        let found = split.retried.iter().map(|it| {
            let EarlierCalls { doubt, history } = &it.calls;
            (it.before, *doubt, history.codes().collect(), rows(&it.items))
        });
        assert_eq!((found.collect::<Vec<Retried>>(), rows(&split.kept)), (retried, kept.to_vec()));
    }
}
