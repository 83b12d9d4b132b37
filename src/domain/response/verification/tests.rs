use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::*;
use crate::domain::ids::{RequestId, RunId};
use crate::domain::operation::{BoundOperation, Preparations, by_name};
use crate::domain::request::account::UserId;
use crate::domain::request::row::{FieldValue, FieldValues};
use crate::domain::request::{CallKind, Doubt, Item, Purpose};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::lookup::{assess_call, body};
use crate::domain::response::verdict::{AppNotice, Charging, NewUserSig, Resend, ServerActivity, Verdicts, Wait};

fn operation(name: &str, delete_type: Option<&str>) -> BoundOperation {
    let given = delete_type.map(|value| ("delete_type".to_owned(), value.to_owned()));
    by_name(name).unwrap().bind(&given.into_iter().collect()).unwrap()
}

fn id(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

fn request(operation: BoundOperation, items: &[(&str, FieldValues)]) -> Request {
    let item = |(row, (account, fields)): (u64, &(&str, FieldValues))| {
        let updates = (!fields.is_empty()).then(|| Box::new(vec![(row, fields.clone())]));
        Item { account: id(account), row, updates }
    };
    Request {
        id: RequestId::new(1),
        from: operation.shape.from.map(|_| id("from")),
        items: (0..).zip(items).map(item).collect(),
        calls: 1,
        charged: 0,
        doubt: Doubt::None,
        history: CodeHistory::default(),
        purpose: Purpose::Verify(RunId::new(7)),
    }
}

fn plain(operation: BoundOperation, ids: &[&str]) -> Request {
    request(operation, &ids.iter().map(|id| (*id, FieldValues::new())).collect::<Vec<_>>())
}

fn assessed(operation: BoundOperation, request: &Request, result: &CallResult) -> Assessment {
    let charging = Charging::UpTo(NonZeroU32::new(2).unwrap().get());
    let context = CallContext {
        operation,
        preparations: Preparations::default(),
        charging,
        new_usersig: NewUserSig::DoesNotHelp,
    };
    assess_call(&context, request, result)
}

/// The result of each item, and its reason.
fn results(operation: BoundOperation, request: &Request, answer: &Value) -> Vec<(Verified, String)> {
    let assessment = assessed(operation, request, &CallResult::Body(answer.to_string().into_bytes()));
    let Verdicts::Each(verdicts) = assessment.verdicts else { panic!("{:?}", assessment.verdicts) };
    let result = |verdict: Verdict| match verdict {
        Verdict::Final(result) => (Verified::of_stored(result.outcome).unwrap(), result.reason),
        other => panic!("{other:?}"),
    };
    verdicts.into_iter().map(result).collect()
}

fn confirmed() -> (Verified, String) {
    (Verified::Confirmed, String::new())
}

fn contradicted(reason: &str) -> (Verified, String) {
    (Verified::Contradicted, reason.to_owned())
}

fn answer(list: &str, items: &Value) -> Value {
    json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", list: items})
}

fn accounts(states: &[(&str, &str)]) -> Value {
    let item = |(id, state): &(&str, &str)| json!({"UserID": id, "ResultCode": 0, "AccountStatus": state});
    answer("ResultItem", &states.iter().map(item).collect())
}

fn relations(relations: &[(&str, &str)]) -> Value {
    let item = |(id, relation): &(&str, &str)| {
        let relation = format!("CheckResult_Type_{relation}");
        json!({"To_Account": id, "ResultCode": 0, "Relation": relation})
    };
    answer("InfoItem", &relations.iter().map(item).collect())
}

fn profiles(fields: &[(&str, Value)]) -> Value {
    let item = |(id, fields): &(&str, Value)| json!({"To_Account": id, "ResultCode": 0, "ProfileItem": fields});
    answer("UserProfileItem", &fields.iter().map(item).collect())
}

fn nothing_known() -> (Verified, String) {
    (Verified::Unknown, "lookup failed: the answer shows no state that imbulk knows".to_owned())
}

#[test]
fn an_account_that_is_to_be_deleted_must_not_exist() {
    let states = accounts(&[("a", "NotImported"), ("b", "Imported"), ("c", "Strange")]);
    let delete = operation("account_delete", None);
    assert_eq!(
        results(delete, &plain(delete, &["a", "b", "c"]), &states),
        [confirmed(), contradicted("the account exists"), nothing_known()]
    );
}

#[test]
fn an_account_that_is_to_be_imported_must_have_the_fields_of_its_row() {
    let import = operation("account_import", None);
    let nick = |value: &str| FieldValues::from([("Nick".into(), FieldValue::Text(value.into()))]);
    let shows = |value: &str| json!([{"Tag": "Tag_Profile_IM_Nick", "Value": value}]);
    let accounts =
        [("a", nick("Ann")), ("b", nick("Bea")), ("c", FieldValues::new()), ("d", nick("Dan")), ("e", nick("Eve"))];
    let mut shown =
        profiles(&[("a", shows("Ann")), ("b", shows("Bo")), ("c", shows("any")), ("d", json!([])), ("e", json!([]))]);
    shown["UserProfileItem"][4]["ResultCode"] = 40003.into();
    let request = request(import, &accounts);
    let another = || contradicted("the server has another value of Nick");
    let missing = contradicted("the account does not exist");
    assert_eq!(results(import, &request, &shown), [confirmed(), another(), confirmed(), another(), missing]);
    let asked: Value = serde_json::from_slice(&body(import, &request)).unwrap();
    let expected = json!({"To_Account": ["a", "b", "c", "d", "e"],
        "TagList": ["Tag_Profile_IM_Nick", "Tag_Profile_IM_Image"]});
    assert_eq!(asked, expected);
}

#[test]
fn a_friend_that_is_to_be_imported_must_have_the_fields_of_its_row() {
    let import = operation("friend_import", None);
    let text = |value: &str| FieldValue::Text(value.into());
    let fields = |remark: &str| {
        FieldValues::from([
            ("AddSource".into(), text("AddSource_Type_Web")),
            ("GroupName".into(), FieldValue::groups(["g"])),
            ("Remark".into(), text(remark)),
            ("Tag_SNS_Custom_A".into(), text("x")),
        ])
    };
    let friends = [("a", fields("Ann")), ("b", fields("Bea"))];
    let shows = json!([
        {"Tag": "Tag_SNS_IM_AddSource", "Value": "AddSource_Type_Web"}, {"Tag": "Tag_SNS_IM_Group", "Value": ["g"]},
        {"Tag": "Tag_SNS_IM_Remark", "Value": "Ann"}, {"Tag": "Tag_SNS_Custom_A", "Value": "x"},
    ]);
    let item = |id: &str| json!({"To_Account": id, "ResultCode": 0, "SnsProfileItem": shows});
    let shown = answer("InfoItem", &json!([item("a"), item("b")]));
    let request = request(import, &friends);
    let another = contradicted("the server has another value of Remark");
    assert_eq!(results(import, &request, &shown), [confirmed(), another]);
    let asked: Value = serde_json::from_slice(&body(import, &request)).unwrap();
    let tags = ["Tag_SNS_Custom_A", "Tag_SNS_IM_AddSource", "Tag_SNS_IM_Group", "Tag_SNS_IM_Remark"];
    assert_eq!(asked["TagList"], json!(tags));
}

#[test]
fn friends_are_looked_up_on_the_sides_that_the_job_names() {
    let ids = ["a", "b", "c", "d"];
    let states = relations(&[("a", "NoRelation"), ("b", "AWithB"), ("c", "BWithA"), ("d", "BothWay")]);
    let both = operation("friend_delete", Some("both"));
    let has = contradicted("From_Account has the friend");
    let reverse = contradicted("only the friend's own list still has From_Account");
    assert_eq!(results(both, &plain(both, &ids), &states), [confirmed(), has.clone(), reverse, has.clone()]);
    let single = operation("friend_delete", Some("single"));
    assert_eq!(results(single, &plain(single, &ids), &states)[..2], [confirmed(), has]);
    let sides = |operation| {
        let body: Value = serde_json::from_slice(&body(operation, &plain(operation, &ids))).unwrap();
        body["CheckType"].clone()
    };
    let [single, both] = [sides(single), sides(both)];
    assert_eq!((single, both), ("CheckResult_Type_Single".into(), "CheckResult_Type_Both".into()));
}

#[test]
fn fields_are_equal_if_they_say_the_same() {
    let update = operation("friend_update", None);
    let text = |value: &str| FieldValue::Text(value.into());
    let groups = |names: &[&str]| FieldValue::groups(names.iter().copied());
    let remark = "Tag_SNS_IM_Remark";
    for (set, shown, is_same) in [
        (text("Bo"), json!("Bo"), true),
        (text("Bo"), json!("bo"), false),
        (text(""), Value::Null, true),
        (text(""), json!("x"), false),
        (text("5"), json!(5), true),
        (FieldValue::Integer(5.into()), json!(5), true),
        (FieldValue::Integer(5.into()), json!("5"), true),
        (FieldValue::Integer(5.into()), json!(6), false),
        (groups(&["a", "b"]), json!(["b", "a"]), true),
        (groups(&["a", "b"]), json!(["a"]), false),
        (groups(&["a"]), json!([5]), false),
        (groups(&[]), Value::Null, true),
        (groups(&[]), json!(""), true),
    ] {
        let request = request(update, &[("a", FieldValues::from([(remark.into(), set.clone())]))]);
        let fields = if shown.is_null() { json!([]) } else { json!([{"Tag": remark, "Value": shown}]) };
        let shown_fields = answer("InfoItem", &json!([{"To_Account": "a", "ResultCode": 0, "SnsProfileItem": fields}]));
        let expected =
            if is_same { confirmed() } else { contradicted("the server has another value of Tag_SNS_IM_Remark") };
        assert_eq!(results(update, &request, &shown_fields), [expected], "{set:?} {shown}");
    }
}

#[test]
fn a_friend_that_is_gone_is_not_as_it_was_updated() {
    let update = operation("friend_update", None);
    let fields = |field: &str| FieldValues::from([(field.into(), FieldValue::Text("x".into()))]);
    let request = request(
        update,
        &[("a", fields("Tag_SNS_IM_Remark")), ("b", fields("Tag_SNS_Custom_A")), ("c", fields("Tag_SNS_Custom_A"))],
    );
    let asked: Value = serde_json::from_slice(&body(update, &request)).unwrap();
    assert_eq!(asked["TagList"], json!(["Tag_SNS_Custom_A", "Tag_SNS_IM_Remark"]));
    let info = "Err_SNS_FriendGetList_Friend_Not_Exist";
    let gone = |id: &str| json!({"To_Account": id, "ResultCode": 30001, "ResultInfo": info});
    let other = json!({"To_Account": "b", "ResultCode": 30001, "ResultInfo": "Err_SNS_Parameter"});
    let twice =
        json!({"To_Account": "c", "ResultCode": 0, "SnsProfileItem": [{"Tag": "Tag_SNS_Custom_A", "Value": "x"}]});
    let shown = answer("InfoItem", &json!([gone("a"), other, twice, twice]));
    let found = results(update, &request, &shown);
    assert_eq!(found[0], contradicted("From_Account does not have the friend"));
    assert_eq!([found[1].0, found[2].0], [Verified::Unknown; 2], "{found:?}");
    assert!(found[1].1.contains("Err_SNS_Parameter"), "{found:?}");
}

#[test]
fn an_empty_list_has_no_friends() {
    let clear = operation("friend_delete_all", None);
    let request = plain(clear, &["a"]);
    let list = |friends: Value| json!({"ActionStatus": "OK", "ErrorCode": 0, "FriendNum": friends, "CompleteFlag": 1});
    assert_eq!(results(clear, &request, &list(json!(0))), [confirmed()]);
    assert_eq!(results(clear, &request, &list(json!(1))), [contradicted("the list of From_Account has 1 friend")]);
    assert_eq!(results(clear, &request, &list(json!(250))), [contradicted("the list of From_Account has 250 friends")]);
    assert_eq!(results(clear, &request, &list(json!("0")))[0].0, Verified::Unknown);
    let absent = json!({"ActionStatus": "FAIL", "ErrorCode": 30003, "ErrorInfo": "x"});
    assert_eq!(results(clear, &request, &absent), [confirmed()]);
    let both = operation("friend_delete_all", Some("both"));
    for (answer, state) in
        [(list(json!(0)), "the list of From_Account is empty"), (absent, "From_Account does not exist")]
    {
        let open = format!("a lookup shows that {state}, but not whether its friends still have From_Account");
        assert_eq!(results(both, &request, &answer), [(Verified::Unknown, open)], "the lists of the friends are open");
    }
    assert_eq!(results(both, &request, &list(json!(2))), [contradicted("the list of From_Account has 2 friends")]);
    let asked: Value = serde_json::from_slice(&body(clear, &request)).unwrap();
    let expected = json!({"From_Account": "a", "StartIndex": 0, "StandardSequence": 0, "CustomSequence": 0});
    assert_eq!(asked, expected);
}

#[test]
fn items_with_another_code_are_not_believed_and_show_nothing() {
    let delete = operation("account_delete", None);
    let request = plain(delete, &["a", "b", "c"]);
    let mut states = accounts(&[("a", "NotImported"), ("b", "NotImported")]);
    states["ResultItem"][0]["ResultCode"] = 70402.into();
    states["ErrorCode"] = 0.into();
    let assessment = assessed(delete, &request, &CallResult::Body(states.to_string().into_bytes()));
    let Verdicts::Each(verdicts) = assessment.verdicts else { panic!() };
    assert!(matches!(&verdicts[0], Verdict::Final(result) if result.outcome == Outcome::InDoubt), "{verdicts:?}");
    assert!(matches!(&verdicts[1], Verdict::Final(result) if result.outcome == Outcome::Succeeded));
    assert!(matches!(&verdicts[2], Verdict::Resend(Resend { doubt: Doubt::None, wait: Wait::Backoff, .. })));
}

#[test]
fn a_lookup_without_an_answer_is_repeated_and_leaves_nothing_behind() {
    let delete = operation("account_delete", None);
    let mut request = plain(delete, &["a"]);
    assert_eq!(request.purpose.call_kind(), CallKind::Lookup);
    let silent = CallResult::NoAnswer("time-out".to_owned());
    let assessment = assessed(delete, &request, &silent);
    assert_eq!(assessment.activity, ServerActivity::Done);
    let Verdicts::Each(verdicts) = assessment.verdicts else { panic!() };
    assert!(matches!(&verdicts[0], Verdict::Resend(Resend { doubt: Doubt::None, .. })), "{verdicts:?}");
    request.charged = 1;
    let Verdicts::Each(verdicts) = assessed(delete, &request, &silent).verdicts else { panic!() };
    assert!(matches!(&verdicts[0], Verdict::Final(result) if result.outcome == Outcome::InDoubt), "{verdicts:?}");
}

#[test]
fn a_fatal_code_stops_the_verification() {
    let delete = operation("account_delete", None);
    let refused = json!({"ActionStatus": "FAIL", "ErrorCode": 60010, "ErrorInfo": "no right"});
    let assessment = assessed(delete, &plain(delete, &["a"]), &CallResult::Body(refused.to_string().into_bytes()));
    assert!(matches!(assessment.notice, AppNotice::Fatal { code: Some(60010), .. }), "{:?}", assessment.notice);
    let Verdicts::Each(verdicts) = assessment.verdicts else { panic!() };
    assert!(matches!(&verdicts[0], Verdict::Resend(_)), "{verdicts:?}");
}

#[test]
fn the_purpose_reads_back_and_names_the_verified_run() {
    let purpose = Purpose::Verify(RunId::new(7));
    assert_eq!(purpose.to_json().as_deref(), Some(r#"{"verify":7}"#));
    assert_eq!(Purpose::from_json(r#"{"verify":7}"#).unwrap(), purpose);
}

#[test]
fn sums_name_each_result_and_every_name_reads_back() {
    for verified in Verified::ALL {
        assert_eq!(verified.name().parse(), Ok(verified));
        assert_eq!(Verified::of_stored(verified.stored_as()), Some(verified));
    }
    assert_eq!("gone".parse::<Verified>().unwrap_err().to_string(), UnknownVerified("gone".to_owned()).to_string());
    let tally: Tally = [(Outcome::Succeeded, 5), (Outcome::Failed, 2), (Outcome::InDoubt, 1), (Outcome::Pending, 9)]
        .into_iter()
        .collect();
    let rows = VerifiedRows::of(&tally);
    assert_eq!(rows, VerifiedRows { confirmed: 5, contradicted: 2, unknown: 1 });
    assert_eq!(rows.each().into_iter().collect::<VerifiedRows>(), rows);
    assert_eq!(rows.total(), 8);
}
