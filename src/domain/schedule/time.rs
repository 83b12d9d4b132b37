//! Moments and periods of the schedule.

use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A moment by the clock of the runner, which starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduleTime(Duration);

impl ScheduleTime {
    /// The start of the runner.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment at this time after the start of the runner.
    pub const fn after_start(passed: Duration) -> Self {
        Self(passed)
    }

    /// The time since the start of the runner.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time since an earlier moment; zero if that is later.
    pub(super) const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for ScheduleTime {
    type Output = Self;

    fn add(self, period: Duration) -> Self {
        Self(self.0 + period)
    }
}

impl AddAssign<Duration> for ScheduleTime {
    fn add_assign(&mut self, period: Duration) {
        self.0 += period;
    }
}

/// The quarantine: how long accounts stay leased after the end of a call without an answer, because the server may
/// still be writing.
///
/// The server gives up on a call after 3 s (page "REST API overview"); 200 ms are added for the network. The period is
/// counted from the end of the call, because connecting takes an unknown time before the first byte leaves.
pub const QUARANTINE: Duration = Duration::from_millis(3_200);

/// The maximum time that may pass between the first byte of an online check and the first byte of the change.
const ONLINE_CHECK_IS_VALID: Duration = Duration::from_secs(5);

/// The maximum time to connect in a session with online checks. A connection that takes longer would send the change
/// too late.
pub const CONNECT_AFTER_CHECK: Duration = Duration::from_secs(2);

/// How long after the start of an online check the call of its change may start: connecting may still take
/// [`CONNECT_AFTER_CHECK`], and 200 ms are left for the loop.
pub(super) const CHANGE_AFTER_CHECK: Duration =
    ONLINE_CHECK_IS_VALID.saturating_sub(CONNECT_AFTER_CHECK).saturating_sub(Duration::from_millis(200));

/// The maximum time that may pass between the first byte of the last call of a backup and the first byte of the change.
/// A pause or an outage can take hours, in which the users of the app change their lists and profiles.
const BACKUP_IS_VALID: Duration = Duration::from_mins(5);

/// How long after the last call of a backup the call of its change may start: connecting may take 3 s, and 200 ms are
/// left for the loop.
pub(super) const CHANGE_AFTER_BACKUP: Duration = BACKUP_IS_VALID.saturating_sub(Duration::from_millis(3_200));

/// How long calls in flight may take to end once an outage stops the run.
pub(super) const GRACE_AFTER_OUTAGE: Duration = Duration::from_millis(500);
