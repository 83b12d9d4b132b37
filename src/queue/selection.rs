//! Which requests and items of a run are sent.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures_of_run::CodeRows;
use crate::domain::ids::RequestId;
use crate::domain::response::outcome::Outcome;

/// The items that `imbulk retry` makes pending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetrySelection {
    /// Those with an outcome.
    Ended {
        /// Their outcome: failed or in doubt.
        outcome: Outcome,
        /// Only the items with this code; none: all of them.
        code: Option<i64>,
    },
    /// Those whose requested state was not there when `imbulk verify` looked, whatever their outcome.
    Contradicted,
}

/// What `imbulk retry` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The rows that are pending again, by the outcome and the code that they had.
    pub codes: Vec<CodeRows>,
    /// The rows that stay as they are, because a later run has taken them over.
    pub carried_over: Option<CarriedAway>,
}

/// Rows that a later run has taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CarriedAway {
    /// The id of the later run.
    pub run: String,
    /// The number of rows.
    pub rows: u64,
}

/// The pending requests that `--limit` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstItems {
    /// The last of them; [`RequestId::BEFORE_FIRST`] if there is none.
    pub last_request: RequestId,
    /// The number of their items.
    pub items: u64,
}
