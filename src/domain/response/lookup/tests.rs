use std::num::NonZeroU32;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::RequestId;
use crate::domain::operation::{Preparations, by_name};
use crate::domain::request::CallKind;
use crate::domain::request::account::UserId;
use crate::domain::request::row::{FieldValue, FieldValues};
use crate::domain::response::settlement::Settlement;
use crate::domain::response::verdict::{BatchSplit, Charge, Charging, NewUserSig};

fn operation(name: &str, delete_type: Option<&str>) -> BoundOperation {
    let given = delete_type.map(|value| ("delete_type".to_owned(), value.to_owned()));
    by_name(name).unwrap().bind(&given.into_iter().collect()).unwrap()
}

fn accounts() -> BoundOperation {
    operation("account_delete", None)
}

fn friends(delete_type: &str) -> BoundOperation {
    operation("friend_delete", Some(delete_type))
}

fn id(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

/// A request for these accounts.
fn request(operation: BoundOperation, ids: &[&str]) -> Request {
    let item = |(row, account): (usize, &&str)| Item { account: id(account), row: row as u64, updates: None };
    Request {
        id: RequestId::new(1),
        from: operation.shape.from.map(|_| id("from")),
        items: ids.iter().enumerate().map(item).collect(),
        calls: 1,
        charged: 0,
        doubt: Doubt::None,
        history: CodeHistory::default(),
        purpose: Purpose::Change,
    }
}

/// The answer with these codes of items.
fn codes(items: &[(&str, i64)]) -> CallResult {
    let items = items.iter().map(|(id, code)| json!({"UserID": id, "ResultCode": code, "ResultInfo": "x"}));
    say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": items.collect::<Vec<_>>()}))
}

/// The answer to a lookup of friends with these relations.
fn relations(items: &[(&str, &str)]) -> CallResult {
    let item = |(id, relation): &(&str, &str)| {
        let relation = format!("CheckResult_Type_{relation}");
        json!({"To_Account": id, "ResultCode": 0, "Relation": relation})
    };
    say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "InfoItem": items.iter().map(item).collect::<Vec<_>>()}))
}

/// The answer to a lookup of accounts with these states.
fn states(items: &[(&str, &str)]) -> CallResult {
    let item = |(id, status): &(&str, &str)| json!({"UserID": id, "ResultCode": 0, "AccountStatus": status});
    say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": items.iter().map(item).collect::<Vec<_>>()}))
}

