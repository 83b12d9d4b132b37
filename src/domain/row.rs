//! One row of the input, and the tags that a friend_update row sets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// A row's place among all rows of a run, counted from 0 in input order without gaps.
pub type RowNo = u64;

/// A row that kept all rules, borrowed from the reader's buffers. All is UTF-8, which its reader has seen to; it passes
/// as bytes, so that nobody looks again at each of millions before they go into the queue as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// Line of the file on which the row starts, from 1.
    pub line: u64,
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<&'a [u8]>,
    /// What the API reports on: `UserID`, `To_Account`, or the `From_Account` of friend_delete_all.
    pub account: &'a [u8],
    /// [`Tags`] as JSON in key order, so that equal tags are equal bytes; empty for operations without tags.
    pub tags: &'a [u8],
}

/// A row that can't be sent, with what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Line of the file on which the row starts, from 1.
    pub line: u64,
    /// The API's name of the column at fault, where one is.
    pub column: Option<String>,
    /// What is wrong, as a lower-case fragment.
    pub reason: String,
    /// The account whose list was to be changed, as it stands in the file.
    pub from: Option<String>,
    /// The item's account, as it stands in the file.
    pub account: Option<String>,
    /// The tags as far as they were read.
    pub tags: Tags,
}

/// What a friend_update row sets, by tag. Tags that are not named are left alone.
pub type Tags = BTreeMap<Box<str>, Value>;

/// The value of a tag (page friend_update: "Array/String/Integer").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A custom field that was made as a number: whole, up to 64 bits with or without sign.
    Integer(Number),
    /// The remark, or a custom field.
    Text(Box<str>),
    /// The groups that the friend stands in.
    Groups(Vec<Box<str>>),
}
