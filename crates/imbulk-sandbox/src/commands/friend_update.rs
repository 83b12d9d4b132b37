//! Page `friend_update`: fields of up to 1000 friends of one user.

use super::relation::{
    MAX_GROUPS, RelationResult, custom_value, friends_of_one_account, group_names, groups, illegal_account, invalid,
    remark,
};
use super::{Access, AnswerForm, Definition};
use crate::answer::{ListBody, MockItem, json, some_ids};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Account, FieldValue, Item, ParsedRequest, TagFault, account, tags};
use crate::world::{Extent, World};

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_update",
    calls_per_second: 200,
    parse,
    written_accounts: |_, request| request.owner.iter().map(|from| from.key).collect(),
    access: Access::Write(write),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    friends_of_one_account(fields, "UpdateItem", update)
}

fn update(from: &Account, item: &Json<'_>) -> Result<Item, Refusal> {
    let to = account(item.get("To_Account"), || invalid("To_Account"))?;
    let fields = tags(item, "SnsItem", value, invalid)?;
    Ok(Item { fields, ..Item::of_friend(from, to) })
}

/// Remark, groups and custom fields only, each with its type and size.
fn value(tag: &str, value: &Json<'_>) -> Result<FieldValue, TagFault> {
    match tag {
        "Tag_SNS_IM_Remark" => remark(value).ok_or(TagFault::WrongValue),
        "Tag_SNS_IM_Group" => groups(value).ok_or(TagFault::WrongValue),
        custom => custom_value(custom, value),
    }
}

/// The new value of a field replaces the old one. A group that the user does not have yet is created; an update that
/// would create a 33rd changes nothing. Half way the first field alone is written.
fn write(world: &mut World, request: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if !item.account.is_legal() {
        return Err(illegal_account());
    }
    let Some(from) = &request.owner else { return Err(invalid("From_Account")) };
    if !world.lists_friend(from.key, item.account.key) {
        return Err(Refusal::with(30001, "Err_SNS_FriendUpdate_Not_Friend"));
    }
    if !world.create_groups(from.key, &group_names(item), MAX_GROUPS) {
        return Err(Refusal::new(30011));
    }
    world.meet(from.key, item);
    let written = if extent == Extent::Full { item.fields.len() } else { 1 };
    world.set_fields(item.key, item.fields.iter().take(written));
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
    use crate::commands::Command;
    use crate::commands::testing::{self, code, ids};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_three_kinds_of_tags_each_with_its_size() {
        let of = |tag: &str, value: Value| {
            let item = json!({"To_Account": "b", "SnsItem": [{"Tag": tag, "Value": value}]});
            code(Command::FriendUpdate, &json!({"From_Account": "a", "UpdateItem": [item]}))
        };
        assert_eq!(of("Tag_SNS_IM_Remark", json!("r".repeat(96))), 0);
        assert_eq!(of("Tag_SNS_IM_Remark", json!("")), 0);
        assert_eq!(of("Tag_SNS_IM_Remark", json!("r".repeat(97))), 30001);
        assert_eq!(of("Tag_SNS_IM_Remark", json!(["r"])), 30001);
        assert_eq!(of("Tag_SNS_IM_Group", json!(["g".repeat(30)])), 0);
        assert_eq!(of("Tag_SNS_IM_Group", json!(["g".repeat(31)])), 30001);
        assert_eq!(of("Tag_SNS_IM_Group", json!([""])), 30001);
        assert_eq!(of("Tag_SNS_IM_Group", json!("g")), 30001);
        assert_eq!(of("Tag_SNS_Custom_Test", json!("x".repeat(500))), 0);
        assert_eq!(of("Tag_SNS_Custom_Test", json!(7)), 0);
        assert_eq!(of("Tag_SNS_Custom_Test", json!("x".repeat(501))), 30001);
        assert_eq!(of("Tag_SNS_Custom_Test", json!(1.5)), 30001);
        assert_eq!(of("Tag_SNS_Custom_", json!("x")), 30001);
        assert_eq!(of("Tag_SNS_Custom_Ninechars", json!("x")), 30001);
        assert_eq!(of("Tag_SNS_IM_AddTime", json!(7)), 30001);
    }

    #[test]
    fn it_takes_up_to_1000_friends_with_at_least_one_tag() {
        let of = |items: Vec<Value>| code(Command::FriendUpdate, &json!({"From_Account": "a", "UpdateItem": items}));
        let item = |id: &str| json!({"To_Account": id, "SnsItem": [{"Tag": "Tag_SNS_IM_Remark", "Value": "r"}]});
        let items = |count| ids(count).iter().map(|id| item(id)).collect();
        assert_eq!(of(items(1000)), 0);
        assert_eq!(of(items(1001)), 30001);
        assert_eq!(of(items(0)), 30001);
        assert_eq!(of(vec![json!({"To_Account": "b", "SnsItem": []})]), 30001);
        assert_eq!(of(vec![json!({"To_Account": "b"})]), 30001);
        assert_eq!(of(vec![json!({"SnsItem": []})]), 30001);
    }

    #[test]
    fn it_answers_like_its_page() {
        let items = [MockItem::ok("id1"), MockItem::refused("id2", Refusal::new(30011))];
        assert_eq!(
            testing::answer(Command::FriendUpdate, &items),
            concat!(
                r#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""},"#,
                r#"{"To_Account":"id2","ResultCode":30011,"#,
                r#""ResultInfo":"Err_SNS_FriendUpdate_Group_Num_Exceed_Threshold"}],"Fail_Account":["id2"],"#,
                r#""ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
            )
        );
        assert!(!testing::answer(Command::FriendUpdate, &[MockItem::ok("id1")]).contains("Fail_Account"));
    }
}
