//! What the session that sends a run stores about once a second, for `imbulk status` in other processes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bottleneck::Bottleneck;
use super::response::tally::Tally;

/// The progress of a run in the session that sends it. The last one stays after the end of the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When it was stored, in milliseconds since 1970.
    pub at: i64,
    /// The process of the session.
    pub pid: u32,
    /// When the session began to send, in milliseconds since 1970.
    pub began_at: i64,
    /// Rows by outcome when it began.
    pub before: Tally,
    /// Calls of the run that the session has begun.
    pub calls: u64,
    /// Rows of the run that got their outcome, and calls begun, per second.
    pub rates: Rates,
    /// Requests of the run in flight.
    pub in_flight: u64,
    /// The median duration of the last calls of the session; none before the first answer.
    pub median_latency: Option<Duration>,
    /// What limits the speed; none if nothing does.
    pub bottleneck: Option<Bottleneck>,
}

/// Numbers per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Rows that got their outcome, or what else [`ProgressSnapshot::units`](super::progress::ProgressSnapshot::units)
    /// counts. Earlier versions stored them as `items`.
    #[serde(alias = "items")]
    pub units: f64,
    /// Calls begun.
    pub calls: f64,
}
