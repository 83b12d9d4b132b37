//! The user's own columns of an input row, as they are in the file.

use serde_json::value::RawValue;

/// An input row in the words of its file.
#[derive(Debug, Clone)]
pub struct OwnRow {
    /// Index of the file among those of the input.
    pub file: usize,
    /// The line on which the row starts.
    pub line: u64,
    /// What the file has for it.
    pub values: OwnValues,
}

/// A cell of CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCell {
    /// Its text.
    pub text: String,
    /// Whether the file has it in quotes: what is part of an id between quotes is a fault without them.
    pub is_quoted: bool,
}

/// The cells or keys of a row.
#[derive(Debug, Clone)]
pub enum OwnValues {
    /// Of CSV: one for each column of all files; none if this file lacks the column.
    Cells(Vec<Option<OwnCell>>),
    /// Of JSONL: keys and values, in the sequence of the file.
    Object(Vec<(String, Box<RawValue>)>),
}
