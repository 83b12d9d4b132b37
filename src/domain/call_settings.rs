//! How a session calls the API, as far as another command needs it later without the job file.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::Retry;

/// The endpoint, the admin and the limits of a session. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSettings {
    /// Scheme, host and port; none for the sandbox.
    pub endpoint: Option<String>,
    /// The admin account that signed the calls.
    pub identifier: Option<String>,
    /// Calls per second of the operation's API command.
    pub calls_per_second: NonZeroU32,
    /// Calls per second of all commands to the app.
    pub app_calls_per_second: NonZeroU32,
    /// Calls of all commands to the app on one calendar day; none: no limit.
    pub calls_per_day: Option<NonZeroU64>,
    /// The name of the time zone of that day; none: that of the machine.
    pub zone: Option<String>,
    /// How often and when calls are repeated.
    pub retry: Retry,
    /// The duration of an outage after which a session halts; none: it continues to probe.
    pub outage: Option<Duration>,
}
