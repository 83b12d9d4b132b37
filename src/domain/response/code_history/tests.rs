use proptest::prelude::*;

use super::*;
use crate::domain::operation::by_name;

fn codes(history: &CodeHistory) -> Vec<i64> {
    history.codes().collect()
}

#[test]
fn a_history_has_each_code_once_the_latest_first() {
    let mut history = CodeHistory::default();
    for code in [30006, 60007, 30006] {
        history =
            history.with(by_name("friend_delete").unwrap(), Some(code)).with(by_name("friend_delete").unwrap(), None);
    }
    assert_eq!(codes(&history), [30006, 60007]);
    assert_eq!(history.reason(Some(30006), "x"), "30006 x; before: 60007");
    assert_eq!(history.reason(None, "no answer"), "no answer; before: 30006, 60007");
    assert_eq!(CodeHistory::default().reason(Some(30006), "x"), "x", "the code has a column of its own");
}

#[test]
fn a_trace_is_the_gravest_and_its_code_the_latest_that_left_it() {
    let of = |operation: &str, codes: &[i64]| {
        codes.iter().copied().collect::<CodeHistory>().trace(by_name(operation).unwrap())
    };
    assert_eq!(of("account_delete", &[60007]).0, Trace::Nothing);
    assert_eq!(of("account_delete", &[70169, 60007]), (Trace::Whole, Some(70169)));
    assert_eq!(of("account_delete", &[70500, 40006, 70169]), (Trace::DataLeft, Some(70500)));
    assert_eq!(of("account_delete", &[70500, 30006]), (Trace::Part, Some(30006)));
    assert_eq!(of("friend_delete", &[70500]), (Trace::Part, Some(70500)));
}

proptest! {
    /// The history stays short for any number of codes. It never drops a code that left a part behind and keeps one
    /// that did not.
    #[test]
    fn a_history_is_bounded_and_its_trace_never_gets_lighter(
        met in prop::collection::vec(
            prop_oneof![60_000_i64..60_030, 70_400_i64..70_410, Just(31_706), Just(31_704)],
            0..60,
        ),
    ) {
        let mut history = CodeHistory::default();
        let mut gravest = Trace::Nothing;
        for code in met {
            history = history.with(by_name("friend_delete").unwrap(), Some(code));
            gravest = gravest.max(trace(by_name("friend_delete").unwrap(), code));
            prop_assert!(codes(&history).len() <= MAX_CODES);
            prop_assert_eq!(history.codes().next(), Some(code));
            prop_assert_eq!(history.trace(by_name("friend_delete").unwrap()).0, gravest);
            let stored = history.to_json().expect("a code was met");
            prop_assert_eq!(&CodeHistory::from_json(&stored).expect("a list"), &history);
        }
    }
}
