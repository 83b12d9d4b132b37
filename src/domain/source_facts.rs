//! What the reading of one source found, besides its rows.

use schemars::JsonSchema;
use serde::Serialize;

/// What a user must know of one file of the input before its rows are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceFacts {
    /// Rows, good and bad.
    pub rows: u64,
    /// Rows that hold nothing but delimiters and blanks: they are skipped.
    pub blank_rows: u64,
    /// What is accepted and may still surprise: a bounded number of complete sentences, each with its place.
    pub notes: Vec<String>,
}