fn refused(code: i64) -> CallResult {
    say(&json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": "x"}))
}

fn say(body: &Value) -> CallResult {
    CallResult::Body(body.to_string().into_bytes())
}

fn no_answer() -> CallResult {
    CallResult::NoAnswer("time-out".to_owned())
}

/// What becomes of a request whose calls have these results, with at most two attempts each.
struct Course {
    ended: Vec<(String, Outcome, Option<i64>, String)>,
    /// The calls that were sent: the kind and the body.
    calls: Vec<(CallKind, Value)>,
}

impl Course {
    fn of(operation: BoundOperation, first: Request, results: Vec<CallResult>) -> Self {
        let mut course = Self { ended: Vec::new(), calls: Vec::new() };
        let mut next = vec![first];
        let mut results = results.into_iter();
        while let Some(request) = next.pop() {
            let Some(result) = results.next() else { panic!("one more call is sent: {request:?}") };
            let kind = request.purpose.call_kind();
            course.calls.push((kind, serde_json::from_slice(&body(operation, &request)).unwrap()));
            let charging = Charging::UpTo(NonZeroU32::new(2).unwrap().get());
            let context = CallContext {
                operation,
                preparations: Preparations::default(),
                charging,
                new_usersig: NewUserSig::MayHelp,
            };
            let assessment = assess_call(&context, &request, &result);
            if kind == CallKind::Lookup {
                assert_eq!(assessment.activity, ServerActivity::Done, "a lookup writes nothing");
            }
            let settlement = Settlement::new(&operation, request, assessment.verdicts);
            for ended in settlement.ended {
                let ItemResult { outcome, code, reason } = ended.result;
                let items = ended.items.into_iter();
                course.ended.extend(items.map(|item| (item.account.to_string(), outcome, code, reason.clone())));
            }
            next.extend(settlement.follow_ups.into_iter().rev().map(|follow_up| follow_up.request));
        }
        assert_eq!(results.next(), None, "fewer calls are sent");
        course.ended.sort();
        course
    }

    fn outcomes(&self) -> Vec<(&str, Outcome, Option<i64>)> {
        self.ended.iter().map(|(id, outcome, code, _)| (id.as_str(), *outcome, *code)).collect()
    }

    fn lookups(&self) -> usize {
        self.calls.iter().filter(|(kind, _)| *kind == CallKind::Lookup).count()
    }
}

#[rstest]
#[case::gone("NotImported", Outcome::Succeeded)]
#[case::there("Imported", Outcome::Failed)]
#[case::a_status_of_no_page("Banned", Outcome::InDoubt)]
fn an_account_without_an_answer_is_looked_up(#[case] status: &str, #[case] outcome: Outcome) {
    let results = vec![no_answer(), no_answer(), states(&[("a", status)])];
    let course = Course::of(accounts(), request(accounts(), &["a"]), results);
    assert_eq!(course.outcomes(), [("a", outcome, None)]);
    assert_eq!(course.calls[2], (CallKind::Lookup, json!({"CheckItem": [{"UserID": "a"}]})));
    assert!(!course.ended[0].3.is_empty());
}

#[test]
fn an_outcome_that_is_known_is_not_looked_up() {
    let results = vec![codes(&[("a", 0), ("b", 70107), ("c", 70398)])];
    let course = Course::of(accounts(), request(accounts(), &["a", "b", "c"]), results);
    assert_eq!(course.lookups(), 0);
    let single = Course::of(friends("single"), request(friends("single"), &["a"]), vec![codes(&[("a", 31704)])]);
    assert_eq!(single.outcomes(), [("a", Outcome::AlreadyDone, Some(31704))]);
}

/// The answer to a lookup of a list with this number of friends.
fn list_of(friends: u64) -> CallResult {
    say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "FriendNum": friends, "CompleteFlag": 1}))
}

#[rstest]
#[case::empty("single", list_of(0), Outcome::Succeeded)]
#[case::not_empty("single", list_of(2), Outcome::Failed)]
#[case::no_account("single", refused(30003), Outcome::Succeeded)]
#[case::empty_on_its_own_side("both", list_of(0), Outcome::InDoubt)]
#[case::not_empty_on_its_own_side("both", list_of(2), Outcome::Failed)]
#[case::no_account_on_its_own_side("both", refused(30003), Outcome::InDoubt)]
#[case::a_lookup_that_fails("single", refused(30004), Outcome::InDoubt)]
fn a_list_that_may_have_been_emptied_is_looked_up_on_the_side_that_can_be_seen(
    #[case] delete_type: &str,
    #[case] shown: CallResult,
    #[case] outcome: Outcome,
) {
    let lists = operation("friend_delete_all", Some(delete_type));
    let course = Course::of(lists, request(lists, &["a"]), vec![no_answer(), no_answer(), shown.clone()]);
    assert_eq!(course.outcomes(), [("a", outcome, None)]);
    // The answers say that a part of the list may be left.
    let course = Course::of(lists, request(lists, &["a"]), vec![refused(30006), refused(30006), shown]);
    let failed_at_first =
        if outcome == Outcome::InDoubt && delete_type == "single" { Outcome::Failed } else { outcome };
    assert_eq!(course.outcomes(), [("a", failed_at_first, Some(30006))]);
}

/// A request that sets a field of these items to `x`.
fn request_with_fields(operation: BoundOperation, field: &str, ids: &[&str]) -> Request {
    let plain = request(operation, ids);
    let fields = FieldValues::from([(field.into(), FieldValue::Text("x".into()))]);
    let with_fields = |item: Item| Item { updates: Some(Box::new(vec![(item.row, fields.clone())])), ..item };
    Request { items: plain.items.into_iter().map(with_fields).collect(), ..plain }
}

/// The answer to a lookup that shows these values of a tag.
fn shows(list: &str, tag: &str, items: &[(&str, &str)]) -> CallResult {
    let fields = if list == "InfoItem" { "SnsProfileItem" } else { "ProfileItem" };
    let item =
        |(id, value): &(&str, &str)| json!({"To_Account": id, "ResultCode": 0, fields: [{"Tag": tag, "Value": value}]});
    say(&json!({"ActionStatus": "OK", "ErrorCode": 0, list: items.iter().map(item).collect::<Vec<_>>()}))
}

