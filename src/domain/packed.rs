//! What intake hands to the queue: requests ready to store, rows set aside, and where rows stand in their files.

use super::outcome::Outcome;
use super::row::{RowNo, Tags};

/// A request in the form in which the queue stores it. The three lists run in parallel, an element an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<String>,
    /// JSON list of account ids: `["b","c"]`.
    pub accounts: String,
    /// JSON list of row numbers; a list of several where rows were merged into one item: `[7,[9,12]]`.
    pub rows: String,
    /// JSON list with a list of tag objects an item, one object a row, in row order: `[[{"Tag_…":"x"}],[{…},{…}]]`.
    /// Only for operations with tags.
    pub tags: Option<String>,
    /// How many items.
    pub item_count: u32,
    /// How many rows: more than items where rows were merged.
    pub row_count: u32,
}

/// A row that is not sent: rejected, duplicate or protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The row.
    pub row: RowNo,
    /// Why it is not sent.
    pub cause: Cause,
    /// The account whose list was to be changed, as it stands in the file.
    pub from: Option<String>,
    /// The item's account, as it stands in the file.
    pub account: Option<String>,
    /// The tags as far as they were read.
    pub tags: Tags,
}

/// Why a row is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It breaks a rule.
    Rejected {
        /// The API's name of the column at fault, where one is.
        column: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// It says what an earlier row says.
    Duplicate {
        /// The earlier row.
        of: RowNo,
    },
    /// It names a protected id.
    Protected {
        /// The id.
        id: String,
    },
}

impl Cause {
    /// The outcome of the row.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Duplicate { .. } => Outcome::Duplicate,
            Self::Protected { .. } => Outcome::Protected,
        }
    }
}

/// A stretch of rows that follow each other at a fixed distance of lines, so that a file of ten million rows
/// needs one entry to tell every row's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The first row of the stretch; it ends where the next one starts.
    pub first_row: RowNo,
    /// Index of the source among the run's sources.
    pub source: u32,
    /// The line of the first row.
    pub first_line: u64,
    /// Lines from one row to the next: 1 as a rule, 0 for the items of one JSONL record.
    pub step: u64,
}

impl Segment {
    /// The line on which a row of this stretch starts.
    pub const fn line_of(&self, row: RowNo) -> u64 {
        self.first_line + (row - self.first_row) * self.step
    }
}
