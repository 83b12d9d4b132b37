//! Figures of a run, for summaries and plans.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::response::outcome::{Count, Outcome};

/// The number of rows with one code and one outcome, except for success without a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRows {
    /// Their outcome.
    pub outcome: Outcome,
    /// Their code; none if no response came.
    pub code: Option<i64>,
    /// Their number.
    pub rows: Count,
}

/// Where a row is in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RowPlace {
    /// The name of its file in results.
    pub source: String,
    /// Its line.
    pub line: u64,
}

/// Rows that one call did not settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepeatedRows {
    /// Rows of requests that needed several calls: repetitions, lookups and preparations.
    pub several_calls: Count,
    /// Rows of requests that were in doubt at some time.
    pub once_in_doubt: Count,
}

/// A request that needed several calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ManyCalls {
    /// Its calls, and those of the larger requests that it was part of.
    pub calls: u64,
    /// Its rows.
    pub rows: u64,
    /// Where its first row is in the input.
    pub first: RowPlace,
}

/// A row that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rejected {
    /// The name of its file in results.
    pub source: String,
    /// Its line.
    pub line: u64,
    /// The column at fault, if there is one.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}
