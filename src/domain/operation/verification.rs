//! What a lookup shows of the state that rows ask for, long after their calls.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{BoundOperation, LookupFinding, LookupKind};
use crate::domain::request::row::TagValue;
use crate::domain::request::{Item, Request};

/// What a lookup shows of the state that an item asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateSeen {
    /// The requested state is there.
    Requested,
    /// Another state is there, with its description as a fragment of a reason.
    Other(String),
}

impl BoundOperation {
    /// What the answer to a lookup shows of an item; none if it shows nothing that imbulk knows. Whether the answer can
    /// be believed is not decided here: that depends on the codes.
    pub fn states_seen(self, lookup: LookupKind, request: &Request, body: &[u8]) -> Vec<Option<StateSeen>> {
        match lookup {
            LookupKind::Accounts | LookupKind::Friends => {
                let findings = self.findings(body);
                let seen = |item: &Item| findings.get(item.account.as_str()).map(|finding| self.seen(lookup, *finding));
                request.items.iter().map(seen).collect()
            }
            LookupKind::FriendFields => {
                let fields = friend_fields(body);
                request
                    .items
                    .iter()
                    .map(|item| fields.get(item.account.as_str())?.as_ref().map(compare(item)))
                    .collect()
            }
            LookupKind::FriendList => {
                let list = serde_json::from_slice::<WireList>(body).ok().and_then(|list| list.friends);
                let seen = list.map(|friends| match friends {
                    0 => StateSeen::Requested,
                    1 => StateSeen::Other("the list has 1 friend".to_owned()),
                    friends => StateSeen::Other(format!("the list has {friends} friends")),
                });
                request.items.iter().map(|_| seen.clone()).collect()
            }
        }
    }

    fn seen(self, lookup: LookupKind, finding: LookupFinding) -> StateSeen {
        let other = match (lookup, finding, self.deletes_both_sides()) {
            (_, LookupFinding::Reached, _) => return StateSeen::Requested,
            (_, LookupFinding::ReverseSide, _) => "only the friend's own list still has From_Account",
            (LookupKind::Accounts, LookupFinding::NotReached, _) if self.creates_items() => {
                "the account does not exist"
            }
            (LookupKind::Accounts, LookupFinding::NotReached, _) => "the account exists",
            (_, LookupFinding::NotReached, _) if self.creates_items() => NO_FRIEND,
            (_, LookupFinding::NotReached, _) => "From_Account has the friend",
        };
        StateSeen::Other(other.to_owned())
    }

    /// What a code says about the state of an item, if it says something of it rather than of the call.
    pub fn state_of_code(self, lookup: LookupKind, code: i64, info: &str) -> Option<StateSeen> {
        match (lookup, code) {
            // From_Account does not exist, so it has no friends.
            (LookupKind::FriendList, 30003) => Some(StateSeen::Requested),
            (LookupKind::FriendFields, 30001) if info.contains("Friend_Not_Exist") => {
                Some(StateSeen::Other(NO_FRIEND.to_owned()))
            }
            (LookupKind::Accounts | LookupKind::Friends | LookupKind::FriendFields | LookupKind::FriendList, _) => None,
        }
    }
}

const NO_FRIEND: &str = "From_Account does not have the friend";

/// The fields of a friend, as an answer shows them.
type ShownFields = HashMap<String, Value>;

/// The fields of each friend; none for a friend that is listed twice or without fields.
fn friend_fields(body: &[u8]) -> HashMap<String, Option<ShownFields>> {
    let answer: WireFriends = serde_json::from_slice(body).unwrap_or_default();
    let mut found = HashMap::new();
    for friend in answer.friends {
        let fields = friend.fields.map(|fields| fields.into_iter().map(|field| (field.tag, field.value)).collect());
        found.entry(friend.id).and_modify(|known| *known = None).or_insert(fields);
    }
    found
}

/// Compares the fields that an item sets with those that the answer shows.
fn compare(item: &Item) -> impl FnOnce(&ShownFields) -> StateSeen {
    move |shown| {
        let differs = |(tag, value): &(Box<str>, TagValue)| !is_same(value, shown.get(&**tag).unwrap_or(&Value::Null));
        let differing: Vec<Box<str>> = item.merged_tags().into_iter().filter(differs).map(|(tag, _)| tag).collect();
        if differing.is_empty() {
            StateSeen::Requested
        } else {
            StateSeen::Other(format!("another value of {}", differing.join(", ")))
        }
    }
}

/// Whether a shown value is the one that was set. A cleared field may be shown as empty or not at all, groups may come
/// in any sequence, and a number may be shown as text.
fn is_same(set: &TagValue, shown: &Value) -> bool {
    match set {
        TagValue::Groups(groups) => {
            let mut set: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
            let Some(mut shown) = texts(shown) else { return false };
            set.sort_unstable();
            shown.sort_unstable();
            set == shown
        }
        TagValue::Text(text) => as_text(shown) == **text,
        TagValue::Integer(number) => as_text(shown) == number.to_string(),
    }
}

fn texts(shown: &Value) -> Option<Vec<&str>> {
    match shown {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

fn as_text(shown: &Value) -> String {
    match shown {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => shown.to_string(),
    }
}

#[derive(Default, Deserialize)]
struct WireFriends {
    #[serde(rename = "InfoItem", default)]
    friends: Vec<WireFriend>,
}

#[derive(Deserialize)]
struct WireFriend {
    #[serde(rename = "To_Account")]
    id: String,
    #[serde(rename = "SnsProfileItem")]
    fields: Option<Vec<WireField>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireField {
    tag: String,
    value: Value,
}

#[derive(Deserialize)]
struct WireList {
    #[serde(rename = "FriendNum")]
    friends: Option<u64>,
}
