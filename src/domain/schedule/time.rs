//! Moments and periods of the schedule.

use std::time::Duration;

/// A moment, as the time since the start of the runner.
pub type Now = Duration;

/// How long the server may still be writing after the end of a call without an answer.
///
/// The server gives up on a call after 3 s (page "REST API overview"); 200 ms are added for the network. The period is
/// counted from the end of the call, because connecting takes an unknown time before the first byte leaves.
pub const SERVER_MAY_BE_WRITING: Duration = Duration::from_millis(3_200);

/// How long calls in flight may take to end once an outage stops the run.
pub(super) const GRACE_AFTER_OUTAGE: Duration = Duration::from_millis(500);
