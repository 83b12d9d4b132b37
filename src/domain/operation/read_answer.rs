//! What the answers to read-only commands show of accounts and friends. Whether an answer can be believed depends on
//! its codes, which `domain::response` reads.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

/// The fields of a friend or profile, by the tags under which the API shows them.
pub type ShownFields = BTreeMap<String, Value>;

/// The word that an answer has for each item. `None` for an item without one, or with two different ones.
///
/// account_check answers with `Imported` or `NotImported`, friend_check with `CheckResult_Type_…`, and
/// query_online_status with `Online`, `PushOnline` or `Offline`.
pub(super) fn statuses(body: &[u8]) -> HashMap<String, Option<String>> {
    let answer: WireStatuses = serde_json::from_slice(body).unwrap_or_default();
    let mut found: HashMap<String, Option<String>> = HashMap::new();
    for WireStatus { id, status } in answer.items {
        match found.entry(id) {
            Entry::Vacant(place) => drop(place.insert(status)),
            Entry::Occupied(mut place) if *place.get() != status => drop(place.insert(None)),
            Entry::Occupied(_) => {}
        }
    }
    found
}

/// What portrait_get or friend_get_list shows of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownItem {
    /// The code of the item.
    pub code: i64,
    /// Its fields that have a value, if the answer has a list of them.
    pub fields: Option<ShownFields>,
}

/// What portrait_get or friend_get_list shows of each item. `None` for an item that is listed twice.
pub fn shown_items(body: &[u8]) -> HashMap<String, Option<ShownItem>> {
    let answer: WireShownItems = serde_json::from_slice(body).unwrap_or_default();
    let mut found = HashMap::new();
    for WireShownItem { id, code, fields } in answer.items {
        let shown = ShownItem { code, fields: fields.map(|ListedFields(fields)| fields) };
        found.entry(id).and_modify(|known| *known = None).or_insert(Some(shown));
    }
    found
}

/// A page of a friend list, as friend_get shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FriendPage {
    /// The friends on the page.
    #[serde(rename = "UserDataItem", default)]
    pub friends: Vec<ListedFriend>,
    /// Changes with the standard fields of the list.
    #[serde(rename = "StandardSequence", default)]
    pub standard_sequence: i64,
    /// Changes with the custom fields of the list.
    #[serde(rename = "CustomSequence", default)]
    pub custom_sequence: i64,
    /// The number of friends on the whole list.
    #[serde(rename = "FriendNum")]
    pub friend_num: u64,
    /// Not 0 for the last page.
    #[serde(rename = "CompleteFlag")]
    pub complete_flag: i64,
    /// Where the next page begins.
    #[serde(rename = "NextStartIndex", default)]
    pub next_start_index: u64,
}

impl FriendPage {
    /// Reads an answer. `None` if it does not have the form that the page documents.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// A friend on a page of a friend list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ListedFriend {
    /// The id of the friend.
    #[serde(rename = "To_Account")]
    pub id: String,
    #[serde(rename = "ValueItem", default)]
    fields: ListedFields,
}

impl ListedFriend {
    /// The fields of the friend.
    pub const fn fields(&self) -> &ShownFields {
        &self.fields.0
    }
}

/// A list of `{"Tag": …, "Value": …}`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(from = "Vec<WireField>")]
struct ListedFields(ShownFields);

impl From<Vec<WireField>> for ListedFields {
    fn from(fields: Vec<WireField>) -> Self {
        Self(fields.into_iter().map(|field| (field.tag, field.value)).collect())
    }
}

#[derive(Default, Deserialize)]
struct WireStatuses {
    #[serde(rename = "ResultItem", alias = "InfoItem", alias = "QueryResult", default)]
    items: Vec<WireStatus>,
}

#[derive(Deserialize)]
struct WireStatus {
    #[serde(rename = "UserID", alias = "To_Account")]
    id: String,
    #[serde(rename = "AccountStatus", alias = "Relation", alias = "Status")]
    status: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireShownItems {
    #[serde(rename = "InfoItem", alias = "UserProfileItem", default)]
    items: Vec<WireShownItem>,
}

#[derive(Deserialize)]
struct WireShownItem {
    #[serde(rename = "To_Account")]
    id: String,
    #[serde(rename = "ResultCode")]
    code: i64,
    #[serde(rename = "SnsProfileItem", alias = "ProfileItem")]
    fields: Option<ListedFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireField {
    tag: String,
    value: Value,
}
