//! Rows that are never sent.

use super::response::outcome::Outcome;
use super::row::{RowNo, Tags};

/// A row that is not sent: rejected, duplicate or protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// The row.
    pub row: RowNo,
    /// Why it is not sent.
    pub reason: SkipReason,
    /// The account whose list was to be changed, as it stands in the file.
    pub from: Option<String>,
    /// The item's account, as it stands in the file.
    pub account: Option<String>,
    /// The tags as far as they were read.
    pub tags: Tags,
}

/// Why a row is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
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

impl SkipReason {
    /// The outcome of the row.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Duplicate { .. } => Outcome::Duplicate,
            Self::Protected { .. } => Outcome::Protected,
        }
    }
}
