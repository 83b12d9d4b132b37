//! A request's body, checked by the rules of its page, as an order to carry out.

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;

/// `UserID`: at most 32 bytes (limits of the service).
const MAX_USER_ID: usize = 32;
/// `DeleteItem` (page `account_delete`).
const MAX_DELETE_ITEMS: usize = 100;
/// `To_Account` (page `friend_delete`) and `UpdateItem` (page `friend_update`).
const MAX_FRIENDS: usize = 1000;
/// Bytes of a remark, a group's name and a custom value (relationship chain management).
const MAX_REMARK: usize = 96;
const MAX_GROUP: usize = 30;
const MAX_CUSTOM: usize = 500;
/// Letters after `Tag_SNS_Custom_`.
const MAX_CUSTOM_NAME: usize = 8;

/// What a call asks for.
#[derive(Debug)]
pub(crate) enum ParsedRequest {
    AccountDelete { users: Vec<Account> },
    FriendDelete { from: Account, to: Vec<Account>, way: DeleteType },
    FriendDeleteAll { from: Account, way: DeleteType },
    FriendUpdate { from: Account, updates: Vec<Update> },
}

/// A `UserID` as it came, and its hash.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) key: Key,
}

impl Account {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), key: Key::account(id) }
    }

    /// Not empty and not too long. The pages disagree about the characters, so none is refused.
    pub(crate) fn is_legal(&self) -> bool {
        !self.id.is_empty() && self.id.len() <= MAX_USER_ID
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteType {
    /// From one list.
    Single,
    /// From the lists of both sides.
    Both,
}

/// The new tags of one friend.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) to: Account,
    pub(crate) tags: Vec<(String, TagValue)>,
}

/// The value of a tag, by the types of page `friend_update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum TagValue {
    Text(String),
    Number(u64),
    Groups(Vec<String>),
}

impl ParsedRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// With the code that the page has for the first broken rule.
    pub(crate) fn read(command: Command, body: &[u8]) -> Result<Self, Refusal> {
        let fields = match serde_json::from_slice(body) {
            Ok(fields @ Json::Object(_)) => fields,
            Ok(Json::Text(_) | Json::Number(_) | Json::List(_) | Json::Other) | Err(_) => {
                return Err(Refusal::new(60003));
            }
        };
        match command {
            Command::AccountDelete => account_delete(&fields),
            Command::FriendDelete => friend_delete(&fields),
            Command::FriendDeleteAll => friend_delete_all(&fields),
            Command::FriendUpdate => friend_update(&fields),
        }
    }

    /// The ids of the items, in the order of the body; the owner of the list for `friend_delete_all`.
    pub(crate) fn item_ids(&self) -> Vec<&str> {
        match self {
            Self::AccountDelete { users } => users.iter().map(|user| user.id.as_str()).collect(),
            Self::FriendDelete { to, .. } => to.iter().map(|to| to.id.as_str()).collect(),
            Self::FriendDeleteAll { from, .. } => vec![&from.id],
            Self::FriendUpdate { updates, .. } => updates.iter().map(|update| update.to.id.as_str()).collect(),
        }
    }

    /// Whether both sides of friendships are deleted.
    pub(crate) fn way(&self) -> DeleteType {
        match self {
            Self::AccountDelete { .. } | Self::FriendUpdate { .. } => DeleteType::Single,
            Self::FriendDelete { way, .. } | Self::FriendDeleteAll { way, .. } => *way,
        }
    }

    /// The user whose list is written; `account_delete` has none.
    pub(crate) fn owner(&self) -> Option<&Account> {
        match self {
            Self::AccountDelete { .. } => None,
            Self::FriendDelete { from, .. } | Self::FriendDeleteAll { from, .. } | Self::FriendUpdate { from, .. } => {
                Some(from)
            }
        }
    }
}

