//! Answers that name the accounts that failed, without codes.

use super::*;

/// The verdicts on accounts a and b of an import after this answer.
fn imported(answer: &Value) -> Vec<Verdict> {
    assessed("account_import", &request("account_import", &["a", "b"], 0, Doubt::None), &body(answer)).verdicts
}

#[test]
fn of_an_import_only_the_named_accounts_failed() {
    let verdicts = imported(&json!({"ActionStatus": "OK", "ErrorCode": 0, "FailAccounts": ["b"]}));
    assert_eq!(outcome(&verdicts[0]), Some((Outcome::Succeeded, None)));
    assert_eq!(outcome(&verdicts[1]), Some((Outcome::Failed, None)));
    assert_eq!(reason(&verdicts[1]), "the answer names this account in FailAccounts, without a code");
    for plain in [json!({"ErrorCode": 0}), json!({"ErrorCode": 0, "FailAccounts": []})] {
        assert_eq!(outcome(&imported(&plain)[0]), Some((Outcome::Succeeded, None)), "{plain}");
    }
    let refused = imported(&json!({"ActionStatus": "FAIL", "ErrorCode": 70402, "FailAccounts": ["b"]}));
    assert_eq!(how(&refused[0]).map(|how| how.3), Some(Halves), "the code of the request is that of both");
    assert_eq!(how(&refused[1]).map(|how| how.3), Some(Halves));
}

#[test]
fn an_import_whose_answer_names_another_account_proves_nothing_of_any() {
    for answer in [
        json!({"ErrorCode": 0, "FailAccounts": ["B"]}),
        json!({"ErrorCode": 0, "FailAccounts": ["b", "x"]}),
        json!({"ErrorCode": 0, "ActionStatus": "FAIL"}),
        json!({"ErrorCode": 0, "ActionStatus": "FAIL", "FailAccounts": ["b"]}),
    ] {
        let verdicts = imported(&answer);
        assert_eq!(how(&verdicts[0]).map(|how| how.1), Some(EffectUnknown), "{answer}: {verdicts:?}");
    }
}