#[rstest]
#[case::update("friend_update", "Tag_SNS_IM_Remark", "InfoItem", "Tag_SNS_IM_Remark")]
#[case::import_of_a_friend("friend_import", "Remark", "InfoItem", "Tag_SNS_IM_Remark")]
#[case::import_of_an_account("account_import", "FaceUrl", "UserProfileItem", "Tag_Profile_IM_Image")]
fn fields_that_may_have_been_set_are_looked_up(
    #[case] name: &str,
    #[case] field: &str,
    #[case] list: &str,
    #[case] tag: &str,
) {
    let operation = operation(name, None);
    let sent = request_with_fields(operation, field, &["a", "b", "c"]);
    let shown = shows(list, tag, &[("a", "x"), ("b", "y")]);
    let course = Course::of(operation, sent.clone(), vec![no_answer(), no_answer(), shown.clone(), no_answer()]);
    let expected = [("a", Outcome::Succeeded, None), ("b", Outcome::Failed, None), ("c", Outcome::InDoubt, None)];
    assert_eq!(course.outcomes(), expected);
    assert!(course.ended[1].3.ends_with(&format!("a lookup shows that the server has another value of {field}")));
    assert_eq!(
        (course.calls[2].0, course.lookups()),
        (CallKind::Lookup, 2),
        "the item without an answer is asked again"
    );
}

#[rstest]
#[case::as_text(30001, "Err_SNS_FriendImport_Friend_Exist", None)]
#[case::as_code(30015, "x", None)]
#[case::after_an_earlier_call(30015, "x", Some(30007))]
fn friends_that_were_there_are_compared_with_the_row(
    #[case] code: i64,
    #[case] info: &str,
    #[case] earlier: Option<i64>,
) {
    let import = operation("friend_import", None);
    let there = |id: &str| json!({"To_Account": id, "ResultCode": code, "ResultInfo": info});
    let first = say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": [there("a"), there("b")]}));
    let shown = shows("InfoItem", "Tag_SNS_IM_Remark", &[("a", "x"), ("b", "y")]);
    let results = earlier.map(refused).into_iter().chain([first, shown]).collect();
    let course = Course::of(import, request_with_fields(import, "Remark", &["a", "b"]), results);
    let same = if earlier.is_none() { Outcome::AlreadyDone } else { Outcome::Succeeded };
    assert_eq!(course.outcomes(), [("a", same, Some(code)), ("b", Outcome::Failed, Some(code))]);
}

#[test]
fn a_friend_or_account_that_is_not_there_was_not_updated_or_imported() {
    let not_friends =
        json!({"To_Account": "a", "ResultCode": 30001, "ResultInfo": "Err_SNS_FriendGetList_Friend_Not_Exist"});
    let lower_case = json!({"To_Account": "a", "ResultCode": 30001, "ResultInfo": "err_not_friend"});
    let no_account = json!({"To_Account": "a", "ResultCode": 40003, "ResultInfo": "x"});
    for (name, field, list, item) in [
        ("friend_update", "Tag_SNS_IM_Remark", "InfoItem", not_friends.clone()),
        ("friend_update", "Tag_SNS_IM_Remark", "InfoItem", lower_case),
        ("friend_import", "Remark", "InfoItem", not_friends),
        ("account_import", "Nick", "UserProfileItem", no_account),
    ] {
        let operation = operation(name, None);
        let shown = say(&json!({"ActionStatus": "OK", "ErrorCode": 0, list: [item], "Fail_Account": ["a"]}));
        let sent = request_with_fields(operation, field, &["a"]);
        let course = Course::of(operation, sent, vec![no_answer(), no_answer(), shown]);
        assert_eq!(course.outcomes(), [("a", Outcome::Failed, None)], "{name}");
    }
}

