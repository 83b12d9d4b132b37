//! Page `friend_import`: puts up to 1000 users on the list of one user, each with the fields of the friendship. The
//! other lists stay as they are.

use super::relation::{
    MAX_GROUPS, RelationResult, custom_value, friends_of_one_account, group_names, groups, illegal_account, invalid,
    remark,
};
use super::{Access, AnswerForm, Definition};
use crate::answer::{ListBody, MockItem, json, some_ids};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Account, FieldValue, Item, ParsedRequest, account, tags, text};
use crate::world::{Extent, World};

/// Friends of one user (limits of the service).
const MAX_FRIENDS_OF_USER: usize = 3000;
/// Bytes of the text of a friend request (relationship chain management).
const MAX_WORDING: usize = 256;
const SOURCE_PREFIX: &str = "AddSource_Type_";
/// Letters after it.
const MAX_SOURCE_NAME: usize = 8;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_import",
    calls_per_second: 200,
    parse,
    written_accounts: |_, request| request.owner.iter().map(|from| from.key).collect(),
    access: Access::Write(write),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    friends_of_one_account(fields, "AddFriendItem", friend)
}

/// A plain field of the page, the tag under which the friend then has it, and its check.
type PlainField = (&'static str, &'static str, fn(&Json<'_>) -> Option<FieldValue>);

const PLAIN_FIELDS: [PlainField; 5] = [
    ("AddSource", "Tag_SNS_IM_AddSource", source),
    ("Remark", "Tag_SNS_IM_Remark", remark),
    ("GroupName", "Tag_SNS_IM_Group", groups),
    ("AddWording", "Tag_SNS_IM_AddWording", |value| text(value, 0, MAX_WORDING).map(FieldValue::Text)),
    ("AddTime", "Tag_SNS_IM_AddTime", number),
];

fn friend(from: &Account, item: &Json<'_>) -> Result<Item, Refusal> {
    let to = account(item.get("To_Account"), || invalid("To_Account"))?;
    if item.get("AddSource").is_none() {
        return Err(invalid("AddSource"));
    }
    let mut fields = Vec::new();
    for (name, tag, value) in PLAIN_FIELDS {
        if let Some(given) = item.get(name) {
            fields.push((tag.to_owned(), value(given).ok_or_else(|| invalid(name))?));
        }
    }
    // Only friend_get_list and friend_get could return it, and they do not.
    if item.get("RemarkTime").is_some_and(|time| number(time).is_none()) {
        return Err(invalid("RemarkTime"));
    }
    if item.get("CustomItem").is_some() {
        fields.extend(tags(item, "CustomItem", custom_value, invalid)?);
    }
    Ok(Item { fields, ..Item::of_friend(from, to) })
}

fn source(value: &Json<'_>) -> Option<FieldValue> {
    let name = value.as_text()?.strip_prefix(SOURCE_PREFIX)?;
    let is_legal = (1..=MAX_SOURCE_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_legal.then(|| FieldValue::Text(format!("{SOURCE_PREFIX}{name}")))
}

fn number(value: &Json<'_>) -> Option<FieldValue> {
    match value {
        Json::Number(number) => Some(FieldValue::Number(*number)),
        Json::Text(_) | Json::List(_) | Json::Object(_) | Json::Other => None,
    }
}

/// Half way the friend is on the list and has no fields.
fn write(world: &mut World, request: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if !item.account.is_legal() {
        return Err(illegal_account());
    }
    let Some(from) = &request.owner else { return Err(invalid("From_Account")) };
    if item.account.key == from.key {
        return Err(invalid("To_Account"));
    }
    if !world.exists(item.account.key) {
        return Err(Refusal::new(30003));
    }
    let is_friend = world.lists_friend(from.key, item.account.key);
    if is_friend && !world.effects.import_updates {
        return Err(Refusal::with(30001, "Err_SNS_FriendImport_Friend_Exist"));
    }
    if !is_friend && world.count_friends(from.key) >= MAX_FRIENDS_OF_USER {
        return Err(Refusal::new(30010));
    }
    if !world.create_groups(from.key, &group_names(item), MAX_GROUPS) {
        return Err(Refusal::with(30011, "Err_SNS_FriendImport_Group_Num_Exceed_Threshold"));
    }
    if !is_friend {
        world.add_friend(from.key, item);
    }
    // A friend that was deleted and comes back has none of its former fields.
    world.forget_fields(item.key);
    if extent == Extent::Full {
        world.set_fields(item.key, item.fields.iter());
    }
    let record = world.record(item.key);
    record.data_left = extent == Extent::Half;
    if extent == Extent::Full {
        record.write();
    }
    Ok(())
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    let invalid = some_ids(items, |item| item.is_invalid(false));
    json(&ListBody { invalid, ..ListBody::<RelationResult<'_>>::new("ResultItem", items) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::MockAnswer;
    use crate::commands::Command;
    use crate::commands::testing::{self, code, ids};
    use crate::effect::{ItemEffect, apply};
    use serde_json::{Value, json};

    fn friend(id: &str) -> Value {
        json!({"To_Account": id, "AddSource": "AddSource_Type_Web"})
    }

    fn body(from: &str, items: &[Value]) -> Value {
        json!({"From_Account": from, "AddFriendItem": items})
    }

    fn imported(world: &mut World, body: &Value) -> Vec<u32> {
        let request = ParsedRequest::read(Command::FriendImport, body.to_string().as_bytes()).unwrap();
        match apply(world, Command::FriendImport, &request, |_| ItemEffect::Written).0 {
            MockAnswer::Items(items) => items.iter().map(|item| item.code).collect(),
            MockAnswer::Refused(refusal) => vec![refusal.code],
            MockAnswer::Done => panic!("it lists its items"),
        }
    }

    #[test]
    fn each_field_has_its_type_and_size() {
        let of = |name: &str, value: Value| {
            let mut item = friend("b");
            item[name] = value;
            code(Command::FriendImport, &body("a", &[item]))
        };
        for (name, value) in [
            ("AddSource", json!("AddSource_Type_A")),
            ("AddSource", json!("AddSource_Type_Abcdefgh")),
            ("Remark", json!("r".repeat(96))),
            ("RemarkTime", json!(1)),
            ("GroupName", json!(["g".repeat(30), "h"])),
            ("AddWording", json!("w".repeat(256))),
            ("AddTime", json!(1_420_000_001)),
            ("CustomItem", json!([{"Tag": "Tag_SNS_Custom_Test", "Value": "x".repeat(500)}])),
            ("CustomItem", json!([{"Tag": "Tag_SNS_Custom_Test", "Value": 0}])),
        ] {
            assert_eq!(of(name, value.clone()), 0, "{name} {value}");
        }
        for (name, value) in [
            ("AddSource", json!("AddSource_Type_")),
            ("AddSource", json!("AddSource_Type_Ninechars")),
            ("AddSource", json!("AddSource_Type_Web1")),
            ("AddSource", json!("Web")),
            ("AddSource", json!(7)),
            ("Remark", json!("r".repeat(97))),
            ("RemarkTime", json!("1")),
            ("GroupName", json!("g")),
            ("GroupName", json!(["g".repeat(31)])),
            ("GroupName", json!([""])),
            ("AddWording", json!("w".repeat(257))),
            ("AddTime", json!("1420000001")),
            ("AddTime", json!(-1)),
            ("CustomItem", json!([])),
            ("CustomItem", json!([{"Tag": "Tag_SNS_IM_Remark", "Value": "x"}])),
            ("CustomItem", json!([{"Tag": "Tag_SNS_Custom_Test", "Value": ["x"]}])),
        ] {
            assert_eq!(of(name, value.clone()), 30001, "{name} {value}");
        }
    }

    #[test]
    fn it_takes_up_to_1000_friends_each_with_a_source() {
        let of = |items: &[Value]| code(Command::FriendImport, &body("a", items));
        let items = |count| ids(count).iter().map(|id| friend(id)).collect::<Vec<_>>();
        assert_eq!(of(&items(1000)), 0);
        assert_eq!(of(&items(1001)), 30001);
        assert_eq!(of(&[]), 30001);
        assert_eq!(of(&[json!({"To_Account": "b"})]), 30001);
        assert_eq!(of(&[json!({"AddSource": "AddSource_Type_Web"})]), 30001);
        assert_eq!(of(&[json!({"To_Account": 7, "AddSource": "AddSource_Type_Web"})]), 60015);
        assert_eq!(code(Command::FriendImport, &json!({"AddFriendItem": items(1)})), 30001);
    }

    #[test]
    fn a_friend_is_added_once_on_one_side_with_its_fields() {
        let mut world = World::seeded(["a", "b", "c"], [("a", "c")]);
        let mut whole = friend("b");
        whole["Remark"] = json!("Bo");
        whole["GroupName"] = json!(["Work"]);
        whole["AddTime"] = json!(1_420_000_001);
        whole["CustomItem"] = json!([{"Tag": "Tag_SNS_Custom_Level", "Value": 3}]);
        let items = [whole, friend("b"), friend("c"), friend("x"), friend("a"), friend("")];
        assert_eq!(imported(&mut world, &body("a", &items)), [0, 30001, 30001, 30003, 30001, 30003]);
        assert!(world.is_friend("a", "b") && !world.is_friend("b", "a"));
        let tags = json!({
            "Tag_SNS_Custom_Level": 3,
            "Tag_SNS_IM_AddSource": "AddSource_Type_Web",
            "Tag_SNS_IM_AddTime": 1_420_000_001,
            "Tag_SNS_IM_Group": ["Work"],
            "Tag_SNS_IM_Remark": "Bo",
        });
        assert_eq!(json!(world.tags("a", "b")), tags);
        assert_eq!((world.friend_counters("a", "b").written, world.friend_counters("a", "c").written), (1, 0));
        assert_eq!(imported(&mut world, &body("x", &[friend("b")])), [30003], "the owner must exist");
    }

    #[test]
    fn a_deleted_friend_comes_back_without_its_former_fields() {
        let mut world = World::seeded(["a", "b"], []);
        let mut first = friend("b");
        first["Remark"] = json!("Bo");
        assert_eq!(imported(&mut world, &body("a", &[first.clone()])), [0]);
        let delete = json!({"From_Account": "a", "To_Account": ["b"]}).to_string();
        let delete = ParsedRequest::read(Command::FriendDelete, delete.as_bytes()).unwrap();
        apply(&mut world, Command::FriendDelete, &delete, |_| ItemEffect::Written);
        assert!(!world.is_friend("a", "b"));
        assert_eq!(imported(&mut world, &body("a", &[first])), [0]);
        let clear = ParsedRequest::read(Command::FriendDeleteAll, br#"{"From_Account":"a"}"#).unwrap();
        apply(&mut world, Command::FriendDeleteAll, &clear, |_| ItemEffect::Written);
        assert!(!world.is_friend("a", "b"));
        assert_eq!(imported(&mut world, &body("a", &[friend("b")])), [0]);
        assert_eq!(json!(world.tags("a", "b")), json!({"Tag_SNS_IM_AddSource": "AddSource_Type_Web"}));
    }

    #[test]
    fn half_an_import_adds_the_friend_and_none_of_its_fields() {
        let mut world = World::seeded(["a", "b"], []);
        let body = body("a", &[friend("b")]);
        let request = ParsedRequest::read(Command::FriendImport, body.to_string().as_bytes()).unwrap();
        let half = |_| ItemEffect::Half(Refusal::new(30006));
        assert_eq!(apply(&mut world, Command::FriendImport, &request, half).1, 0);
        assert!(world.is_friend("a", "b") && world.friend_data_remains("a", "b"));
        assert_eq!(world.tags("a", "b"), None);
        assert_eq!(imported(&mut world, &body), [30001]);
    }

    #[test]
    fn a_list_has_3000_friends_and_32_groups() {
        let names = ids(3001);
        let friends = names[..2999].iter().map(|id| ("a", id.as_str()));
        let mut world = World::seeded(names.iter().map(String::as_str).chain(["a"]), friends);
        assert_eq!(imported(&mut world, &body("a", &[friend("u2999"), friend("u3000")])), [0, 30010]);
        let mut grouped = friend("u1");
        grouped["GroupName"] = json!(ids(32));
        let mut one_more = friend("u2");
        one_more["GroupName"] = json!(["another"]);
        assert_eq!(imported(&mut world, &body("u0", &[grouped, one_more])), [0, 30011]);
        assert!(!world.is_friend("u0", "u2"));
    }

    #[test]
    fn it_answers_like_its_page() {
        let items = [MockItem::ok("id1"), MockItem::refused("id2", Refusal::new(30010))];
        assert_eq!(
            testing::answer(Command::FriendImport, &items),
            concat!(
                r#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""},"#,
                r#"{"To_Account":"id2","ResultCode":30010,"#,
                r#""ResultInfo":"Err_SNS_FriendImport_My_Friend_Num_Exceed_Threshold"}],"Fail_Account":["id2"],"#,
                r#""ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
            )
        );
        assert!(!testing::answer(Command::FriendImport, &[MockItem::ok("id1")]).contains("Fail_Account"));
    }
}
