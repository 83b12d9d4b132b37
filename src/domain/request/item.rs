//! Items: what the API reports on, with the rows that asked for it.

use super::account::UserId;
use super::row::{FieldValues, RowNo};

/// What the API reports on: one account or one friend, and the input rows that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `UserID`, `To_Account`, or the `From_Account` of friend_delete_all.
    pub account: UserId,
    /// The first row that asked for it.
    pub row: RowNo,
    /// What to set, row by row; only for operations with fields.
    pub updates: Option<Box<Updates>>,
}

/// All rows of one item, in input order: at least one, the first one being [`Item::row`].
pub type Updates = Vec<(RowNo, FieldValues)>;

impl Item {
    /// How many input rows share this item's outcome.
    pub fn row_count(&self) -> u64 {
        self.updates.as_ref().map_or(1, |updates| updates.len() as u64)
    }

    /// The rows that share this item's outcome.
    pub fn rows(&self) -> impl Iterator<Item = RowNo> {
        let merged = self.updates.iter().flat_map(|updates| updates.iter().skip(1).map(|(row, _)| *row));
        std::iter::once(self.row).chain(merged)
    }

    /// What to send: the fields of all rows, the later row winning field by field.
    pub fn merged_fields(&self) -> FieldValues {
        let rows = self.updates.iter().flat_map(|updates| updates.iter());
        rows.flat_map(|(_, fields)| fields.clone()).collect()
    }
}