#[test]
fn a_lookup_that_takes_fewer_items_than_the_operation_is_made_in_several_calls() {
    let update = operation("friend_update", None);
    let ids: Vec<String> = (0..250).map(|n| format!("f{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let shown = |ids: &[&str]| {
        let items: Vec<(&str, &str)> = ids.iter().map(|id| (*id, "x")).collect();
        shows("InfoItem", "Tag_SNS_IM_Remark", &items)
    };
    let lookups = ids.chunks(100).map(shown);
    let results = [no_answer(), no_answer()].into_iter().chain(lookups).collect();
    let course = Course::of(update, request_with_fields(update, "Tag_SNS_IM_Remark", &ids), results);
    let sizes: Vec<usize> =
        course.calls[2..].iter().map(|(_, body)| body["To_Account"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert!(course.outcomes().iter().all(|(_, outcome, _)| *outcome == Outcome::Succeeded));
    assert_eq!(course.ended.len(), 250);
}

#[rstest]
#[case::data_may_remain(70500, "NotImported", Outcome::Succeeded, Some(70500))]
#[case::part(30006, "NotImported", Outcome::Succeeded, Some(30006))]
#[case::nothing_done(30006, "Imported", Outcome::Failed, Some(30006))]
fn a_partial_effect_on_an_account_keeps_its_code(
    #[case] code: i64,
    #[case] status: &str,
    #[case] outcome: Outcome,
    #[case] kept: Option<i64>,
) {
    let results = vec![refused(code), refused(code), states(&[("a", status)])];
    let course = Course::of(accounts(), request(accounts(), &["a"]), results);
    assert_eq!(course.outcomes(), [("a", outcome, kept)]);
    assert_eq!(
        course.ended[0].3.contains("data of it may remain"),
        outcome == Outcome::Succeeded,
        "{:?}",
        course.ended
    );
}

#[test]
fn not_friends_of_both_sides_is_looked_up_in_both_directions() {
    let both = friends("both");
    let first = codes(&[("a", 31704), ("b", 31704), ("c", 31704), ("d", 0)]);
    let found = relations(&[("a", "NoRelation"), ("b", "BWithA"), ("c", "BothWay")]);
    let course = Course::of(both, request(both, &["a", "b", "c", "d"]), vec![first, found, codes(&[("from", 0)])]);
    let expected = [
        ("a", Outcome::AlreadyDone, Some(31704)),
        ("b", Outcome::Succeeded, Some(31704)),
        ("c", Outcome::Failed, Some(31704)),
        ("d", Outcome::Succeeded, None),
    ];
    assert_eq!(course.outcomes(), expected);
    let check = json!({"From_Account": "from", "To_Account": ["a", "b", "c"], "CheckType": "CheckResult_Type_Both"});
    assert_eq!(course.calls[1], (CallKind::Lookup, check));
    let reverse = json!({"From_Account": "b", "To_Account": ["from"], "DeleteType": "Delete_Type_Single"});
    assert_eq!(course.calls[2], (CallKind::Change, reverse));
}

#[rstest]
#[case::after_a_conflict(refused(30008))]
#[case::after_a_part(codes(&[("a", 31706)]))]
#[case::after_no_answer(no_answer())]
fn what_may_be_the_doing_of_imbulk_is_not_called_done_before(#[case] first: CallResult) {
    let both = friends("both");
    let results = vec![first, codes(&[("a", 31704)]), relations(&[("a", "NoRelation")])];
    let course = Course::of(both, request(both, &["a"]), results);
    assert_eq!(course.outcomes()[0].1, Outcome::Succeeded);
}

#[test]
fn an_answer_that_contradicts_itself_does_not_show_who_did_it() {
    let both = friends("both");
    let contradiction = json!({"ErrorCode": 31704, "ResultItem": [{"To_Account": "a", "ResultCode": 0}]});
    let results = vec![say(&contradiction), relations(&[("a", "NoRelation")])];
    let course = Course::of(both, request(both, &["a"]), results);
    assert_eq!(course.outcomes()[0].1, Outcome::Succeeded);
}

#[test]
fn a_friend_who_is_one_sided_is_checked_on_that_side_only() {
    let single = friends("single");
    let results = vec![codes(&[("a", 31705)]), codes(&[("a", 31704)]), relations(&[("a", "NoRelation")])];
    let course = Course::of(single, request(single, &["a"]), results);
    assert_eq!(course.outcomes(), [("a", Outcome::Succeeded, Some(31705))]);
    assert_eq!(course.calls[2].1["CheckType"], "CheckResult_Type_Single");
}

#[rstest]
#[case::refused(vec![refused(30003)])]
#[case::not_allowed(vec![refused(60010)])]
#[case::unreadable(vec![say(&json!({"ErrorCode": "0"})), no_answer()])]
#[case::failing(vec![refused(60008), refused(30006)])]
#[case::not_found(vec![CallResult::Status(404)])]
#[case::without_the_item(vec![relations(&[("x", "NoRelation")]), relations(&[])])]
#[case::twice(vec![
    relations(&[("a", "NoRelation"), ("a", "BothWay")]),
])]
#[case::with_a_code(vec![say(&json!({"ErrorCode": 0, "Fail_Account": ["a"], "InfoItem": [
    {"To_Account": "a", "ResultCode": 30001, "Relation": "CheckResult_Type_NoRelation"}]}))])]