fn account_delete(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let items = array(fields, "DeleteItem").ok_or_else(|| bad_account("DeleteItem"))?;
    if items.is_empty() {
        return Err(bad_account("DeleteItem"));
    }
    if items.len() > MAX_DELETE_ITEMS {
        return Err(Refusal::new(70206));
    }
    let users = items
        .iter()
        .map(|item| {
            let user = account(item.get("UserID"), || bad_account("UserID"))?;
            if user.is_legal() { Ok(user) } else { Err(bad_account("UserID")) }
        })
        .collect::<Result<_, _>>()?;
    Ok(ParsedRequest::AccountDelete { users })
}

fn friend_delete(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let ids = array(fields, "To_Account").ok_or_else(|| bad_relation("To_Account"))?;
    if ids.is_empty() || ids.len() > MAX_FRIENDS {
        return Err(Refusal::new(31701));
    }
    let to = ids.iter().map(|id| account(Some(id), || bad_relation("To_Account"))).collect::<Result<_, _>>()?;
    let way = delete_type(fields).ok_or(Refusal::new(31702))?;
    Ok(ParsedRequest::FriendDelete { from, to, way })
}

fn friend_delete_all(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let way = delete_type(fields).ok_or_else(|| bad_relation("DeleteType"))?;
    Ok(ParsedRequest::FriendDeleteAll { from, way })
}

fn friend_update(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let items = array(fields, "UpdateItem").ok_or_else(|| bad_relation("UpdateItem"))?;
    if items.is_empty() || items.len() > MAX_FRIENDS {
        return Err(bad_relation("UpdateItem"));
    }
    let updates = items.iter().map(update).collect::<Result<_, _>>()?;
    Ok(ParsedRequest::FriendUpdate { from, updates })
}

fn update(item: &Json<'_>) -> Result<Update, Refusal> {
    let to = account(item.get("To_Account"), || bad_relation("To_Account"))?;
    let tags = item
        .get("SnsItem")
        .and_then(Json::as_list)
        .filter(|tags| !tags.is_empty())
        .ok_or_else(|| bad_relation("SnsItem"))?
        .iter()
        .map(tag)
        .collect::<Result<_, _>>()?;
    Ok(Update { to, tags })
}

/// Remark, group and custom fields only (page `friend_update`), each with its type and size.
fn tag(item: &Json<'_>) -> Result<(String, TagValue), Refusal> {
    let name = item.get("Tag").and_then(Json::as_text);
    let name = name.ok_or_else(|| bad_relation("Tag"))?;
    let value = item.get("Value").ok_or_else(|| bad_relation("Value"))?;
    let value = match name {
        "Tag_SNS_IM_Remark" => text(value, 0, MAX_REMARK).map(TagValue::Text),
        "Tag_SNS_IM_Group" => groups(value).map(TagValue::Groups),
        custom if is_custom(custom) => match value {
            Json::Number(number) => Some(TagValue::Number(*number)),
            other => text(other, 0, MAX_CUSTOM).map(TagValue::Text),
        },
        _ => return Err(bad_relation("Tag")),
    };
    let value = value.ok_or_else(|| bad_relation(name))?;
    Ok((name.to_owned(), value))
}

fn groups(value: &Json<'_>) -> Option<Vec<String>> {
    let names = value.as_list()?.iter();
    names.map(|name| text(name, 1, MAX_GROUP)).collect()
}

