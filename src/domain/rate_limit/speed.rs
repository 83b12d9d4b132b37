//! The rate at which calls may be sent, and what keeps it below the cap.

use std::fmt;
use std::time::Duration;

use super::Cap;

/// The time between two calls to a server that throttles every call. The rate never falls lower.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How fast calls may leave, and what keeps them from the cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// The highest rate.
    pub cap: Cap,
    /// Calls a second that may be sent now, once a pause is over.
    pub allowed: f64,
    /// What keeps the rate below the cap.
    pub pressure: Pressure,
}

/// What keeps a rate below its cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pressure {
    /// Nothing: the cap is the limit.
    None,
    /// The server throttled a call just now, so nothing is sent.
    Paused {
        /// Until sending begins again.
        remaining: Duration,
    },
    /// The server throttled a call a while ago, and the rate is rising again.
    Recovering,
    /// Nearly every call is throttled, so one call is sent every [`PROBE_EVERY`].
    Probing,
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (allowed, cap) = (self.allowed, self.cap.get());
        match self.pressure {
            Pressure::None => write!(f, "{cap} calls/s, the cap"),
            Pressure::Paused { remaining } => {
                write!(f, "throttled by the API: paused for {:.1} s", remaining.as_secs_f64())
            }
            Pressure::Recovering => write!(f, "throttled by the API: {allowed:.0} of {cap} calls/s, increasing"),
            Pressure::Probing => {
                write!(f, "throttled by the API: 1 call every {} s", PROBE_EVERY.as_secs())
            }
        }
    }
}
