//! The changes of a session's state that people and the log are informed of.
//!
//! There is one source: [`StateWatch`] compares each progress snapshot with the one before. The runner passes the
//! snapshots to its caller, which passes the changes on to the log and to the display.

use std::time::Duration;

use super::outage::Outage;
use super::progress::Phase;
use super::schedule::{CloseFuse, JobNo, StopReason};
use super::session_state::SessionState;

/// A change of a session's state.
#[derive(Debug, Clone, PartialEq)]
pub enum StateChange {
    /// A phase has begun.
    PhaseBegun(Phase),
    /// A phase has ended.
    PhaseEnded {
        /// The phase.
        phase: Phase,
        /// How long it took.
        took: Duration,
    },
    /// The API answered that calls come too fast.
    Throttled {
        /// The calls per second that are sent from now on.
        calls_per_second: u32,
    },
    /// The rate is that of the job's limits again.
    ThrottleEnded,
    /// The retry budget is used up.
    RetryBudgetEmpty,
    /// The circuit breaker opened, so only probes are sent, or an outage stops the session.
    OutageStarted(Outage),
    /// The circuit breaker closed.
    OutageEnded {
        /// For how long no call succeeded, to within a fraction of a second.
        lasted: Duration,
    },
    /// The canary of a job passed: the other requests follow.
    CanaryPassed {
        /// The job.
        job: JobNo,
    },
    /// The share of failed items of a job came close to its fuse. Reported once per session.
    FuseClose(CloseFuse),
    /// A new UserSig is in use.
    UserSigRenewed {
        /// The code with which the API refused the last one; none if it was replaced because of its age.
        code: Option<i64>,
    },
    /// Jobs stop: one of them, or all. A graver reason may follow.
    Stopping(StopReason),
}

impl StateChange {
    /// The name of the event in the log. Scripts depend on it.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::PhaseBegun(_) | Self::PhaseEnded { .. } => "phase",
            Self::Throttled { .. } => "throttled",
            Self::ThrottleEnded => "throttle_ended",
            Self::RetryBudgetEmpty => "retry_budget_empty",
            Self::OutageStarted(_) => "outage_started",
            Self::OutageEnded { .. } => "outage_ended",
            Self::CanaryPassed { .. } => "canary_passed",
            Self::FuseClose(_) => "fuse_close",
            Self::UserSigRenewed { .. } => "usersig_renewed",
            Self::Stopping(_) => "stopping",
        }
    }

    /// The job that it concerns; `None` if it concerns the whole session.
    pub const fn only_job(&self) -> Option<JobNo> {
        match self {
            Self::CanaryPassed { job } | Self::FuseClose(CloseFuse { job, .. }) => Some(*job),
            Self::Stopping(reason) => reason.only_job(),
            Self::PhaseBegun(_)
            | Self::PhaseEnded { .. }
            | Self::Throttled { .. }
            | Self::ThrottleEnded
            | Self::RetryBudgetEmpty
            | Self::OutageStarted(_)
            | Self::OutageEnded { .. }
            | Self::UserSigRenewed { .. } => None,
        }
    }
}

/// Finds the changes between successive snapshots of one phase.
#[derive(Debug, Default)]
pub struct StateWatch {
    last: SessionState,
}

impl StateWatch {
    /// What has changed since the last call, causes before their effects.
    pub fn changes(&mut self, now: &SessionState) -> Vec<StateChange> {
        let changes = changes(&self.last, now);
        self.last.clone_from(now);
        changes
    }
}

