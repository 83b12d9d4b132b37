//! What a session came to: why it stopped, and its exit code.

use super::exit::Exit;
use crate::domain::job::Rejects;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verdict::Trouble;
use crate::domain::schedule::{End, JobNo, Outage, StopReason};

/// The exit code of a run that was driven.
pub(super) fn exit_of(tally: &Tally, end: &End, rejects: Rejects) -> Exit {
    if tally[Outcome::Pending] > 0
        && let End::Stopped(reason) = end
    {
        return if reason.ended_by().is_halt() { Exit::Halted } else { Exit::Stopped };
    }
    exit_of_finished(tally, rejects)
}

/// The exit code of a run whose every row has its outcome.
pub(super) fn exit_of_finished(tally: &Tally, rejects: Rejects) -> Exit {
    let rejected = match rejects {
        Rejects::Count => tally[Outcome::Rejected],
        Rejects::Allow => 0,
    };
    let failures = tally[Outcome::Failed] + tally[Outcome::InDoubt] + rejected;
    if failures > 0 { Exit::DoneWithFailures } else { Exit::Done }
}

/// Why the runs stopped, in words; a reason that one job gave names it.
pub(super) fn explain(reason: &StopReason, jobs: &[&str]) -> String {
    let of = |job: JobNo| if jobs.len() > 1 { format!("{}: ", jobs[job]) } else { String::new() };
    match reason {
        StopReason::Limit => "as many items as `--limit` allows have their outcomes".to_owned(),
        StopReason::Deadline => "the time of `stop.until` has come".to_owned(),
        StopReason::Signal(signal) => format!("by the signal {}", signal.name()),
        StopReason::Outage(outage) => explain_outage(outage),
        StopReason::DiskFull { queue, free, reserve } => format!(
            "the disk of {} is almost full: {free} are free, and {reserve} must be for what is sent to be recorded; \
             make room, then run again",
            queue.display()
        ),
        StopReason::AlreadyDone { job, already_done, ended } => format!(
            "{}guard.max_already_done: {already_done} of {ended} items of this session were already done; hint: check \
             the app and the column, then run again",
            of(*job)
        ),
        StopReason::Canary { job, failed, already_done, ended } => format!(
            "{}guard.canary: of the first {ended} items {failed} failed and {already_done} were already done; this \
             session sent nothing else; hint: look at them with `imbulk results`, then run again",
            of(*job)
        ),
        StopReason::Fuse { job, failed, ended } => {
            format!("{}the fuse: {failed} of {ended} items of this session failed", of(*job))
        }
        StopReason::Fatal { job, code: Some(code), reason } => {
            format!("{}code {code}: {reason} (`imbulk explain {code}` says what to do)", of(*job))
        }
        StopReason::Fatal { job, code: None, reason } => format!("{}{reason}", of(*job)),
        StopReason::QueueLost => "the queue was moved, removed or replaced".to_owned(),
        StopReason::LedgerLost => "the file in which processes share the call limit can't be used any more".to_owned(),
    }
}

fn explain_outage(Outage { lasts, probes, trouble }: &Outage) -> String {
    let (what, reason, hint) = match trouble {
        Trouble::Unreachable(reason) => (
            "the endpoint could not be reached",
            reason,
            "check the network, `endpoint` or `region`, and the proxy if one is named, then run again",
        ),
        Trouble::Failing(reason) => ("every call failed", reason, "run again once the server works"),
    };
    let (seconds, probes) =
        (lasts.as_secs(), if *probes == 1 { "1 probe".to_owned() } else { format!("{probes} probes") });
    format!(
        "{what} for {seconds} s, {probes} among them; the last: {reason}; hint: {hint}; or wait longer with \
         `stop.outage`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::Bytes;
    use crate::domain::schedule::StopSignal;

    fn tally(counts: &[(Outcome, u64)]) -> Tally {
        counts.iter().copied().collect()
    }

    #[test]
    fn the_exit_code_says_how_the_rows_ended() {
        let done = [Outcome::Succeeded, Outcome::AlreadyDone, Outcome::Duplicate, Outcome::Protected];
        let done = tally(&done.map(|outcome| (outcome, 1)));
        assert_eq!(exit_of(&done, &End::Complete, Rejects::Count), Exit::Done);
        for bad in [Outcome::Failed, Outcome::InDoubt, Outcome::Rejected] {
            assert_eq!(exit_of(&tally(&[(bad, 1)]), &End::Complete, Rejects::Count), Exit::DoneWithFailures, "{bad}");
        }
        let rejected = tally(&[(Outcome::Rejected, 1)]);
        assert_eq!(exit_of(&rejected, &End::Complete, Rejects::Allow), Exit::Done);
    }

    #[test]
    fn a_stop_counts_only_while_work_is_left() {
        let stopped = |reason| End::Stopped(reason);
        let left = tally(&[(Outcome::Pending, 1), (Outcome::Failed, 1)]);
        for signal in [StopSignal::Hangup, StopSignal::Terminate, StopSignal::Interrupt] {
            assert_eq!(exit_of(&left, &stopped(StopReason::Signal(signal)), Rejects::Count), Exit::Stopped);
        }
        assert_eq!(exit_of(&left, &stopped(StopReason::Deadline), Rejects::Count), Exit::Stopped);
        let fatal = StopReason::Fatal { job: 0, code: Some(70403), reason: String::new() };
        assert_eq!(exit_of(&left, &stopped(fatal.clone()), Rejects::Count), Exit::Halted);
        let full = StopReason::DiskFull { queue: "q.db".into(), free: Bytes(0), reserve: Bytes(1 << 20) };
        assert_eq!(
            explain(&full, &[]),
            "the disk of q.db is almost full: 0 bytes are free, and 1.0 MiB must be for what is sent to be recorded; make room, then run again"
        );
        assert_eq!(exit_of(&left, &stopped(full), Rejects::Count), Exit::Halted);
        assert_eq!(exit_of(&tally(&[(Outcome::Succeeded, 1)]), &stopped(fatal), Rejects::Count), Exit::Done);
    }
}
