//! The text of why a session stopped.

use super::text::{count, minute};
use crate::domain::hint::Message;
use crate::domain::outage::Outage;
use crate::domain::rate_limit::calls_per_day::DayUsedUp;
use crate::domain::response::verdict::Trouble;
use crate::domain::schedule::{DeadlineKey, JobNo, StopReason};

/// What to do after a guard has halted a run. Repeating the command is not harmless: it sends more of the same input.
const IF_RIGHT: &str = "if the input is wrong, correct it and use --again; if it is right, run the job again without \
                        --again: it sends the next items";

/// Why the session stopped. A reason that concerns one of several jobs names it.
pub fn stop_message(reason: &StopReason, jobs: &[&str]) -> Message {
    let of = |job: JobNo| if jobs.len() > 1 { format!("{}: ", jobs[job]) } else { String::new() };
    Message::new(match reason {
        StopReason::ItemLimit => "--limit: the items that it allows have their outcome".to_owned(),
        StopReason::Deadline(DeadlineKey::Until) => "the time of `stop.until` has come".to_owned(),
        StopReason::Deadline(DeadlineKey::Window) => "the window of `stop.window` has closed".to_owned(),
        StopReason::Deadline(DeadlineKey::MaxRuntime) => "the time of `stop.max_runtime` is over".to_owned(),
        StopReason::CallsPerDay(DayUsedUp { calls, next_day }) => {
            let (calls, next_day) = (count(calls.get()), minute(next_day));
            let text = format!(
                "limits.calls_per_day: the {calls} calls of this day are used up; the next day begins {next_day}"
            );
            return Message::new(text).add_hint("run the same command again then");
        }
        StopReason::Signal(signal) => format!("by the signal {}", signal.name()),
        StopReason::Drain { who } => format!("drained, as {who} asked"),
        StopReason::Outage(outage) => return explain_outage(outage),
        StopReason::DiskFull { queue, free, reserve } => {
            let text = format!(
                "the disk of {} is almost full: {free} are free, and {reserve} are needed to record the outcomes of \
                 the calls in flight",
                queue.display()
            );
            return Message::new(text).add_hint("free disk space, then run again");
        }
        StopReason::AlreadyDone { job, already_done, ended } => {
            let text = format!(
                "{}guard.max_already_done: {already_done} of {ended} items of this session were already done",
                of(*job)
            );
            return Message::new(text).add_hint(format!("check the app and the id column; {IF_RIGHT}"));
        }
        StopReason::Canary { job, failed, already_done, ended } => {
            let text = format!(
                "{}guard.canary: of the first {ended} items {failed} failed and {already_done} were already done; this \
                 session sent nothing else",
                of(*job)
            );
            return Message::new(text).add_hint(format!("look at them with `imbulk results`; {IF_RIGHT}"));
        }
        StopReason::Fuse { job, failed, ended } => {
            let text =
                format!("{}stop.failed_share (the fuse): {failed} of {ended} items of this session failed", of(*job));
            return Message::new(text).add_hint(format!("`imbulk results` says why; {IF_RIGHT}"));
        }
        StopReason::Fatal { job, code: Some(code), reason, .. } => {
            let text = format!("{}code {code}: {reason}", of(*job));
            return Message::new(text).add_hint(format!("`imbulk explain {code}` says what to do"));
        }
        StopReason::Fatal { job, code: None, reason, .. } => format!("{}{reason}", of(*job)),
        StopReason::BackupFailed(why) => {
            let hint = "free disk space, or name a folder in `backup.path` that can be written, then run again";
            return Message::new(why.clone()).add_hint(hint);
        }
        StopReason::QueueLost => "the queue was moved, removed or replaced".to_owned(),
        StopReason::LedgerLost(why) => return why.clone(),
    })
}

/// Why nothing of the current input of a job is sent in this session.
pub fn not_sent_message(job: &str, reason: &StopReason) -> Message {
    if *reason == StopReason::ItemLimit {
        return Message::new(format!("{job}: nothing is sent: --limit allows no more items"))
            .add_hint("run it again with a higher --limit, or without it");
    }
    let text = format!("{job}: the current input is not sent: {}", stop_message(reason, &[]).text);
    Message::new(text).add_hint("its older run is finished; the next `imbulk run` of the job loads and sends it")
}

fn explain_outage(Outage { lasts, probes, trouble }: &Outage) -> Message {
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
    Message::new(format!("{what} for {seconds} s, {probes} included; the last error: {reason}"))
        .add_hint(format!("{hint}, or set a longer `stop.outage`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::Bytes;

    #[test]
    fn a_full_disk_is_named_with_what_is_free_and_what_is_needed() {
        let full = StopReason::DiskFull { queue: "q.db".into(), free: Bytes(0), reserve: Bytes(1 << 20) };
        assert_eq!(
            stop_message(&full, &[]).text,
            "the disk of q.db is almost full: 0 bytes are free, and 1.0 MiB are needed to record the \
             outcomes of the calls in flight"
        );
    }
}