/// What has changed from one moment to the next.
fn changes(before: &SessionState, now: &SessionState) -> Vec<StateChange> {
    let mut changes = Vec::new();
    if now.usersig > before.usersig {
        let refusal = now.refused_usersig.filter(|(generation, _)| *generation >= before.usersig);
        changes.push(StateChange::UserSigRenewed { code: refusal.map(|(_, code)| code) });
    }
    match (before.throttled, now.throttled) {
        (None, Some(calls_per_second)) => changes.push(StateChange::Throttled { calls_per_second }),
        (Some(_), None) => changes.push(StateChange::ThrottleEnded),
        (None, None) | (Some(_), Some(_)) => {}
    }
    if now.retry_budget_is_empty && !before.retry_budget_is_empty {
        changes.push(StateChange::RetryBudgetEmpty);
    }
    match (before.outage_or_stop(), now.outage_or_stop()) {
        (None, Some(outage)) => changes.push(StateChange::OutageStarted(outage.clone())),
        (Some(outage), None) => changes.push(StateChange::OutageEnded { lasted: outage.lasts }),
        (None, None) | (Some(_), Some(_)) => {}
    }
    let passed = before.open_canaries.iter().filter(|job| !now.open_canaries.contains(job));
    changes.extend(passed.map(|job| StateChange::CanaryPassed { job: *job }));
    let close = now.close_fuses.iter().filter(|fuse| !before.close_fuses.contains(fuse));
    changes.extend(close.copied().map(StateChange::FuseClose));
    let stops = now.stops.iter().filter(|reason| !before.stops.contains(reason));
    changes.extend(stops.cloned().map(StateChange::Stopping));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::OutcomeCounts;
    use crate::domain::response::verdict::Trouble;
    use crate::domain::schedule::{DeadlineKey, StopSignal};

    fn outage(seconds: u64) -> Outage {
        let trouble = Trouble::Failing("code 60008: x".to_owned());
        Outage { lasts: Duration::from_secs(seconds), probes: 2, trouble }
    }

    #[test]
    fn each_change_is_found_once_and_an_unchanged_state_has_none() {
        let mut watch = StateWatch::default();
        let mut now = SessionState { open_canaries: vec![0, 1], ..SessionState::default() };
        assert_eq!(watch.changes(&now), []);
        now.throttled = Some(40);
        assert_eq!(watch.changes(&now), [StateChange::Throttled { calls_per_second: 40 }]);
        now.throttled = Some(20);
        assert_eq!(watch.changes(&now), [], "it is throttled already");
        now.open_canaries = vec![1];
        assert_eq!(watch.changes(&now), [StateChange::CanaryPassed { job: 0 }]);
        (now.throttled, now.retry_budget_is_empty, now.outage) = (None, true, Some(outage(10)));
        let expected =
            [StateChange::ThrottleEnded, StateChange::RetryBudgetEmpty, StateChange::OutageStarted(outage(10))];
        assert_eq!(watch.changes(&now), expected);
        now.outage = Some(outage(11));
        assert_eq!(watch.changes(&now), []);
        (now.retry_budget_is_empty, now.outage) = (false, None);
        assert_eq!(watch.changes(&now), [StateChange::OutageEnded { lasted: Duration::from_secs(11) }]);
    }

    #[test]
    fn a_close_fuse_is_reported_once_for_each_job() {
        let counts = OutcomeCounts { ended: 1_000, failed: 41, already_done: 0 };
        let [one, two] = [0, 1].map(|job| CloseFuse { job, counts, failed_share: 0.05 });
        let mut watch = StateWatch::default();
        let mut now = SessionState { close_fuses: vec![two], ..SessionState::default() };
        assert_eq!(watch.changes(&now), [StateChange::FuseClose(two)]);
        now.close_fuses = vec![one, two];
        assert_eq!(watch.changes(&now), [StateChange::FuseClose(one)]);
        assert_eq!(watch.changes(&now), []);
    }

    #[test]
    fn a_graver_reason_to_stop_is_a_change_of_its_own() {
        let mut watch = StateWatch::default();
        let signal = StopReason::Signal(StopSignal::Terminate);
        for reason in [StopReason::Deadline(DeadlineKey::Until), signal] {
            let now = SessionState { stops: vec![reason.clone()], ..SessionState::default() };
            assert_eq!(watch.changes(&now), [StateChange::Stopping(reason)]);
            assert_eq!(watch.changes(&now), []);
        }
    }

    #[test]
    fn an_outage_that_stops_the_session_has_started_even_if_the_breaker_never_opened() {
        let mut watch = StateWatch::default();
        let mut now = SessionState { stops: vec![StopReason::Outage(outage(3))], ..SessionState::default() };
        let expected = [StateChange::OutageStarted(outage(3)), StateChange::Stopping(StopReason::Outage(outage(3)))];
        assert_eq!(watch.changes(&now), expected);
        now.outage = Some(outage(4));
        assert_eq!(watch.changes(&now), []);
    }

    #[test]
    fn a_renewed_usersig_has_the_code_only_if_the_api_refused_the_last_one() {
        let mut watch = StateWatch::default();
        let mut now = SessionState { usersig: 1, refused_usersig: Some((0, 70001)), ..SessionState::default() };
        assert_eq!(watch.changes(&now), [StateChange::UserSigRenewed { code: Some(70001) }]);
        now.usersig = 2;
        assert_eq!(watch.changes(&now), [StateChange::UserSigRenewed { code: None }]);
    }
}
