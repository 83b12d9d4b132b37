//! A request's body, checked by the rules of its page.

use serde::{Deserialize, Serialize};

use crate::commands::Command;
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;

/// `UserID`: at most 32 bytes (limits of the service).
const MAX_USER_ID: usize = 32;

/// What a call asks for.
#[derive(Debug)]
pub(crate) struct ParsedRequest {
    /// The user whose list is written, for commands on friendships. It must exist.
    pub(crate) owner: Option<Account>,
    /// The items, in the order of the body.
    pub(crate) items: Vec<Item>,
    /// Whether both sides of friendships are written.
    pub(crate) both_sides: bool,
}

/// An account, a friend or a list that a call writes.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) account: Account,
    /// Under which the world keeps what is written to it.
    pub(crate) key: Key,
    /// The fields that it sets.
    pub(crate) fields: Vec<(String, FieldValue)>,
}

impl Item {
    pub(crate) fn of_account(account: Account) -> Self {
        Self { key: account.key, account, fields: Vec::new() }
    }

    pub(crate) fn of_friend(from: &Account, to: Account) -> Self {
        Self { key: Key::pair(from.key, to.key), account: to, fields: Vec::new() }
    }
}

/// A `UserID` as it came, and its hash.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) key: Key,
}

impl Account {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), key: Key::account(id) }
    }

    /// Not empty and not too long. The pages disagree about the characters, so none is refused.
    pub(crate) fn is_legal(&self) -> bool {
        !self.id.is_empty() && self.id.len() <= MAX_USER_ID
    }
}

/// The value of a field, by the types of page `friend_update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum FieldValue {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

impl FieldValue {
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::List(list) => list,
            Self::Text(_) | Self::Number(_) => &[],
        }
    }
}

impl ParsedRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// With the code that the page has for the first broken rule.
    pub(crate) fn read(command: Command, body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(fields @ Json::Object(_)) => (command.definition().parse)(&fields),
            Ok(Json::Text(_) | Json::Number(_) | Json::List(_) | Json::Other) | Err(_) => Err(Refusal::new(60003)),
        }
    }

    /// The ids of the items, in the order of the body.
    pub(crate) fn item_ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.account.id.as_str()).collect()
    }
}

/// An account must be a string (60015) and there at all (`absent`).
pub(crate) fn account(value: Option<&Json<'_>>, absent: impl Fn() -> Refusal) -> Result<Account, Refusal> {
    match value.ok_or_else(absent)? {
        Json::Text(id) => Ok(Account::new(id)),
        Json::Number(_) | Json::List(_) | Json::Object(_) | Json::Other => Err(Refusal::new(60015)),
    }
}

/// What is wrong with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagFault {
    /// The command has no such tag.
    Unknown,
    /// The tag does not take the value.
    WrongValue,
}

/// The fields of an item in its list of `{"Tag": …, "Value": …}`, which must not be empty. `value` reads the value of a
/// tag; `invalid` makes the refusal for a name.
pub(crate) fn tags(
    item: &Json<'_>,
    list: &str,
    value: fn(&str, &Json<'_>) -> Result<FieldValue, TagFault>,
    invalid: fn(&str) -> Refusal,
) -> Result<Vec<(String, FieldValue)>, Refusal> {
    let tags = array(item, list).filter(|tags| !tags.is_empty()).ok_or_else(|| invalid(list))?;
    let tag = |pair: &Json<'_>| {
        let name = pair.get("Tag").and_then(Json::as_text).ok_or_else(|| invalid("Tag"))?;
        let given = pair.get("Value").ok_or_else(|| invalid("Value"))?;
        match value(name, given) {
            Ok(value) => Ok((name.to_owned(), value)),
            Err(TagFault::Unknown) => Err(invalid("Tag")),
            Err(TagFault::WrongValue) => Err(invalid(name)),
        }
    };
    tags.iter().map(tag).collect()
}

pub(crate) fn array<'a>(fields: &'a Json<'_>, name: &str) -> Option<&'a [Json<'a>]> {
    fields.get(name)?.as_list()
}

/// A text of `min` to `max` bytes.
pub(crate) fn text(value: &Json<'_>, min: usize, max: usize) -> Option<String> {
    let text = value.as_text()?;
    (min..=max).contains(&text.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_json_object_gets_60003() {
        for body in ["", "{", "[]", "null", "\"x\""] {
            for command in Command::ALL {
                let refusal = ParsedRequest::read(command, body.as_bytes()).unwrap_err();
                assert_eq!(refusal.code, 60003, "{command:?} {body}");
            }
        }
    }
}
