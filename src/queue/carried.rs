//! Rows that a run takes over from the last run of its job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::request::row::RowNo;
use crate::domain::response::earlier_effect::EarlierCalls;

/// What a run has taken over, as table `run` stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCarry {
    /// Digest of everything that decided which rows these are.
    pub digest: String,
    /// The rows.
    #[serde(flatten)]
    pub over: CarriedOver,
}

/// Rows that a run has taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CarriedOver {
    /// The id of the run that the rows were in before.
    pub run: String,
    /// The rows that were carried over.
    pub rows: u64,
    /// Their items that no row of the input names.
    pub items: u64,
    /// Rows that stayed in the earlier run, because they were carried over for as many nights as the job allows.
    pub left_behind: u64,
}

/// A row that is carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    /// The account whose list is changed, for operations on pairs.
    pub from: Option<String>,
    /// The item's account.
    pub account: String,
    /// The fields as JSON, as readers of the input pass them; empty for operations without fields.
    pub fields: Vec<u8>,
    /// The number of its file in the earlier run.
    pub source: u32,
    /// Its line in this file.
    pub line: u64,
    /// Its number in the earlier run.
    pub(super) row: RowNo,
    /// The number of runs that it was carried into, the new one included.
    pub(super) nights: u32,
    /// The calls that were begun for it.
    pub(super) attempts: u32,
    /// What these calls left.
    pub(super) earlier: EarlierCalls,
}

/// Some of the rows that are carried over.
#[derive(Debug, Default)]
pub struct CarriedPage {
    /// The rows.
    pub rows: Vec<CarriedRow>,
    /// Rows that stay in the earlier run, because they were carried over often enough.
    pub(super) left_behind: u64,
}
