//! The changes of a session's state that people and the log are informed of.
//!
//! There is one source: [`StateWatch`] compares each progress snapshot with the one before. The runner passes the
//! snapshots to its caller, which passes the changes on to the log and to the display.

use std::num::NonZeroU64;
use std::time::Duration;

use super::outage::Outage;
use super::progress::Phase;
use super::schedule::{CloseFuse, JobNo, StopReason, StopScope};
use super::session_state::{AppCondition, AppStop, SessionState};

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
    /// Jobs stop: one of them, those of an app, or all. A graver reason may follow.
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

    /// The job that it concerns; `None` if it concerns the whole session, or the jobs of an app.
    pub const fn only_job(&self) -> Option<JobNo> {
        match self {
            Self::CanaryPassed { job } | Self::FuseClose(CloseFuse { job, .. }) => Some(*job),
            Self::Stopping(reason) => match reason.scope() {
                StopScope::Job(job) => Some(job),
                StopScope::App | StopScope::Session => None,
            },
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

/// A change, with the app that it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct AppChange {
    /// The app, if the session has several and the change concerns one.
    pub app: Option<NonZeroU64>,
    /// The change.
    pub change: StateChange,
}

impl From<StateChange> for AppChange {
    fn from(change: StateChange) -> Self {
        Self { app: None, change }
    }
}

/// Finds the changes between successive snapshots of one phase.
#[derive(Debug, Default)]
pub struct StateWatch {
    last: SessionState,
}

impl StateWatch {
    /// What has changed since the last call, causes before their effects.
    pub fn changes(&mut self, now: &SessionState) -> Vec<AppChange> {
        let changes = changes(&self.last, now);
        self.last.clone_from(now);
        changes
    }
}

/// What has changed from one moment to the next.
fn changes(before: &SessionState, now: &SessionState) -> Vec<AppChange> {
    let mut changes = Vec::new();
    let unknown = AppCondition::default();
    for (at, app_now) in now.apps.iter().enumerate() {
        let app_before = before.apps.get(at).unwrap_or(&unknown);
        let of_app = app_changes((before, app_before), (now, app_now)).into_iter();
        changes.extend(of_app.map(|change| AppChange { app: app_now.app, change }));
    }
    let passed = before.open_canaries.iter().filter(|job| !now.open_canaries.contains(job));
    changes.extend(passed.map(|job| StateChange::CanaryPassed { job: *job }.into()));
    let close = now.close_fuses.iter().filter(|fuse| !before.close_fuses.contains(fuse));
    changes.extend(close.copied().map(|fuse| StateChange::FuseClose(fuse).into()));
    let stops = now.stops.iter().filter(|stop| !before.stops.contains(stop)).cloned();
    changes.extend(stops.map(|AppStop { app, reason }| AppChange { app, change: StateChange::Stopping(reason) }));
    changes
}

/// What has changed in the state of an app.
fn app_changes(
    (session_before, before): (&SessionState, &AppCondition),
    (session_now, now): (&SessionState, &AppCondition),
) -> Vec<StateChange> {
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
    match (session_before.outage_or_stop(before), session_now.outage_or_stop(now)) {
        (None, Some(outage)) => changes.push(StateChange::OutageStarted(outage.clone())),
        (Some(outage), None) => changes.push(StateChange::OutageEnded { lasted: outage.lasts }),
        (None, None) | (Some(_), Some(_)) => {}
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::OutcomeCounts;
    use crate::domain::response::verdict::Trouble;
    use crate::domain::schedule::{DeadlineKey, StopSignal};

    /// A session with one app.
    fn with(condition: AppCondition) -> SessionState {
        SessionState { apps: vec![condition], ..SessionState::default() }
    }

    fn stopped_by(reason: StopReason) -> SessionState {
        SessionState { stops: vec![AppStop { app: None, reason }], ..with(AppCondition::default()) }
    }

    /// The changes of a session with one app.
    fn changes_of(watch: &mut StateWatch, now: &SessionState) -> Vec<StateChange> {
        let changes = watch.changes(now).into_iter();
        changes.map(|AppChange { app, change }| app.map_or(change, |app| panic!("app {app} is the only one"))).collect()
    }

    fn outage(seconds: u64) -> Outage {
        let trouble = Trouble::Failing("code 60008: x".to_owned());
        Outage { lasts: Duration::from_secs(seconds), probes: 2, trouble }
    }

    #[test]
    fn each_change_is_found_once_and_an_unchanged_state_has_none() {
        let mut watch = StateWatch::default();
        let mut now = SessionState { open_canaries: vec![0, 1], ..with(AppCondition::default()) };
        assert_eq!(changes_of(&mut watch, &now), []);
        now.apps[0].throttled = Some(40);
        assert_eq!(changes_of(&mut watch, &now), [StateChange::Throttled { calls_per_second: 40 }]);
        now.apps[0].throttled = Some(20);
        assert_eq!(changes_of(&mut watch, &now), [], "it is throttled already");
        now.open_canaries = vec![1];
        assert_eq!(changes_of(&mut watch, &now), [StateChange::CanaryPassed { job: 0 }]);
        now.apps[0] = AppCondition { retry_budget_is_empty: true, outage: Some(outage(10)), ..AppCondition::default() };
        let expected =
            [StateChange::ThrottleEnded, StateChange::RetryBudgetEmpty, StateChange::OutageStarted(outage(10))];
        assert_eq!(changes_of(&mut watch, &now), expected);
        now.apps[0].outage = Some(outage(11));
        assert_eq!(changes_of(&mut watch, &now), []);
        now.apps[0] = AppCondition::default();
        assert_eq!(changes_of(&mut watch, &now), [StateChange::OutageEnded { lasted: Duration::from_secs(11) }]);
    }

    #[test]
    fn a_close_fuse_is_reported_once_for_each_job() {
        let counts = OutcomeCounts { ended: 1_000, failed: 41, already_done: 0 };
        let [one, two] = [0, 1].map(|job| CloseFuse { job, counts, failed_share: 0.05 });
        let mut watch = StateWatch::default();
        let mut now = SessionState { close_fuses: vec![two], ..SessionState::default() };
        assert_eq!(changes_of(&mut watch, &now), [StateChange::FuseClose(two)]);
        now.close_fuses = vec![one, two];
        assert_eq!(changes_of(&mut watch, &now), [StateChange::FuseClose(one)]);
        assert_eq!(changes_of(&mut watch, &now), []);
    }

    #[test]
    fn a_graver_reason_to_stop_is_a_change_of_its_own() {
        let mut watch = StateWatch::default();
        let signal = StopReason::Signal(StopSignal::Terminate);
        for reason in [StopReason::Deadline(DeadlineKey::Until), signal] {
            let now = stopped_by(reason.clone());
            assert_eq!(changes_of(&mut watch, &now), [StateChange::Stopping(reason)]);
            assert_eq!(changes_of(&mut watch, &now), []);
        }
    }

    #[test]
    fn an_outage_that_stops_the_session_has_started_even_if_the_breaker_never_opened() {
        let mut watch = StateWatch::default();
        let mut now = stopped_by(StopReason::Outage(outage(3)));
        let expected = [StateChange::OutageStarted(outage(3)), StateChange::Stopping(StopReason::Outage(outage(3)))];
        assert_eq!(changes_of(&mut watch, &now), expected);
        now.apps[0].outage = Some(outage(4));
        assert_eq!(changes_of(&mut watch, &now), []);
    }

    #[test]
    fn a_renewed_usersig_has_the_code_only_if_the_api_refused_the_last_one() {
        let mut watch = StateWatch::default();
        let mut now = with(AppCondition { usersig: 1, refused_usersig: Some((0, 70001)), ..AppCondition::default() });
        assert_eq!(changes_of(&mut watch, &now), [StateChange::UserSigRenewed { code: Some(70001) }]);
        now.apps[0].usersig = 2;
        assert_eq!(changes_of(&mut watch, &now), [StateChange::UserSigRenewed { code: None }]);
    }

    #[test]
    fn a_change_of_one_of_several_apps_names_it_and_the_other_app_has_none() {
        let [one, other] = [7, 8].map(NonZeroU64::new);
        let condition = |app| AppCondition { app, ..AppCondition::default() };
        let mut now = SessionState { apps: vec![condition(one), condition(other)], ..SessionState::default() };
        let mut watch = StateWatch::default();
        assert_eq!(watch.changes(&now), []);
        now.apps[1].throttled = Some(40);
        let throttled = StateChange::Throttled { calls_per_second: 40 };
        assert_eq!(watch.changes(&now), [AppChange { app: other, change: throttled }]);
        now.stops = vec![AppStop { app: one, reason: StopReason::Outage(outage(3)) }];
        let changes = [StateChange::OutageStarted(outage(3)), StateChange::Stopping(StopReason::Outage(outage(3)))];
        assert_eq!(watch.changes(&now), changes.map(|change| AppChange { app: one, change }));
    }
}
