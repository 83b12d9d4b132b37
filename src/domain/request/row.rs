//! One row of the input, and the fields that it sets beside its ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// A row's place among all rows of a run, counted from 0 in input order without gaps.
pub type RowNo = u64;

/// A valid row, borrowed from the reader's buffers. The reader has checked that everything is UTF-8. The type is bytes,
/// so that millions of rows are not checked a second time before the queue stores them as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// Line of the file on which the row starts, from 1.
    pub line: u64,
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<&'a [u8]>,
    /// What the API reports on: `UserID`, `To_Account`, or the `From_Account` of friend_delete_all.
    pub account: &'a [u8],
    /// [`FieldValues`] as JSON in key order, so that equal fields are equal bytes; empty for operations without fields.
    pub fields: &'a [u8],
}

/// A row that can't be sent, with what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Line of the file on which the row starts, from 1.
    pub line: u64,
    /// The API's name of the column at fault, where one is.
    pub column: Option<String>,
    /// What is wrong, as a lower-case fragment.
    pub reason: String,
    /// The account whose list was to be changed, as the file gives it.
    pub from: Option<String>,
    /// The item's account, as the file gives it.
    pub account: Option<String>,
    /// The fields as far as they were read.
    pub fields: FieldValues,
}

/// What a row sets, by field. Fields that are not named are left alone.
pub type FieldValues = BTreeMap<Box<str>, FieldValue>;

/// The value of a field (page friend_update: "Array/String/Integer").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// A whole number of up to 64 bits, with or without sign.
    Integer(Number),
    /// Text.
    Text(Box<str>),
    /// The names of groups.
    Groups(Vec<Box<str>>),
}

/// The maximum number of elements in a list: an account has at most 32 groups (limits page).
pub const MAX_LIST_LENGTH: usize = 32;

impl FieldValue {
    /// The groups in their order, each once: a repeated name has no further effect.
    pub fn groups<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut groups: Vec<Box<str>> = Vec::new();
        for name in names {
            // A list above the limit is refused anyway. Comparing all its names would take time that grows with the
            // square of its length.
            if groups.len() > MAX_LIST_LENGTH || !groups.iter().any(|known| **known == *name) {
                groups.push(name.into());
            }
        }
        Self::Groups(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_named_twice_counts_once() {
        assert_eq!(FieldValue::groups(["a", "b", "a"]), FieldValue::Groups(vec!["a".into(), "b".into()]));
    }
}
