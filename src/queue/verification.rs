//! Verifications as callers see them.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::run_state::Run;
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;

/// The rows of a run that a verification looks up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySelection {
    /// Rows with these outcomes.
    pub outcomes: Vec<Outcome>,
    /// Only a random part of them; none: all.
    pub sample: Option<VerifySample>,
}

/// A random part of the items of a run. The same seed chooses the same items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySample {
    /// The number of items.
    pub items: NonZeroU64,
    /// The seed.
    pub seed: u64,
}

/// A verification that was begun and is not complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The run that only reads.
    pub run: Run,
    /// The rows that it looks up.
    pub selection: VerifySelection,
}

/// What the last lookup of a row showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRow {
    /// The row.
    pub row: RowNo,
    /// The result.
    pub verified: Verified,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// The number of rows of a verification with one result and one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReason {
    /// The result.
    pub verified: Verified,
    /// The code, if an answer named one.
    pub code: Option<i64>,
    /// What was there, or why the lookup showed nothing.
    pub reason: String,
    /// The number of rows.
    pub rows: u64,
}
