//! The operations: one file each, all that is particular to it and nothing else.
//!
//! A new operation is a new file here and its line in [`ALL`].

mod account_delete;
mod friend_delete;
mod friend_delete_all;
mod friend_update;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::request::{Keys, Request};

/// Every operation, in the order in which help lists them.
pub const ALL: [&dyn Operation; 4] = [
    &account_delete::AccountDelete,
    &friend_delete::FriendDelete,
    &friend_delete_all::FriendDeleteAll,
    &friend_update::FriendUpdate,
];

/// The operation of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Operation> {
    ALL.into_iter().find(|operation| operation.name() == name)
}

/// What is particular to one command of the API.
pub trait Operation: fmt::Debug + Send + Sync {
    /// The name in job files.
    fn name(&self) -> &'static str;
    /// The path of the command below the endpoint, without a leading slash.
    fn path(&self) -> &'static str;
    /// The most items that one call takes.
    fn items_per_request(&self) -> usize;
    /// The most calls a second that the command's page allows one app.
    fn calls_per_second(&self) -> u32;
    /// How its rows look in the input.
    fn shape(&self) -> Shape;
    /// What it does with `delete_type`.
    fn delete_type(&self) -> DeleteTypeRule;
    /// Whether a wrong row costs so much that a job on a real app must say who is protected.
    fn needs_protected_list(&self) -> bool {
        false
    }
    /// The accounts that a call with these items writes.
    fn keys(&self, request: &Request, delete_type: DeleteType) -> Keys;
    /// The body of the call.
    fn body(&self, request: &Request, delete_type: DeleteType) -> Vec<u8>;
    /// The field of a `ResultItem` that names the item; none where the answer is one verdict.
    fn answer_key(&self) -> Option<&'static str>;
}

/// How the rows of an operation look in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The column of the account whose list is changed, where an item is a pair.
    pub from: Option<&'static str>,
    /// The column of the account that the API reports on.
    pub account: &'static str,
    /// How the API's own request body holds several items.
    pub body: BodyShape,
    /// Whether rows set tags (`Tag_SNS_…`).
    pub tags: TagColumns,
}

impl Shape {
    /// The columns that every row must fill, in the order of the results file.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.from.into_iter().chain(std::iter::once(self.account))
    }
}

/// How the API's own request body holds several items, for JSONL records in that shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyShape {
    /// One item a body: `{"From_Account":"a"}`.
    Single,
    /// A list of ids under the item's own name: `{"From_Account":"a","To_Account":["b","c"]}`.
    Ids,
    /// A list of objects that name the id: `{"DeleteItem":[{"UserID":"a"}]}`.
    Objects {
        /// The list's name.
        list: &'static str,
    },
    /// A list of objects with the id and `SnsItem`, a list of `Tag` and `Value`.
    Updates {
        /// The list's name.
        list: &'static str,
    },
}

/// Whether rows of an operation carry tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagColumns {
    /// No columns beside the ids mean anything.
    None,
    /// `Tag_SNS_IM_Remark`, `Tag_SNS_IM_Group` and `Tag_SNS_Custom_*`; at least one must be set.
    Some,
}

/// Which side of a friendship a delete removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteType {
    /// The friend leaves From_Account's list.
    Single,
    /// From_Account leaves the friend's list, too.
    Both,
}

impl DeleteType {
    /// The API's word for it (page friend_delete).
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Single => "Delete_Type_Single",
            Self::Both => "Delete_Type_Both",
        }
    }

    /// The word in job files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Both => "both",
        }
    }
}

/// What an operation does with `delete_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteTypeRule {
    /// It has none.
    NotTaken,
    /// The job must say it: the API's page states no default.
    Required,
    /// Single where the job is silent: the API's page says so.
    DefaultSingle,
}

/// The account whose list a request changes. Intake gives every request of a pair operation one.
fn from_of(request: &Request) -> &str {
    request.from.as_ref().map_or("", super::account::UserId::as_str)
}

/// Bytes that an item of a usual id takes in a body, more or less: so that a body of many rarely moves as it grows.
const ITEM_BYTES: usize = 32;

/// The body of so many items as JSON. Strings, numbers and lists with string keys: serialising can't fail.
fn to_json(items: usize, body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity((items + 4) * ITEM_BYTES);
    serde_json::to_writer(&mut json, body).map_or_else(|_| Vec::new(), |()| json)
}
