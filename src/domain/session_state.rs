//! The state of a session, as far as its changes are reported.

use super::outage::Outage;
use super::schedule::{CloseFuse, JobNo, StopReason};

/// The state of a session at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionState {
    /// The calls per second that are sent now, if the API throttles.
    pub throttled: Option<u32>,
    /// The outage, if the circuit breaker is open.
    pub outage: Option<Outage>,
    /// Whether the circuit breaker is open because the retry budget cannot pay for a repetition.
    pub retry_budget_is_empty: bool,
    /// The jobs whose canary has not passed.
    pub open_canaries: Vec<JobNo>,
    /// The jobs that came close to their fuse in this session.
    pub close_fuses: Vec<CloseFuse>,
    /// The generation of the UserSig.
    pub usersig: u64,
    /// The generation that the API refused last, and the code of the refusal.
    pub refused_usersig: Option<(u64, i64)>,
    /// Why jobs stop, each reason once.
    pub stops: Vec<StopReason>,
    /// Whether no job goes on.
    pub is_stopping: bool,
}

impl SessionState {
    /// The outage, also if it stopped the session before it opened the circuit breaker: few calls failed, for long.
    pub(super) fn outage_or_stop(&self) -> Option<&Outage> {
        self.outage.as_ref().or_else(|| self.stops.iter().find_map(StopReason::outage))
    }
}
