//! The state of a session, as far as its changes are reported.

use std::num::NonZeroU64;

use super::outage::Outage;
use super::schedule::{CloseFuse, JobNo, StopReason};

/// The state of a session at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionState {
    /// The apps of the jobs, always in the same order.
    pub apps: Vec<AppCondition>,
    /// The jobs whose canary has not passed.
    pub open_canaries: Vec<JobNo>,
    /// The jobs that came close to their fuse in this session.
    pub close_fuses: Vec<CloseFuse>,
    /// Why jobs stop, each reason once.
    pub stops: Vec<AppStop>,
    /// Whether no job goes on.
    pub is_stopping: bool,
}

/// The state of an app at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppCondition {
    /// The app, if the session has several.
    pub app: Option<NonZeroU64>,
    /// The calls per second that are sent now, if the API throttles.
    pub throttled: Option<u32>,
    /// The outage, if the circuit breaker is open.
    pub outage: Option<Outage>,
    /// Whether the circuit breaker is open because the retry budget cannot pay for a repetition.
    pub retry_budget_is_empty: bool,
    /// The generation of the UserSig.
    pub usersig: u64,
    /// The generation that the API refused last, and the code of the refusal.
    pub refused_usersig: Option<(u64, i64)>,
}

/// Why jobs stop.
#[derive(Debug, Clone, PartialEq)]
pub struct AppStop {
    /// The app of the jobs, if the session has several and the reason concerns one.
    pub app: Option<NonZeroU64>,
    /// The reason.
    pub reason: StopReason,
}

impl SessionState {
    /// The outage of an app, also if it stopped the jobs before it opened the circuit breaker: few calls failed, for
    /// long.
    pub(super) fn outage_or_stop<'a>(&'a self, app: &'a AppCondition) -> Option<&'a Outage> {
        let stops = || self.stops.iter().filter(|stop| stop.app == app.app);
        app.outage.as_ref().or_else(|| stops().find_map(|stop| stop.reason.outage()))
    }
}