fn a_lookup_that_fails_claims_nothing(#[case] lookups: Vec<CallResult>) {
    let both = friends("both");
    let results = std::iter::once(codes(&[("a", 31704)])).chain(lookups).collect();
    let course = Course::of(both, request(both, &["a"]), results);
    assert_eq!(course.outcomes(), [("a", Outcome::InDoubt, Some(31704))]);
    assert!(course.ended[0].3.contains("; the lookup failed: "), "{:?}", course.ended);
}

#[test]
fn the_friends_own_side_is_looked_up_again_once_if_its_deletion_is_unknown() {
    let both = friends("both");
    let start = || vec![codes(&[("a", 31704)]), relations(&[("a", "BWithA")])];
    let with = |more: Vec<CallResult>| {
        let course = Course::of(both, request(both, &["a"]), start().into_iter().chain(more).collect());
        (course.outcomes()[0].1, course.lookups())
    };
    let lost = || vec![no_answer(), no_answer()];
    let then = |last: CallResult| lost().into_iter().chain([last]).collect();
    assert_eq!(with(then(relations(&[("a", "NoRelation")]))), (Outcome::Succeeded, 2));
    assert_eq!(with(then(relations(&[("a", "BWithA")]))), (Outcome::Failed, 2));
    assert_eq!(with(then(refused(30003))), (Outcome::InDoubt, 2));
    assert_eq!(with(vec![no_answer(), codes(&[("from", 31704)])]), (Outcome::Succeeded, 1));
}

#[test]
fn a_lookup_keeps_the_codes_and_the_doubt_of_the_change() {
    let both = friends("both");
    let history: CodeHistory = [31706].into_iter().collect();
    let asked = Request { history: history.clone(), doubt: Doubt::TimedOut, ..request(both, &["a"]) };
    let context = CallContext {
        operation: both,
        preparations: Preparations::default(),
        charging: Charging::UpTo(5),
        new_usersig: NewUserSig::MayHelp,
    };
    let assessment = assess_call(&context, &asked, &codes(&[("a", 31704)]));
    let lookup = Settlement::new(&both, asked, assessment.verdicts).follow_ups.remove(0).request;
    let assessment = assess_call(&context, &lookup, &no_answer());
    let again = Settlement::new(&both, lookup.clone(), assessment.verdicts).follow_ups.remove(0).request;
    assert_eq!((&again.history, again.doubt, &again.purpose), (&history, Doubt::TimedOut, &lookup.purpose));
    assert_eq!((lookup.charged, again.charged), (0, 1));
    let stored = Purpose::from_json(&lookup.purpose.to_json().unwrap()).unwrap();
    assert_eq!(stored, lookup.purpose);
    assert_eq!(Purpose::Change.to_json(), None);
}

#[test]
fn a_throttled_lookup_is_sent_again_at_once_and_does_not_count() {
    let both = friends("both");
    let context = CallContext {
        operation: both,
        preparations: Preparations::default(),
        charging: Charging::UpTo(5),
        new_usersig: NewUserSig::MayHelp,
    };
    let assessment = assess_call(&context, &request(both, &["a"]), &codes(&[("a", 31704)]));
    let lookup = Settlement::new(&both, request(both, &["a"]), assessment.verdicts).follow_ups.remove(0).request;
    let assessment = assess_call(&context, &lookup, &refused(60007));
    let expected =
        Resend { charge: Charge::Free, doubt: Doubt::None, wait: Wait::None, split: BatchSplit::Whole, met: None };
    assert_eq!(assessment.verdicts, Verdicts::Each(vec![Verdict::Resend(expected)]));
    assert!(matches!(assessment.notice, AppNotice::Throttled(..)));
}
