//! Page `friend_get_list`: fields of up to 100 friends of one user, 200 calls/s. It writes nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::relation::{found_tags, friends_by_id, from_account, illegal_account, invalid, is_friend_tag, tag_list};
use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{ListBody, MockItem, json};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest};
use crate::world::World;

/// The page advises no more, because larger answers may fail; here they always do.
const MAX_ITEMS: usize = 100;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_get_list",
    calls_per_second: 200,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(look_up),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let is_tag = |tag: &str| is_friend_tag(tag) || tag.starts_with("Tag_Profile_");
    let tags = tag_list(fields, is_tag).ok_or_else(|| invalid("TagList"))?;
    let items = friends_by_id(fields, &from, MAX_ITEMS)?;
    let items = items.into_iter().map(|item| Item { fields: vec![tags.clone()], ..item }).collect();
    Ok(ParsedRequest { owner: Some(from), items, both_sides: false })
}

/// A field that was never set is not in the answer.
fn look_up(world: &World, request: &ParsedRequest, item: &Item) -> Result<Found, Refusal> {
    if !item.account.is_legal() {
        return Err(illegal_account());
    }
    let Some(from) = &request.owner else { return Err(invalid("From_Account")) };
    if !world.lists_friend(from.key, item.account.key) {
        return Err(Refusal::with(30001, "Err_SNS_FriendGetList_Friend_Not_Exist"));
    }
    let fields: BTreeMap<_, _> = world.fields(item.key).into_iter().chain(world.fields(item.account.key)).collect();
    Ok(found_tags(fields, item))
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    json(&ListBody::<InfoItem<'_>>::new("InfoItem", items))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InfoItem<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    /// Only for friends that were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    sns_profile_item: Option<Value>,
    result_code: u32,
    result_info: &'a str,
}

impl<'a> From<&'a MockItem> for InfoItem<'a> {
    fn from(item: &'a MockItem) -> Self {
        let sns_profile_item = item.found();
        let result_info = if sns_profile_item.is_some() { "" } else { &*item.info };
        Self { to_account: &item.id, sns_profile_item, result_code: item.code, result_info }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{applied, code, found, ids};
    use serde_json::json;

    #[test]
    fn it_takes_up_to_100_friends_and_the_tags_of_friends_and_profiles() {
        let of = |to: Value, tags: Value| {
            code(Command::FriendGetList, &json!({"From_Account": "a", "To_Account": to, "TagList": tags}))
        };
        let tags = json!(["Tag_SNS_IM_Remark", "Tag_SNS_IM_Group", "Tag_SNS_Custom_Level", "Tag_Profile_IM_Nick"]);
        assert_eq!(of(json!(ids(100)), tags.clone()), 0);
        assert_eq!(of(json!(ids(101)), tags.clone()), 30001);
        assert_eq!(of(json!([]), tags), 30001);
        for wrong in [json!([]), json!(["Remark"]), json!("Tag_SNS_IM_Remark"), json!([7]), json!(null)] {
            assert_eq!(of(json!(["b"]), wrong.clone()), 30001, "{wrong}");
        }
        assert_eq!(code(Command::FriendGetList, &json!({"From_Account": "a", "To_Account": ["b"]})), 30001);
    }

    #[test]
    fn it_shows_the_tags_that_were_asked_for_and_set() {
        let mut world = World::seeded(["a", "b", "c", "d"], [("a", "b"), ("a", "c")]);
        let update = json!({"From_Account": "a", "UpdateItem": [{"To_Account": "b", "SnsItem": [
            {"Tag": "Tag_SNS_IM_Remark", "Value": "Bo"}, {"Tag": "Tag_SNS_IM_Group", "Value": ["Work"]},
            {"Tag": "Tag_SNS_Custom_Level", "Value": 3}]}]});
        applied(&mut world, Command::FriendUpdate, &update);
        let tags = ["Tag_SNS_IM_Group", "Tag_SNS_Custom_Level", "Tag_SNS_Custom_Other"];
        let body = json!({"From_Account": "a", "To_Account": ["b", "c", "d"], "TagList": tags});
        let answer = found(&mut world, Command::FriendGetList, &body);
        let expected = json!([
            {"To_Account": "b", "ResultCode": 0, "ResultInfo": "", "SnsProfileItem": [
                {"Tag": "Tag_SNS_Custom_Level", "Value": 3}, {"Tag": "Tag_SNS_IM_Group", "Value": ["Work"]}]},
            {"To_Account": "c", "ResultCode": 0, "ResultInfo": "", "SnsProfileItem": []},
            {"To_Account": "d", "ResultCode": 30001, "ResultInfo": "Err_SNS_FriendGetList_Friend_Not_Exist"},
        ]);
        assert_eq!((&answer["InfoItem"], &answer["Fail_Account"]), (&expected, &json!(["d"])));
    }
}
