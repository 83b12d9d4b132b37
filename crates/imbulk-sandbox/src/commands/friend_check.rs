//! Page `friend_check`: whether up to 1000 users are friends of one user, 200 calls/s. It writes nothing.

use serde::Serialize;

use super::relation::{MAX_FRIENDS, friends_by_id, from_account, illegal_account, invalid};
use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{ListBody, MockItem, json, some_ids};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest};
use crate::world::World;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_check",
    calls_per_second: 200,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(look_up),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let items = friends_by_id(fields, &from, MAX_FRIENDS)?;
    let both_sides = match fields.get("CheckType").and_then(Json::as_text) {
        Some("CheckResult_Type_Single") => false,
        Some("CheckResult_Type_Both") => true,
        Some(_) | None => return Err(invalid("CheckType")),
    };
    Ok(ParsedRequest { owner: Some(from), items, both_sides })
}

/// From one side, only the list of `From_Account` is read: that B has A is then unknown, and not shown.
fn look_up(world: &World, request: &ParsedRequest, item: &Item) -> Result<Found, Refusal> {
    if !item.account.is_legal() {
        return Err(illegal_account());
    }
    let Some(from) = &request.owner else { return Err(invalid("From_Account")) };
    let a_has_b = world.lists_friend(from.key, item.account.key);
    let b_has_a = request.both_sides && world.lists_friend(item.account.key, from.key);
    Ok(Found::from(match (a_has_b, b_has_a) {
        (true, true) => "CheckResult_Type_BothWay",
        (true, false) => "CheckResult_Type_AWithB",
        (false, true) => "CheckResult_Type_BWithA",
        (false, false) => NO_RELATION,
    }))
}

const NO_RELATION: &str = "CheckResult_Type_NoRelation";

/// `Invalid_Account` is not on the page: it is there only where a fault asks for it.
fn answer(items: &[MockItem]) -> Vec<u8> {
    let invalid = some_ids(items, |item| item.is_invalid(false));
    json(&ListBody { invalid, ..ListBody::<InfoItem<'_>>::new("InfoItem", items) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InfoItem<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    relation: &'a str,
    result_code: u32,
    result_info: &'a str,
}

/// A user who could not be checked has no relation, as the sample of the page shows it.
impl<'a> From<&'a MockItem> for InfoItem<'a> {
    fn from(item: &'a MockItem) -> Self {
        let (relation, result_info) = match (item.code, &*item.info) {
            (0, "") => (NO_RELATION, ""),
            (0, relation) => (relation, ""),
            (_, info) => (NO_RELATION, info),
        };
        Self { to_account: &item.id, relation, result_code: item.code, result_info }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{self, code, found, ids};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_up_to_1000_friends_and_two_check_types() {
        let of = |to: Value, way: &str| {
            code(Command::FriendCheck, &json!({"From_Account": "a", "To_Account": to, "CheckType": way}))
        };
        assert_eq!(of(json!(ids(1000)), "CheckResult_Type_Both"), 0);
        assert_eq!(of(json!(ids(1)), "CheckResult_Type_Single"), 0);
        assert_eq!(of(json!(ids(1001)), "CheckResult_Type_Both"), 30001);
        assert_eq!(of(json!([]), "CheckResult_Type_Both"), 30001);
        assert_eq!(of(json!([7]), "CheckResult_Type_Both"), 60015);
        assert_eq!(of(json!(ids(1)), "Delete_Type_Both"), 30001);
        assert_eq!(code(Command::FriendCheck, &json!({"From_Account": "a", "To_Account": ["b"]})), 30001);
        let nobody = json!({"From_Account": "", "To_Account": ["b"], "CheckType": "CheckResult_Type_Both"});
        assert_eq!(code(Command::FriendCheck, &nobody), 30003);
    }

    #[test]
    fn each_relation_is_shown_as_far_as_the_check_type_looks() {
        let users = ["a", "both", "mine", "theirs", "none"];
        let lists = [("a", "both"), ("both", "a"), ("a", "mine"), ("theirs", "a")];
        for (way, expected) in [
            ("Both", ["BothWay", "AWithB", "BWithA", "NoRelation", "NoRelation"]),
            ("Single", ["AWithB", "AWithB", "NoRelation", "NoRelation", "NoRelation"]),
        ] {
            let mut world = World::seeded(users, lists);
            let check = format!("CheckResult_Type_{way}");
            let to = ["both", "mine", "theirs", "none", ""];
            let body = json!({"From_Account": "a", "To_Account": to, "CheckType": check});
            let answer = found(&mut world, Command::FriendCheck, &body);
            let items = answer["InfoItem"].as_array().unwrap();
            let relations: Vec<&str> = items.iter().map(|item| item["Relation"].as_str().unwrap()).collect();
            assert_eq!(relations, expected.map(|relation| format!("CheckResult_Type_{relation}")));
            let codes: Vec<u64> = items.iter().map(|item| item["ResultCode"].as_u64().unwrap()).collect();
            assert_eq!(codes, [0, 0, 0, 0, 30003]);
            assert_eq!(answer["Fail_Account"], json!([""]));
        }
    }

    #[test]
    fn it_answers_like_its_page() {
        let failed = Refusal::with(30006, "Err_SNS_FriendCheck_Internal_Error");
        let one = MockItem { info: Found::from("CheckResult_Type_BothWay"), ..MockItem::ok("id1") };
        assert_eq!(
            testing::answer(Command::FriendCheck, &[one, MockItem::refused("id5", failed)]),
            concat!(
                r#"{"InfoItem":[{"To_Account":"id1","Relation":"CheckResult_Type_BothWay","ResultCode":0,"#,
                r#""ResultInfo":""},{"To_Account":"id5","Relation":"CheckResult_Type_NoRelation","ResultCode":30006,"#,
                r#""ResultInfo":"Err_SNS_FriendCheck_Internal_Error"}],"Fail_Account":["id5"],"#,
                r#""ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
            )
        );
    }
}
