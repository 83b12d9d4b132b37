//! The shortest time that a run can take.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::text::{counted, duration};

/// Requests that write the same account are sent one after the other, and a round trip is assumed to take this long.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// The requests that a run has left, and the shortest time that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "EstimateFigures")]
pub struct Estimate {
    /// Requests that are not settled.
    pub requests_left: u64,
    /// The calls before these requests that only read, without retries.
    pub preparations_left: u64,
    /// The calls per second that the time is computed with.
    pub calls_per_second: NonZeroU32,
    /// The calls per second of all commands together.
    pub app_calls_per_second: NonZeroU32,
    /// The most requests that write the same account.
    pub in_sequence: u64,
}

impl Estimate {
    /// The calls that are left, without retries and lookups.
    pub const fn calls_left(self) -> u64 {
        self.requests_left.saturating_add(self.preparations_left)
    }

    /// A run is no faster than its calls per second allow, nor than the requests that wait for each other.
    pub fn at_least(self) -> Duration {
        let takes = |calls: u64, rate: NonZeroU32| calls.saturating_mul(1_000) / u64::from(rate.get());
        let requests = takes(self.requests_left, self.calls_per_second);
        let by_rate = Duration::from_millis(requests.max(takes(self.calls_left(), self.app_calls_per_second)));
        let by_account = ROUND_TRIP.saturating_mul(u32::try_from(self.in_sequence).unwrap_or(u32::MAX));
        by_rate.max(by_account)
    }

    /// The time, and what it is computed from.
    pub(super) fn line(self) -> String {
        let rate = counted(self.calls_per_second.get().into(), "call/s", "calls/s");
        let sequence = match self.in_sequence {
            0 | 1 => String::new(),
            requests => format!(
                ", {} one after the other (about {} ms each)",
                counted(requests, "request", "requests"),
                ROUND_TRIP.as_millis()
            ),
        };
        format!("at least {}: {rate}{sequence}", duration(self.at_least()))
    }
}

/// The estimate for programs.
#[derive(Serialize, JsonSchema)]
struct EstimateFigures {
    /// Requests that are not settled.
    requests_left: u64,
    /// Their calls, with the preparations, but without retries and lookups.
    calls_left: u64,
    /// The calls per second that the time is computed with.
    calls_per_second: NonZeroU32,
    /// The most requests that write the same account.
    in_sequence: u64,
    /// The shortest time that they take.
    at_least_seconds: f64,
}

impl From<Estimate> for EstimateFigures {
    fn from(estimate: Estimate) -> Self {
        let Estimate { requests_left, calls_per_second, in_sequence, .. } = estimate;
        let at_least_seconds = estimate.at_least().as_secs_f64();
        Self { requests_left, calls_left: estimate.calls_left(), calls_per_second, in_sequence, at_least_seconds }
    }
}
