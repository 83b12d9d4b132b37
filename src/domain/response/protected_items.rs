//! What becomes of pending items that the protected list names now.

use super::code_history::CodeHistory;
use super::earlier_effect::{EarlierCalls, may_have_had_effect};
use super::outcome::Outcome;
use super::verdict::ItemResult;
use crate::domain::operation::Operation;
use crate::domain::request::{Item, Purpose};

/// The items of a request, by whether the protected list names them now.
#[derive(Debug, PartialEq, Eq)]
pub struct ProtectedSplit {
    /// Items that are not sent any more, each with the protected id.
    pub named: Vec<(Item, String)>,
    /// The other items.
    pub others: Vec<Item>,
}

/// Divides the items of a request. `from`: the account whose list they change; if it is protected, all of them are.
pub fn split_protected(from: Option<&str>, items: Vec<Item>, protects: &dyn Fn(&str) -> bool) -> ProtectedSplit {
    let protected_from = from.filter(|from| protects(from));
    let mut split = ProtectedSplit { named: Vec::new(), others: Vec::new() };
    for item in items {
        match protected_from.or_else(|| Some(item.account.as_str()).filter(|id| protects(id))) {
            Some(id) => {
                let id = id.to_owned();
                split.named.push((item, id));
            }
            None => split.others.push(item),
        }
    }
    split
}

/// The result of items that are protected before their next call; none if no earlier call may have had an effect, so
/// that they are skipped like all other protected items.
pub fn result_if_protected(operation: &Operation, calls: &EarlierCalls, purpose: &Purpose) -> Option<ItemResult> {
    let EarlierCalls { doubt, history } = calls;
    may_have_had_effect(operation, *doubt, history).then(|| match purpose {
        // A verification is never compared with a protected list, since it only reads.
        Purpose::Change | Purpose::Prepare(_) | Purpose::Backup(_) | Purpose::Verify(_) => after_an_attempt(history),
        Purpose::LookUp(question) => protected_before_next(&question.fallback),
        Purpose::ReverseSide(known) => protected_before_next(known),
    })
}

fn after_an_attempt(history: &CodeHistory) -> ItemResult {
    let reason = history.reason(None, "protected only after an attempt that may have taken effect");
    ItemResult { outcome: Outcome::InDoubt, code: None, reason }
}

/// The call that was to follow, such as a lookup, is not sent. What was known before it stays known.
fn protected_before_next(known: &ItemResult) -> ItemResult {
    let reason = format!("{}; protected before the next call", known.reason);
    ItemResult { outcome: Outcome::InDoubt, code: known.code, reason }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::operation::by_name;
    use crate::domain::request::Doubt;
    use crate::domain::request::account::UserId;

    #[rstest]
    #[case::no_item(None, "x", &[], &["a", "b"])]
    #[case::one_of_two(None, "a", &[("a", "a")], &["b"])]
    #[case::another_list(Some("o"), "b", &[("b", "b")], &["a"])]
    #[case::the_list_of_a_protected_account(Some("o"), "o", &[("a", "o"), ("b", "o")], &[])]
    fn a_protected_list_protects_all_items_and_a_protected_account_its_own(
        #[case] from: Option<&str>,
        #[case] protected: &str,
        #[case] named: &[(&str, &str)],
        #[case] others: &[&str],
    ) {
        let item = |account| Item { account: UserId::new(account).unwrap(), row: 0, updates: None };
        let split = split_protected(from, vec![item("a"), item("b")], &|id| id == protected);
        let found: Vec<_> = split.named.iter().map(|(item, id)| (item.account.as_str(), id.as_str())).collect();
        let left: Vec<_> = split.others.iter().map(|item| item.account.as_str()).collect();
        assert_eq!((found.as_slice(), left.as_slice()), (named, others));
    }

    fn known() -> ItemResult {
        ItemResult { outcome: Outcome::Failed, code: Some(30006), reason: "half of it".to_owned() }
    }

    const ATTEMPT: &str = "protected only after an attempt that may have taken effect";

    #[rstest]
    #[case::never_sent(Doubt::None, &[], Purpose::Change, None)]
    #[case::answered_without_an_effect(Doubt::None, &[60007], Purpose::Change, None)]
    #[case::no_answer(Doubt::EffectUnknown, &[], Purpose::Change, Some((None, ATTEMPT.to_owned())))]
    #[case::a_code_that_leaves_a_trace(
        Doubt::None, &[30006], Purpose::Change, Some((None, format!("{ATTEMPT}; before: 30006")))
    )]
    #[case::before_the_friends_own_side(
        Doubt::EffectUnknown, &[], Purpose::ReverseSide(Box::new(known())),
        Some((Some(30006), "half of it; protected before the next call".to_owned()))
    )]
    fn items_are_in_doubt_only_if_a_call_may_have_had_an_effect(
        #[case] doubt: Doubt,
        #[case] codes: &[i64],
        #[case] purpose: Purpose,
        #[case] expected: Option<(Option<i64>, String)>,
    ) {
        let calls = EarlierCalls { doubt, history: codes.iter().copied().collect() };
        let result = result_if_protected(by_name("friend_delete").unwrap(), &calls, &purpose);
        assert!(result.iter().all(|result| result.outcome == Outcome::InDoubt));
        assert_eq!(result.map(|result| (result.code, result.reason)), expected);
    }
}
