//! What the schedule needs to know of a job.

use std::num::{NonZeroU32, NonZeroU64};

use crate::domain::ids::RunId;
use crate::domain::job::{Retry, Stop};
use crate::domain::operation::{BoundOperation, Preparations};
use crate::domain::response::outcome::Count;
use crate::domain::response::tally::Tally;

/// Index of a job among those that run together.
pub type JobNo = usize;

/// What the schedule needs to know of a job.
#[derive(Debug, Clone)]
pub struct ScheduledJob {
    /// The run of the job.
    pub run: RunId,
    /// Its app; none for the sandbox. Jobs of one app share its health, its UserSig and its accounts.
    pub sdkappid: Option<NonZeroU64>,
    /// Requests of other jobs of the app are fetched only after those of jobs with a higher priority.
    pub priority: u64,
    /// The operation, with its options.
    pub operation: BoundOperation,
    /// The calls before each change.
    pub preparations: Preparations,
    /// The maximum number of calls per second.
    pub calls_per_second: NonZeroU32,
    /// How often and when items are sent again.
    pub retry: Retry,
    /// The maximum number of requests in flight; `None`: as many as the rate needs.
    pub max_in_flight: Option<usize>,
    /// When to stop early.
    pub stop: Stop,
    /// The share of `already_done` items at which the run halts.
    pub max_already_done: Option<f64>,
    /// How many items the canary has; 0 means no canary.
    pub canary: u64,
    /// How many items earlier sessions have ended, counted up to the size of the canary. Several rows can be one item.
    pub ended_items: Count,
    /// Rows by outcome at the start.
    pub tally: Tally,
}
