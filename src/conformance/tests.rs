use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::domain::operation::{ACCOUNT_DELETE, ACCOUNT_IMPORT};

#[test]
fn each_check_has_its_own_key_and_asks_at_most_four_calls() {
    let test = TestAccounts::new(7);
    let mut keys: Vec<&str> = CHECKS.iter().map(|check| check.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), CHECKS.len());
    let answer = json!({ "ErrorCode": 0, "StandardSequence": 1, "CustomSequence": 2 }).to_string();
    let mut calls = SECOND_CALLS;
    for check in &CHECKS {
        let Script::Sequence(next, _) = check.script else { continue };
        let mut answers = Vec::new();
        while let Some(ask) = next(&test, &answers) {
            assert!(!ask.body.bytes().is_empty());
            answers.push(MeasuredAnswer::read(Some(answer.as_bytes())));
        }
        assert!((1..=4).contains(&answers.len()), "{}", check.key);
        calls += answers.len();
    }
    // All accounts are deleted once before the checks and several times after them.
    let deletions = test.all().len().div_ceil(ACCOUNT_DELETE.items_per_request) * (1 + MAX_DELETIONS);
    let imports = (test.present().len() + test.listed().len()).div_ceil(ACCOUNT_IMPORT.items_per_request);
    assert!(calls + deletions + imports + LOOKUPS_FOR_PHASE <= MAX_CALLS, "{calls}");
}

#[test]
fn a_check_calls_the_commands_that_its_name_and_its_situation_name() {
    let test = TestAccounts::new(7);
    let answer = json!({ "ErrorCode": 0, "StandardSequence": 1, "CustomSequence": 2 }).to_string();
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for check in &CHECKS {
        let Script::Sequence(next, _) = check.script else { continue };
        let mut answers = Vec::new();
        let called = named.entry(check.key).or_default();
        while let Some(ask) = next(&test, &answers) {
            called.insert(ask.command.path().rsplit('/').next().unwrap());
            answers.push(MeasuredAnswer::read(Some(answer.as_bytes())));
        }
        all.extend(called.iter().copied());
    }
    for check in CHECKS.iter().filter(|check| named.contains_key(check.key)) {
        let words = check.situation.split(|letter: char| letter != '_' && !letter.is_alphanumeric());
        for word in words.chain(check.key.split('.').next()).filter(|word| all.contains(word)) {
            assert!(named[check.key].contains(word), "{}: {word} is not called", check.key);
        }
    }
}

#[test]
fn an_account_is_gone_only_if_the_answer_to_its_deletion_says_so() {
    let ids = ["a", "b", "c", "d"].map(str::to_owned);
    let left = |body: serde_json::Value| {
        let answer = MeasuredAnswer::read(Some(body.to_string().as_bytes()));
        let left = answer.accounts_left(&ids).into_iter();
        left.map(|AccountLeft { id, code }| (id, code)).collect::<Vec<_>>()
    };
    let all = |code| ids.clone().map(|id| (id, code)).to_vec();
    let item = |id, code| json!({ "UserID": id, "ResultCode": code });
    let items = [item("c", 70107), item("b", 70500), item("a", 0)];
    let found = left(json!({ "ErrorCode": 0, "ResultItem": items }));
    assert_eq!(found, [("b".to_owned(), Some(70500)), ("d".to_owned(), None)], "`d` is in no item");
    assert_eq!(left(json!({ "ErrorCode": 60011, "ResultItem": items })), all(Some(60011)));
    assert_eq!(left(json!({ "ErrorCode": 70107 })), []);
    assert_eq!(left(json!("not an answer")), all(None));
}

