//! The events of a session in the log, with their facts.
//!
//! The names of events and facts are part of the interface: docs/reference/logs.md lists them.

use std::time::Duration;

use tracing::{Level, enabled, info};

use crate::domain::exit::Exit;
use crate::domain::guard::{GuardValue, OutcomeCounts};
use crate::domain::progress::Phase;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::schedule::CloseFuse;
use crate::domain::state_change::{AppChange, StateChange};
use crate::queue::Run;
use crate::report::state_change::state_change_text;
use crate::report::verification::VerifyReport;
use crate::stderr::RUN;

/// The input is finished already: nothing is sent.
pub(super) fn log_finished_before(run: &Run, exit: Exit, tally: &Tally) {
    log_end((&run.uuid, &run.job), exit, Some("finished_before"), tally, (Duration::ZERO, 0));
}

/// Nothing of the current input of a job is sent, which is no error.
pub(super) fn log_not_sent(job: &str, exit: Exit, reason: &str) {
    let exit = exit.code();
    info!(target: RUN, event = "end", job, exit_code = exit, reason, calls = 0, "nothing was sent");
}

/// A job is refused, and other jobs go on.
pub(super) fn log_refused(job: &str, exit: Exit, error: &str) {
    info!(target: RUN, event = "end", job, exit_code = exit.code(), error, calls = 0, "nothing was sent");
}

/// The process ends without waiting for calls in flight.
pub(super) fn log_left(exit: Exit, why: &str) {
    info!(target: RUN, event = "end", exit_code = exit.code(), reason = "signal", error = why, "run ended at once");
}

/// What a guard that is checked before sending came to.
pub(super) fn log_guard(run: &Run, value: &GuardValue) {
    let result = if value.allows() { "passed" } else { "refused" };
    info!(event = "guard", run = run.uuid, job = run.job, guard = value.key(), result, "guard checked");
}

/// A phase of the load of a run.
pub(super) fn log_loading(run: &str, job: &str, change: &AppChange) {
    if enabled!(Level::INFO) {
        log_change(run, job, &change.change, &state_change_text(change, &[job]));
    }
}

/// The end of this session of a run.
pub(super) fn log_end(
    (run, job): (&str, &str),
    exit: Exit,
    reason: Option<&str>,
    outcomes: &Tally,
    (took, calls): (Duration, u64),
) {
    info!(
        target: RUN,
        event = "end",
        run,
        job,
        exit_code = exit.code(),
        reason,
        succeeded = outcomes[Outcome::Succeeded],
        already_done = outcomes[Outcome::AlreadyDone],
        failed = outcomes[Outcome::Failed],
        in_doubt = outcomes[Outcome::InDoubt],
        pending = outcomes[Outcome::Pending],
        rejected = outcomes[Outcome::Rejected],
        duplicate = outcomes[Outcome::Duplicate],
        protected = outcomes[Outcome::Protected],
        duration_ms = milliseconds(took),
        calls,
        "run ended"
    );
}

/// The end of this session of a verification.
pub(super) fn log_verified(report: &VerifyReport, exit: Exit) {
    let VerifyReport { run, job, verified, pending, seconds, calls, .. } = report;
    let duration_ms = milliseconds(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
    info!(
        target: RUN,
        event = "verified",
        run,
        job,
        exit_code = exit.code(),
        confirmed = verified.confirmed,
        contradicted = verified.contradicted,
        unknown = verified.unknown,
        pending,
        duration_ms,
        calls,
        "verification ended"
    );
}

/// A change, with its text.
pub(super) fn log_change(run: &str, job: &str, change: &StateChange, text: &str) {
    let event = change.event();
    match change {
        StateChange::PhaseBegun(phase) => {
            info!(event, run, job, phase = Phase::name(*phase), step = "begun", "{text}");
        }
        StateChange::PhaseEnded { phase, took } => {
            let duration_ms = milliseconds(*took);
            info!(event, run, job, phase = Phase::name(*phase), step = "ended", duration_ms, "{text}");
        }
        StateChange::Throttled { calls_per_second } => info!(event, run, job, calls_per_second, "{text}"),
        StateChange::ThrottleEnded
        | StateChange::RetryBudgetEmpty
        | StateChange::OutageStarted(_)
        | StateChange::CanaryPassed { .. } => info!(event, run, job, "{text}"),
        StateChange::OutageEnded { lasted } => {
            info!(event, run, job, duration_ms = milliseconds(*lasted), "{text}");
        }
        StateChange::FuseClose(CloseFuse { counts: OutcomeCounts { ended, failed, .. }, .. }) => {
            info!(event, run, job, failed, ended, "{text}");
        }
        StateChange::UserSigRenewed { code } => info!(event, run, job, code, "{text}"),
        StateChange::Stopping(reason) => {
            info!(event, run, job, reason = reason.name(), code = reason.code(), "{text}");
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
