//! The text of a change of a session's state, for the log and the display.

use super::bottleneck::trouble_text;
use super::stop_message::stop_message;
use super::text::{count, duration, visible};
use crate::domain::progress::Phase;
use crate::domain::state_change::StateChange;

/// A change in one line. If several jobs run together, it names the job that it concerns.
pub fn state_change_text(change: &StateChange, jobs: &[&str]) -> String {
    match change {
        StateChange::PhaseBegun(phase) => format!("{}: begun", phase_text(*phase)),
        StateChange::PhaseEnded { phase, took } => format!("{}: ended after {}", phase_text(*phase), duration(*took)),
        StateChange::Throttled { calls_per_second } => {
            format!("throttled by the API to {} calls/s", count((*calls_per_second).into()))
        }
        StateChange::ThrottleEnded => "no longer throttled by the API".to_owned(),
        StateChange::RetryBudgetEmpty => "the retry budget is used up".to_owned(),
        StateChange::OutageStarted(outage) => {
            format!("outage: {}", trouble_text(&outage.trouble))
        }
        StateChange::OutageEnded { lasted } => format!("the outage is over after {}", duration(*lasted)),
        StateChange::CanaryPassed { job } if jobs.len() > 1 => {
            format!("{}: the canary passed", visible(jobs.get(*job).unwrap_or(&"")))
        }
        StateChange::CanaryPassed { .. } => "the canary passed".to_owned(),
        StateChange::UserSigRenewed { code: Some(code) } => {
            format!("the API refused the UserSig (code {code}): made a new one")
        }
        StateChange::UserSigRenewed { code: None } => "the UserSig was old: made a new one".to_owned(),
        StateChange::Stopping(reason) => format!("stopping: {}", visible(&stop_message(reason, jobs).text)),
    }
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading the input",
        Phase::Sending => "sending",
        Phase::FinalCheck => "checking the sums",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::response::verdict::Trouble;
    use crate::domain::schedule::{Outage, StopReason};

    #[test]
    fn every_change_is_one_line_and_names_its_cause() {
        let text = |change| state_change_text(&change, &["purge"]);
        let took = Duration::from_secs(65);
        assert_eq!(text(StateChange::PhaseBegun(Phase::Sending)), "sending: begun");
        assert_eq!(
            text(StateChange::PhaseEnded { phase: Phase::Loading, took }),
            "loading the input: ended after 1 min 5 s"
        );
        let trouble = Trouble::Unreachable("refused\n\u{1b}".to_owned());
        let outage = Outage { lasts: took, probes: 1, trouble };
        assert_eq!(text(StateChange::OutageStarted(outage)), r"outage: cannot connect: refused\n\u{1b}");
        assert_eq!(text(StateChange::Throttled { calls_per_second: 1_200 }), "throttled by the API to 1,200 calls/s");
        let fuse = StopReason::Fuse { job: 0, failed: 8, ended: 10 };
        assert_eq!(
            text(StateChange::Stopping(fuse)),
            "stopping: stop.failed_share (the fuse): 8 of 10 items of this session failed"
        );
    }

    #[test]
    fn a_canary_names_its_job_only_among_several() {
        let passed = StateChange::CanaryPassed { job: 1 };
        assert_eq!(state_change_text(&passed, &["purge", "friends"]), "friends: the canary passed");
        assert_eq!(state_change_text(&passed, &["purge"]), "the canary passed");
    }
}