#[test]
fn the_code_of_a_call_is_that_of_the_request_or_else_that_of_its_item() {
    let of = |body: serde_json::Value| MeasuredAnswer::read(Some(body.to_string().as_bytes())).code();
    assert_eq!(of(json!({ "ErrorCode": 70402, "ResultItem": [{ "ResultCode": 7 }] })), Some(70402));
    assert_eq!(of(json!({ "ErrorCode": 0, "ResultItem": [{ "ResultCode": 7 }] })), Some(7));
    assert_eq!(of(json!({ "ErrorCode": 0 })), Some(0));
    assert_eq!(of(json!({ "ActionStatus": "OK" })), None);
    assert_eq!(MeasuredAnswer::read(Some(b"<html>")).code(), None);
    assert_eq!(MeasuredAnswer::read(None).code(), None);
}

/// Calls that are sent so far apart and answered at once, from 550 ms of a second on.
fn probes(codes: impl Iterator<Item = i64>, apart: Duration) -> Vec<Probe> {
    let begun = Timestamp::from_millisecond(1_700_000_000_550).unwrap();
    let probe = |(place, code)| {
        let sent = apart * place;
        let date = Timestamp::from_second((begun + sent).as_second()).unwrap();
        Probe { code, sent, answered: sent, date }
    };
    (0..).zip(codes).map(probe).collect()
}

#[test]
fn a_server_that_counts_any_second_refuses_the_calls_above_its_limit_and_one_that_counts_its_clock_does_not() {
    let apart = Duration::from_micros(5500);
    let refused_above = |limit| (0..SECOND_CALLS).map(move |place| if place < limit { 0 } else { 60007 });
    let of = |limit, apart| which_second(&probes(refused_above(limit), apart));
    assert_eq!(of(100, apart).as_deref(), Some("any"));
    assert_eq!(of(SECOND_CALLS, apart).as_deref(), Some("clock"));
    assert_eq!(of(90, apart), None, "another limit");
    let (slow, fast) = (Duration::from_millis(10), Duration::from_millis(3));
    assert_eq!([of(100, slow), of(SECOND_CALLS, slow)], [None, None], "they took more than a second");
    assert_eq!([of(100, fast), of(SECOND_CALLS, fast)], [None, None], "they came in one second of the clock");
    assert_eq!(which_second(&probes(refused_above(100).skip(1), apart)), None, "a call has no answer");
    let mut late = probes(refused_above(100), apart);
    late[7].answered = Duration::from_millis(1001);
    assert_eq!(which_second(&late), None);
}

#[test]
fn responses_narrow_the_difference_of_the_clocks_until_the_calls_can_begin_in_the_middle_of_a_second() {
    let at = |ms: i64| Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap();
    // The server's clock is 300 ms ahead.
    let date = |ms: i64| Timestamp::from_second((at(ms) + SignedDuration::from_millis(300)).as_second()).unwrap();
    let mut phase = SecondPhase::default();
    assert_eq!(phase.wait(at(0)), None);
    for ms in (0..5000).step_by(70) {
        phase = phase.learn(at(ms), at(ms + 10), date(ms + 5));
    }
    let wait = phase.wait(at(5000)).unwrap();
    assert!((150..350).contains(&wait.as_millis()), "{wait:?}");
    let soon = phase.wait(at(5500)).unwrap();
    assert!((650..850).contains(&soon.as_millis()), "{soon:?}");
    // The server's clock is set back by an hour.
    phase = phase.learn(at(6000), at(6010), date(6005) - SignedDuration::from_hours(1));
    assert_eq!(phase.wait(at(6100)), None);
}

#[test]
fn a_profile_has_every_check_and_names_what_differs() {
    let mut profile = Profile::new("https://x".to_owned(), Timestamp::UNIX_EPOCH);
    let [first, second, ..] = &CHECKS;
    profile.add(first, Some(first.expected.to_owned()));
    profile.add(second, Some("70000".to_owned()));
    assert_eq!(profile.differences.len(), 1);
    let text = profile.text();
    assert!(
        text.contains("account_delete.too_many_items: account_delete of 101 accounts: expected 70206, measured 70000")
    );
    assert!(
        text.ends_with(&format!("1 checks as expected, 1 differ, {} unknown; 0 calls", CHECKS.len() - 2)),
        "{text}"
    );
}
