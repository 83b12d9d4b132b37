//! Which requests and items of a run are sent.

use crate::domain::ids::RequestId;
use crate::domain::response::outcome::Outcome;

/// The items that `imbulk retry` makes pending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySelection {
    /// Their outcome: failed or in doubt.
    pub outcome: Outcome,
    /// Only the items with this code; none: all of them.
    pub code: Option<i64>,
}

/// The pending requests that `--limit` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstItems {
    /// The last of them; [`RequestId::BEFORE_FIRST`] if there is none.
    pub last_request: RequestId,
    /// The number of their items.
    pub items: u64,
}