fn is_custom(tag: &str) -> bool {
    tag.strip_prefix("Tag_SNS_Custom_").is_some_and(|name| {
        (1..=MAX_CUSTOM_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

fn text(value: &Json<'_>, min: usize, max: usize) -> Option<String> {
    let text = value.as_text()?;
    (min..=max).contains(&text.len()).then(|| text.to_owned())
}

fn from_account(fields: &Json<'_>) -> Result<Account, Refusal> {
    let from = account(fields.get("From_Account"), || bad_relation("From_Account"))?;
    if from.is_legal() { Ok(from) } else { Err(Refusal::with(30003, "Err_SNS_Comm_Account_Illegal")) }
}

/// An account must be a string (60015) and there at all (`absent`).
fn account(value: Option<&Json<'_>>, absent: impl Fn() -> Refusal) -> Result<Account, Refusal> {
    match value.ok_or_else(absent)? {
        Json::Text(id) => Ok(Account::new(id)),
        Json::Number(_) | Json::List(_) | Json::Object(_) | Json::Other => Err(Refusal::new(60015)),
    }
}

/// Left out means one way: stated for `friend_delete_all`, taken over for `friend_delete`, whose page
/// does not say.
fn delete_type(fields: &Json<'_>) -> Option<DeleteType> {
    match fields.get("DeleteType") {
        None => Some(DeleteType::Single),
        Some(given) => match given.as_text()? {
            "Delete_Type_Single" => Some(DeleteType::Single),
            "Delete_Type_Both" => Some(DeleteType::Both),
            _ => None,
        },
    }
}

fn array<'a>(fields: &'a Json<'_>, name: &str) -> Option<&'a [Json<'a>]> {
    fields.get(name)?.as_list()
}

fn bad_account(field: &str) -> Refusal {
    Refusal::with(70402, format!("invalid parameter: {field}"))
}

fn bad_relation(field: &str) -> Refusal {
    Refusal::with(30001, format!("invalid parameter: {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn code(command: Command, body: &Value) -> u32 {
        ParsedRequest::read(command, body.to_string().as_bytes()).map_or_else(|refusal| refusal.code, |_| 0)
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("u{i}")).collect()
    }

    #[test]
    fn a_body_that_is_no_json_object_gets_60003() {
        for body in ["", "{", "[]", "null", "\"x\""] {
            for command in Command::ALL {
                let refusal = ParsedRequest::read(command, body.as_bytes()).unwrap_err();
                assert_eq!(refusal.code, 60003, "{command:?} {body}");
            }
        }
    }

    #[test]
    fn account_delete_takes_up_to_100_legal_users() {
        let of = |body| code(Command::AccountDelete, &body);
        let users = |count| -> Vec<Value> { ids(count).iter().map(|id| json!({"UserID": id})).collect() };
        assert_eq!(of(json!({"DeleteItem": users(100)})), 0);
        assert_eq!(of(json!({"DeleteItem": users(101)})), 70206);
        assert_eq!(of(json!({"DeleteItem": []})), 70402);
        assert_eq!(of(json!({})), 70402);
        assert_eq!(of(json!({"DeleteItem": {"UserID": "a"}})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": 7}]})), 60015);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": ""}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": "用".repeat(11)}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": "x".repeat(32)}]})), 0);
    }

    #[test]
    fn friend_delete_takes_up_to_1000_friends_and_two_delete_types() {
        let of = |body| code(Command::FriendDelete, &body);
        let to = |to: Value| json!({"From_Account": "a", "To_Account": to});
        assert_eq!(of(to(json!(ids(1000)))), 0);
        assert_eq!(of(to(json!(ids(1001)))), 31701);
        assert_eq!(of(to(json!([]))), 31701);
        assert_eq!(of(to(json!("b"))), 30001);
        assert_eq!(of(to(json!([7]))), 60015);
        assert_eq!(of(json!({"To_Account": ["b"]})), 30001);
        assert_eq!(of(json!({"From_Account": 1, "To_Account": ["b"]})), 60015);
        assert_eq!(of(json!({"From_Account": "", "To_Account": ["b"]})), 30003);
        for (delete_type, expected) in [
            (json!("Delete_Type_Single"), 0),
            (json!("Delete_Type_Both"), 0),
            (json!("both"), 31702),
            (json!(1), 31702),
        ] {
            let mut body = to(json!(["b"]));
            body["DeleteType"] = delete_type;
            assert_eq!(of(body), expected);
        }
    }

    #[test]
    fn friend_delete_all_takes_one_user() {
        let of = |body| code(Command::FriendDeleteAll, &body);
        assert_eq!(of(json!({"From_Account": "a"})), 0);
        assert_eq!(of(json!({})), 30001);
        assert_eq!(of(json!({"From_Account": ["a"]})), 60015);
        assert_eq!(of(json!({"From_Account": "a", "DeleteType": "x"})), 30001);
    }

    #[test]
    fn friend_update_takes_three_kinds_of_tags_each_with_its_size() {
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
    fn friend_update_takes_up_to_1000_friends_with_at_least_one_tag() {
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
}
