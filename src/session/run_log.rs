//! The runs of a session in the log: each has a start and an end, and the changes in between.

use std::num::NonZeroU64;

use tracing::{Level, enabled, info};

use super::close::Closed;
use super::events::{log_change, log_end};
use super::session_run::SessionRun;
use crate::domain::exit::Exit;
use crate::domain::response::outcome::Outcome;
use crate::domain::schedule::End;
use crate::domain::state_change::AppChange;
use crate::queue::Run;
use crate::report::state_change::state_change_text;
use crate::stderr::RUN;

/// Logs the runs of a session.
#[derive(Debug, Default)]
pub struct RunLog {
    /// The runs that have started and not ended.
    started: Vec<StartedRun>,
}

#[derive(Debug)]
struct StartedRun {
    run: String,
    job: String,
    /// Its app; none for the sandbox.
    sdkappid: Option<NonZeroU64>,
}

impl RunLog {
    /// A run starts or is resumed: nothing of this session was sent.
    pub(super) fn start(&mut self, session_run: &SessionRun<'_>) {
        let (run, job) = (&session_run.ready.run, &session_run.input.job);
        self.begin(run);
        let resumed = run.started_at.is_some();
        info!(
            target: RUN,
            event = "start",
            run = run.uuid,
            job = run.job,
            operation = run.operation.name,
            target = %run.target,
            resumed,
            input = job.input.paths.join(","),
            rows = session_run.tally.total(),
            pending = session_run.tally[Outcome::Pending],
            calls_per_second = session_run.input.calls_per_second(run).get(),
            app_calls_per_second = job.limits.app_calls_per_second.get(),
            max_attempts = job.retry.max_attempts.get(),
            version = env!("CARGO_PKG_VERSION"),
            "run {}",
            if resumed { "resumed" } else { "started" }
        );
    }

    /// The changes that follow concern this run.
    pub(super) fn begin(&mut self, run: &Run) {
        let sdkappid = run.target.sdkappid();
        self.started.push(StartedRun { run: run.uuid.clone(), job: run.job.clone(), sdkappid });
    }

    /// A change that concerns the runs that have started.
    pub(super) fn change(&self, change: &AppChange) {
        // The text is not made if the log has no such lines.
        if !enabled!(Level::INFO) {
            return;
        }
        let jobs: Vec<&str> = self.started.iter().map(|started| started.job.as_str()).collect();
        let concerned = |job: usize, started: &StartedRun| match change.change.only_job() {
            Some(only) => only == job,
            None => change.app.is_none() || change.app == started.sdkappid,
        };
        let concerned: Vec<&StartedRun> =
            self.started.iter().enumerate().filter(|(job, run)| concerned(*job, run)).map(|(_, run)| run).collect();
        let all = |part: fn(&StartedRun) -> &str| concerned.iter().map(|run| part(run)).collect::<Vec<_>>().join(",");
        let (run, job) = (all(|started| &started.run), all(|started| &started.job));
        log_change(&run, &job, &change.change, &state_change_text(change, &jobs));
    }

    /// A run ends, and so does this session with it.
    pub(super) fn end(&mut self, closed: &Closed) {
        let (figures, session) = (&closed.summary.figures, closed.summary.session);
        self.started.retain(|started| started.run != figures.run);
        let reason = match &closed.end {
            End::Stopped(reason) => Some(reason.name()),
            End::Complete => None,
        };
        log_end(
            (&figures.run, &figures.job),
            closed.exit,
            reason,
            &figures.outcomes,
            (session.took, session.calls.calls),
        );
    }

    /// The command ends with an error. What has started ends with it, and what has not never will.
    pub fn fail(&mut self, exit: Exit, error: &str) {
        let exit_code = exit.code();
        for StartedRun { run, job, .. } in &self.started {
            info!(target: RUN, event = "end", run, job, exit_code, error, "run ended with an error");
        }
        if self.started.is_empty() {
            info!(target: RUN, event = "end", exit_code, error, "nothing was sent");
        }
        self.started.clear();
    }
}
