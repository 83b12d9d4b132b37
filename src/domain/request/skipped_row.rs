//! Rows that are never sent, and why.

use super::row::{FieldValues, RowNo};
use crate::domain::response::outcome::Outcome;

/// A row that is never sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// The row.
    pub row: RowNo,
    /// Why it is not sent.
    pub reason: SkipReason,
    /// The account whose list of friends the row changes, as it is in the file.
    pub from: Option<String>,
    /// The item's account, as it is in the file.
    pub account: Option<String>,
    /// The fields as far as they were read.
    pub fields: FieldValues,
}

/// Why a row is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// It breaks a rule.
    Rejected {
        /// The API's name of the column at fault, if there is one.
        column: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// It repeats an earlier row.
    Duplicate {
        /// The earlier row.
        of: RowNo,
    },
    /// It contains a protected id.
    Protected {
        /// The id.
        id: String,
    },
    /// A preparation of its change protects it.
    Guarded {
        /// Why.
        reason: String,
    },
}

impl SkipReason {
    /// The outcome of the row.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Duplicate { .. } => Outcome::Duplicate,
            Self::Protected { .. } | Self::Guarded { .. } => Outcome::Protected,
        }
    }
}
