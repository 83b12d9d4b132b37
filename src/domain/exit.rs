//! The exit codes.

use std::process::ExitCode;

use super::job::RejectPolicy;
use super::response::outcome::Outcome;
use super::response::tally::Tally;
use super::run_choice::{EarlyEnd, EndedBy};
use super::schedule::{End, StopReason};

/// How a command ended, in ascending order of severity: of several jobs, the most severe counts. Scripts depend on the
/// numbers, which are a public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Every row is succeeded, already_done, duplicate or protected.
    Done,
    /// Every row has its outcome, and some are failed, in_doubt or rejected.
    DoneWithFailures,
    /// A person, a signal, a time limit, `--limit` or `limits.calls_per_day` stopped the session with work left, or the
    /// run is paused, or its window is closed.
    Stopped,
    /// A fatal code, a guard, the canary, the fuse or an outage halted the session, or a guard refused it.
    Halted,
    /// Another process owns the queue.
    InUse,
    /// The command line, a job file or the input is unusable.
    Unusable,
    /// Internal or I/O error.
    Internal,
}

impl Exit {
    /// The number that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Unusable => 2,
            Self::DoneWithFailures => 3,
            Self::Halted => 4,
            Self::Stopped => 5,
            Self::InUse => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// The exit code of a session with a run.
pub fn exit_of(tally: &Tally, end: &End, rejects: RejectPolicy) -> Exit {
    match end {
        End::Stopped(reason) => exit_of_stop(reason),
        End::Complete => exit_of_finished(tally, rejects),
    }
}

/// The exit code of a session that was stopped with work left.
pub const fn exit_of_stop(reason: &StopReason) -> Exit {
    exit_of_early_end(reason.ended_by())
}

/// The exit code of a session that ended before its run did.
pub const fn exit_of_early_end(by: EndedBy) -> Exit {
    match by.early_end() {
        EarlyEnd::Stopped => Exit::Stopped,
        EarlyEnd::Halted => Exit::Halted,
        EarlyEnd::Interrupted => Exit::Internal,
    }
}

/// The exit code of a run without pending rows.
pub fn exit_of_finished(tally: &Tally, rejects: RejectPolicy) -> Exit {
    let rejected = match rejects {
        RejectPolicy::Count => tally[Outcome::Rejected],
        RejectPolicy::Allow => 0,
    };
    let failures = tally[Outcome::Failed] + tally[Outcome::InDoubt] + rejected;
    if failures > 0 { Exit::DoneWithFailures } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::Bytes;
    use crate::domain::response::codes::Scope;
    use crate::domain::schedule::{DeadlineKey, StopSignal};

    fn tally(counts: &[(Outcome, u64)]) -> Tally {
        counts.iter().copied().collect()
    }

    #[test]
    fn the_exit_code_says_how_the_rows_ended() {
        let done = [Outcome::Succeeded, Outcome::AlreadyDone, Outcome::Duplicate, Outcome::Protected];
        let done = tally(&done.map(|outcome| (outcome, 1)));
        assert_eq!(exit_of(&done, &End::Complete, RejectPolicy::Count), Exit::Done);
        for bad in [Outcome::Failed, Outcome::InDoubt, Outcome::Rejected] {
            assert_eq!(
                exit_of(&tally(&[(bad, 1)]), &End::Complete, RejectPolicy::Count),
                Exit::DoneWithFailures,
                "{bad}"
            );
        }
        let rejected = tally(&[(Outcome::Rejected, 1)]);
        assert_eq!(exit_of(&rejected, &End::Complete, RejectPolicy::Allow), Exit::Done);
    }

    #[test]
    fn the_end_of_a_run_decides_its_exit_code() {
        for by in EndedBy::ALL {
            let exit = match by {
                EndedBy::Kill | EndedBy::LedgerLost => Exit::Internal,
                EndedBy::Outage | EndedBy::DiskFull | EndedBy::BackupFailed | EndedBy::FatalCode | EndedBy::Guard => {
                    Exit::Halted
                }
                EndedBy::Shutdown
                | EndedBy::Deadline
                | EndedBy::CallsPerDay
                | EndedBy::Retry
                | EndedBy::Limit
                | EndedBy::Person => Exit::Stopped,
            };
            assert_eq!(exit_of_early_end(by), exit, "{by:?}");
        }
    }

    #[test]
    fn a_stop_is_a_halt_or_not() {
        let stopped = |reason| End::Stopped(reason);
        let left = tally(&[(Outcome::Pending, 1), (Outcome::Failed, 1)]);
        for signal in [StopSignal::Hangup, StopSignal::Terminate, StopSignal::Interrupt] {
            assert_eq!(exit_of(&left, &stopped(StopReason::Signal(signal)), RejectPolicy::Count), Exit::Stopped);
        }
        assert_eq!(
            exit_of(&left, &stopped(StopReason::Deadline(DeadlineKey::Until)), RejectPolicy::Count),
            Exit::Stopped
        );
        let fatal = StopReason::Fatal { scope: Scope::App, job: 0, code: Some(70403), reason: String::new() };
        assert_eq!(exit_of(&left, &stopped(fatal), RejectPolicy::Count), Exit::Halted);
        let full = StopReason::DiskFull { queue: "q.db".into(), free: Bytes(0), reserve: Bytes(1 << 20) };
        assert_eq!(exit_of(&left, &stopped(full), RejectPolicy::Count), Exit::Halted);
    }
}
