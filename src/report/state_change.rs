//! The text of a change of a session's state, for the log and the display.

use std::time::Duration;

use jiff::Zoned;

use super::bottleneck::trouble_text;
use super::guards::percent;
use super::progress::phase_text;
use super::stop_message::stop_message;
use super::text::{count, counted, duration, visible};
use crate::domain::schedule::{CloseFuse, JobNo};
use crate::domain::state_change::{AppChange, StateChange};

/// A change as the line that is written above the progress, with its time. `in_flight`: the calls that are waited for
/// once the session stops, and `end_within` how long they may take.
pub fn line_above_progress(
    change: &AppChange,
    jobs: &[&str],
    in_flight: u64,
    end_within: Duration,
    now: &Zoned,
) -> String {
    let time = now.strftime("%H:%M:%S");
    let text = state_change_text(change, jobs);
    match &change.change {
        StateChange::Stopping(_) if in_flight > 0 && others_that_go_on(change, jobs).is_empty() => {
            let calls = counted(in_flight, "call", "calls");
            let latest = now.checked_add(end_within).unwrap_or_else(|_| now.clone()).strftime("%H:%M:%S").to_string();
            format!(
                "{time} {text}\n         waiting for {calls} in flight, until {latest} at the latest\n         \
                 Ctrl-C again ends at once: the next run sends what was in flight again"
            )
        }
        StateChange::PhaseBegun(_)
        | StateChange::PhaseEnded { .. }
        | StateChange::Throttled { .. }
        | StateChange::ThrottleEnded
        | StateChange::RetryBudgetEmpty
        | StateChange::OutageStarted(_)
        | StateChange::OutageEnded { .. }
        | StateChange::CanaryPassed { .. }
        | StateChange::FuseClose(_)
        | StateChange::UserSigRenewed { .. }
        | StateChange::Stopping(_) => format!("{time} {text}"),
    }
}

/// The end of a line about a stop: the jobs that go on, if it is known that some do.
fn others_that_go_on(AppChange { app, change }: &AppChange, jobs: &[&str]) -> &'static str {
    match (change.only_job(), app) {
        (Some(_), _) if jobs.len() > 1 => "; the other jobs go on",
        (None, Some(_)) => "; the jobs of other apps go on",
        (Some(_) | None, _) => "",
    }
}

/// A change in one line. If several jobs run together, it names the job that it concerns, and the app if the jobs are
/// of several apps.
pub fn state_change_text(change: &AppChange, jobs: &[&str]) -> String {
    let app = change.app.map_or_else(String::new, |app| format!("app {app}: "));
    app + &text(change, jobs)
}

fn text(app_change: &AppChange, jobs: &[&str]) -> String {
    match &app_change.change {
        StateChange::PhaseBegun(phase) => format!("{}: begun", phase_text(*phase)),
        StateChange::PhaseEnded { phase, took } => format!("{}: ended after {}", phase_text(*phase), duration(*took)),
        StateChange::Throttled { calls_per_second } => {
            format!("throttled by the API to {}", counted((*calls_per_second).into(), "call/s", "calls/s"))
        }
        StateChange::ThrottleEnded => "no longer throttled by the API".to_owned(),
        StateChange::RetryBudgetEmpty => "the retry budget is used up".to_owned(),
        StateChange::OutageStarted(outage) => {
            format!("outage: {}", trouble_text(&outage.trouble))
        }
        StateChange::OutageEnded { lasted } => format!("the outage is over after {}", duration(*lasted)),
        StateChange::CanaryPassed { job } => format!("{}the canary passed", of(*job, jobs)),
        StateChange::FuseClose(CloseFuse { job, counts, failed_share }) => format!(
            "{}stop.failed_share (the fuse) is close: {} of {} items of this session failed; the run halts at {}",
            of(*job, jobs),
            count(counts.failed),
            count(counts.ended),
            percent(*failed_share)
        ),
        StateChange::UserSigRenewed { code: Some(code) } => {
            format!("the API refused the UserSig (code {code}): made a new one")
        }
        StateChange::UserSigRenewed { code: None } => "the UserSig was old: made a new one".to_owned(),
        StateChange::Stopping(reason) => {
            let others = others_that_go_on(app_change, jobs);
            format!("stopping: {}{others}", visible(&stop_message(reason, jobs).text))
        }
    }
}

/// The name of a job, if several run together.
fn of(job: JobNo, jobs: &[&str]) -> String {
    let name = jobs.get(job).filter(|_| jobs.len() > 1);
    name.map_or_else(String::new, |name| format!("{}: ", visible(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::OutcomeCounts;
    use crate::domain::outage::Outage;
    use crate::domain::progress::Phase;
    use crate::domain::response::verdict::Trouble;
    use crate::domain::schedule::StopReason;

    #[test]
    fn every_change_is_one_line_and_names_its_cause() {
        let text = |change: StateChange| state_change_text(&change.into(), &["purge"]);
        let took = Duration::from_secs(65);
        assert_eq!(text(StateChange::PhaseBegun(Phase::Sending)), "sending: begun");
        assert_eq!(
            text(StateChange::PhaseEnded { phase: Phase::Loading, took }),
            "loading the input: ended after 1 min 5 s"
        );
        let trouble = Trouble::Unreachable("refused\n\u{1b}".to_owned());
        let outage = Outage { lasts: took, probes: 1, trouble };
        assert_eq!(text(StateChange::OutageStarted(outage)), r"outage: cannot connect: refused\n\u{1b}");
        let counts = OutcomeCounts { ended: 1_000, failed: 41, already_done: 0 };
        assert_eq!(
            text(StateChange::FuseClose(CloseFuse { job: 0, counts, failed_share: 0.05 })),
            "stop.failed_share (the fuse) is close: 41 of 1,000 items of this session failed; the run halts at 5 %"
        );
        assert_eq!(text(StateChange::Throttled { calls_per_second: 1_200 }), "throttled by the API to 1,200 calls/s");
        let fuse = StopReason::Fuse { job: 0, failed: 8, ended: 10 };
        assert_eq!(
            text(StateChange::Stopping(fuse)),
            "stopping: stop.failed_share (the fuse): 8 of 10 items of this session failed"
        );
    }

    #[test]
    fn a_stop_of_one_of_several_jobs_names_it_and_waits_for_no_call() {
        let fuse = StateChange::Stopping(StopReason::Fuse { job: 1, failed: 8, ended: 10 });
        let now = Zoned::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
        assert_eq!(
            line_above_progress(&fuse.into(), &["purge", "friends"], 3, Duration::from_secs(9), &now),
            "00:00:00 stopping: friends: stop.failed_share (the fuse): 8 of 10 items of this session failed; the other \
             jobs go on"
        );
    }

    #[test]
    fn a_canary_names_its_job_only_among_several() {
        let passed = StateChange::CanaryPassed { job: 1 }.into();
        assert_eq!(state_change_text(&passed, &["purge", "friends"]), "friends: the canary passed");
        assert_eq!(state_change_text(&passed, &["purge"]), "the canary passed");
    }
}
