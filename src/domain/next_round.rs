//! What follows for each job of a session after a round: an older run is finished first, and the current input follows.

use super::schedule::{End, StopReason, StopScope};
use super::target::RunTarget;

/// A run that was sent in a round.
#[derive(Debug, Clone, Copy)]
pub struct SentRun<'a> {
    /// Its target.
    pub target: RunTarget,
    /// Whether the current input of its job comes after it.
    pub is_older: bool,
    /// Why its job was stopped, if it was.
    pub stop: Option<&'a StopReason>,
    /// How its session ended.
    pub end: &'a End,
}

/// What follows for the job of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing: the run has the current input, or it has rows left.
    Nothing,
    /// The current input is inspected, and sent if it is new.
    CurrentInput,
    /// The current input is not looked at, for this reason.
    Withheld(StopReason),
}

/// What follows for the job of each run that was sent together.
pub fn next_steps(sent: &[SentRun<'_>]) -> Vec<NextStep> {
    let step = |run: &SentRun<'_>| match (run.is_older, run.end) {
        (false, _) | (true, End::Stopped(_)) => NextStep::Nothing,
        (true, End::Complete) => stop_of(run, sent).cloned().map_or(NextStep::CurrentInput, NextStep::Withheld),
    };
    sent.iter().map(step).collect()
}

/// Why nothing more is sent for the job of a run: because of its own stop, or of another one that concerns it.
fn stop_of<'a>(run: &SentRun<'a>, sent: &[SentRun<'a>]) -> Option<&'a StopReason> {
    let concerns = |other: &SentRun<'a>| {
        other.stop.filter(|reason| match reason.scope() {
            StopScope::Job(_) => false,
            StopScope::App => other.target == run.target,
            StopScope::Session => true,
        })
    };
    run.stop.or_else(|| sent.iter().find_map(concerns))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::outage::Outage;
    use crate::domain::response::verdict::Trouble;
    use crate::domain::schedule::StopSignal;

    const COMPLETE: End = End::Complete;

    fn term() -> StopReason {
        StopReason::Signal(StopSignal::Terminate)
    }

    fn outage() -> StopReason {
        let trouble = Trouble::Unreachable("refused".into());
        StopReason::Outage(Outage { lasts: std::time::Duration::from_mins(1), probes: 3, trouble })
    }

    fn fuse() -> StopReason {
        StopReason::Fuse { job: 0, failed: 6, ended: 10 }
    }

    fn older<'a>(target: &str, stop: Option<&'a StopReason>) -> SentRun<'a> {
        SentRun { target: target.parse().unwrap(), is_older: true, stop, end: &COMPLETE }
    }

    #[test]
    fn the_current_input_follows_a_finished_older_run_alone() {
        let current = SentRun { is_older: false, ..older("1", None) };
        let left = End::Stopped(StopReason::ItemLimit);
        let stopped = SentRun { end: &left, ..older("1", None) };
        let steps = next_steps(&[older("1", None), current, stopped]);
        assert_eq!(steps, [NextStep::CurrentInput, NextStep::Nothing, NextStep::Nothing]);
    }

    /// The last rows of the older run got their outcomes after the stop.
    #[rstest]
    #[case::of_the_session(term(), true, true)]
    #[case::of_the_app(outage(), true, false)]
    #[case::of_the_job(fuse(), false, false)]
    fn a_stop_withholds_the_current_input_of_the_jobs_that_it_concerns(
        #[case] stop: StopReason,
        #[case] same_app: bool,
        #[case] other_app: bool,
    ) {
        let steps = next_steps(&[older("1", Some(&stop)), older("1", None), older("2", None)]);
        let step = |withheld: bool| if withheld { NextStep::Withheld(stop.clone()) } else { NextStep::CurrentInput };
        assert_eq!(steps, [step(true), step(same_app), step(other_app)]);
    }
}
