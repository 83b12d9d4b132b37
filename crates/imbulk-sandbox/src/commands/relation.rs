//! What the commands on friendships have in common.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::Found;
use crate::answer::MockItem;
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Account, FieldValue, Item, ParsedRequest, TagFault, account, array, text};

/// The maximum number of items in one call (pages `friend_delete`, `friend_update` and `friend_import`).
pub(super) const MAX_FRIENDS: usize = 1000;
/// Groups of one user (limits of the service).
pub(super) const MAX_GROUPS: usize = 32;
/// Bytes of a remark, a group's name and a custom value (relationship chain management).
const MAX_REMARK: usize = 96;
const MAX_GROUP: usize = 30;
const MAX_CUSTOM: usize = 500;
/// Letters after `Tag_SNS_Custom_`.
const MAX_CUSTOM_NAME: usize = 8;
/// After `Tag_SNS_IM_` (relationship chain management).
const FRIEND_TAGS: [&str; 5] = ["Group", "Remark", "AddSource", "AddWording", "AddTime"];
/// The item code of an id that is not legal. `friend_delete` lists such an item in `Invalid_Account`.
pub(super) const ILLEGAL_ACCOUNT: u32 = 30003;

pub(super) fn from_account(fields: &Json<'_>) -> Result<Account, Refusal> {
    let from = account(fields.get("From_Account"), || invalid("From_Account"))?;
    if from.is_legal() { Ok(from) } else { Err(illegal_account()) }
}

/// A request about up to 1000 friends of From_Account, one object per friend in the list `name`.
pub(super) fn friends_of_one_account(
    fields: &Json<'_>,
    name: &str,
    item: fn(&Account, &Json<'_>) -> Result<Item, Refusal>,
) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let objects = array(fields, name).filter(|objects| (1..=MAX_FRIENDS).contains(&objects.len()));
    let objects = objects.ok_or_else(|| invalid(name))?;
    let items = objects.iter().map(|object| item(&from, object)).collect::<Result<_, _>>()?;
    Ok(ParsedRequest { owner: Some(from), items, both_sides: false })
}

/// The friends in the list of ids `To_Account`, of which there are 1 to `max`.
pub(super) fn friends_by_id(fields: &Json<'_>, from: &Account, max: usize) -> Result<Vec<Item>, Refusal> {
    let ids = array(fields, "To_Account").filter(|ids| (1..=max).contains(&ids.len()));
    let ids = ids.ok_or_else(|| invalid("To_Account"))?;
    ids.iter().map(|id| Ok(Item::of_friend(from, account(Some(id), || invalid("To_Account"))?))).collect()
}

/// The tags that a read-only command asks for in its `TagList`, as a field of an item. There is at least one, and
/// `is_tag` holds for each.
pub(super) fn tag_list(fields: &Json<'_>, is_tag: impl Fn(&str) -> bool) -> Option<(String, FieldValue)> {
    let tags = array(fields, "TagList")?.iter().map(|tag| tag.as_text().filter(|tag| is_tag(tag)).map(str::to_owned));
    let tags = tags.collect::<Option<Vec<_>>>().filter(|tags| !tags.is_empty())?;
    Some(("TagList".to_owned(), FieldValue::List(tags)))
}

/// The fields that an item asks for in its [`tag_list`], as a read-only command has found them.
pub(super) fn found_tags(fields: BTreeMap<String, FieldValue>, item: &Item) -> Found {
    let wanted = |tag: &String| item.fields.iter().any(|(_, tags)| tags.list().contains(tag));
    let found = fields.into_iter().filter(|(tag, _)| wanted(tag));
    let found = found.map(|(tag, value)| serde_json::json!({"Tag": tag, "Value": value}));
    Found::from(Value::Array(found.collect()).to_string())
}

/// Whether friends have a field with this tag.
pub(super) fn is_friend_tag(tag: &str) -> bool {
    is_custom(tag) || tag.strip_prefix("Tag_SNS_IM_").is_some_and(|name| FRIEND_TAGS.contains(&name))
}

pub(super) fn invalid(field: &str) -> Refusal {
    Refusal::with(30001, format!("invalid parameter: {field}"))
}

pub(super) fn illegal_account() -> Refusal {
    Refusal::with(ILLEGAL_ACCOUNT, "Err_SNS_Comm_Account_Illegal")
}

pub(super) fn remark(value: &Json<'_>) -> Option<FieldValue> {
    text(value, 0, MAX_REMARK).map(FieldValue::Text)
}

pub(super) fn groups(value: &Json<'_>) -> Option<FieldValue> {
    let names = value.as_list()?.iter().map(|name| text(name, 1, MAX_GROUP));
    names.collect::<Option<_>>().map(FieldValue::List)
}

/// The groups that an item names.
pub(super) fn group_names(item: &Item) -> HashSet<&str> {
    item.fields.iter().flat_map(|(_, value)| value.list()).map(String::as_str).collect()
}

/// The value of a custom field.
pub(super) fn custom_value(tag: &str, value: &Json<'_>) -> Result<FieldValue, TagFault> {
    if !is_custom(tag) {
        return Err(TagFault::Unknown);
    }
    let value = match value {
        Json::Number(number) => Some(FieldValue::Number(*number)),
        other => text(other, 0, MAX_CUSTOM).map(FieldValue::Text),
    };
    value.ok_or(TagFault::WrongValue)
}

pub(super) fn is_custom(tag: &str) -> bool {
    tag.strip_prefix("Tag_SNS_Custom_").is_some_and(|name| {
        (1..=MAX_CUSTOM_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

/// Whether both sides of friendships are deleted. Without a `DeleteType` one side is: the page of `friend_delete_all`
/// says so, and that of `friend_delete` says nothing.
pub(super) fn both_sides(fields: &Json<'_>) -> Option<bool> {
    match fields.get("DeleteType") {
        None => Some(false),
        Some(given) => match given.as_text()? {
            "Delete_Type_Single" => Some(false),
            "Delete_Type_Both" => Some(true),
            _ => None,
        },
    }
}

/// A friend in the list `ResultItem`.
#[derive(Serialize)]
pub(super) struct RelationResult<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    #[serde(rename = "ResultCode")]
    result_code: u32,
    #[serde(rename = "ResultInfo")]
    result_info: &'a str,
}

impl<'a> From<&'a MockItem> for RelationResult<'a> {
    fn from(item: &'a MockItem) -> Self {
        Self { to_account: &item.id, result_code: item.code, result_info: &item.info }
    }
}
