//! What is known of an outage.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::response::verdict::Trouble;

/// A time in which no call succeeds and only probes are sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Outage {
    /// For how long no call has succeeded.
    pub lasts: Duration,
    /// How many probes were sent.
    pub probes: u32,
    /// The cause of the latest failure.
    pub trouble: Trouble,
}
