//! What a command did with its jobs, for programs that watch it from outside.

use std::time::Duration;

use super::summary::Summary;
use crate::domain::call_counts::CallCounts;
use crate::domain::exit::Exit;
use crate::domain::job::{Job, Notify, Reporting};
use crate::domain::response::tally::Tally;
use crate::domain::target::RunTarget;

/// What a command did with a job. It also exists if the command was refused before it sent anything.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// The name of the job.
    pub job: String,
    /// The name of its operation.
    pub operation: &'static str,
    /// The name of its target in the queue.
    pub target: RunTarget,
    /// What the job wants written for other programs.
    pub reporting: Reporting,
    /// Who is notified of it.
    pub notify: Notify,
    /// The ids of the runs that were begun, in this order. Each of them is sent.
    pub begun: Vec<String>,
    /// The runs that were sent to their end, in this order.
    pub summaries: Vec<Summary>,
    /// The rows of a run of this input that was finished before.
    pub finished_before: Option<Tally>,
    /// The error that refused the job, or ended the command before the job was over.
    pub error: Option<JobError>,
    /// The highest exit code of the job so far.
    pub exit: Exit,
    /// Whether the command has nothing left to do for the job: a later error is not the job's.
    pub is_over: bool,
}

/// Why a command did not do what a job asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// The whole error.
    pub text: String,
    /// The error without anything that a file contains: no account is in it.
    pub without_content: String,
}

impl JobResult {
    /// The result of a job that nothing is known of yet.
    pub fn new(job: &Job, target: RunTarget) -> Self {
        Self {
            job: job.name.clone(),
            operation: job.operation.name,
            target,
            reporting: job.report.clone(),
            notify: job.notify.clone(),
            begun: Vec::new(),
            summaries: Vec::new(),
            finished_before: None,
            error: None,
            exit: Exit::Done,
            is_over: false,
        }
    }

    /// A run of the job was sent.
    pub fn add_run(&mut self, summary: Summary, exit: Exit) {
        self.summaries.push(summary);
        self.add_exit(exit);
    }

    /// Takes an exit code of the job into account.
    pub fn add_exit(&mut self, exit: Exit) {
        self.exit = self.exit.max(exit);
    }

    /// The command does not do what the job asks.
    pub fn fail(&mut self, exit: Exit, error: JobError) {
        self.add_exit(exit);
        self.error = Some(error);
        self.is_over = true;
    }

    /// Rows by outcome of the run that was sent last, or of the one that was finished before.
    pub fn rows(&self) -> Option<&Tally> {
        self.summaries.last().map(|last| &last.figures.outcomes).or(self.finished_before.as_ref())
    }

    /// The calls of all its runs.
    pub fn calls(&self) -> CallCounts {
        self.summaries.iter().fold(CallCounts::default(), |sum, run| sum.and(run.session.calls))
    }

    /// The time in which its runs were sent.
    pub fn took(&self) -> Duration {
        self.summaries.iter().map(|run| run.session.took).sum()
    }

    /// Whether no person has to act: the job is done, or it was stopped early and will be continued. A session that
    /// gave no row an outcome is no success: a job that is paused or never in its window would otherwise seem well
    /// every night.
    pub fn is_success(&self) -> bool {
        match self.exit {
            Exit::Done => true,
            Exit::Stopped => self.summaries.iter().any(|run| run.session.rows > 0),
            Exit::DoneWithFailures | Exit::Halted | Exit::InUse | Exit::Unusable | Exit::Internal => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::SessionFigures;
    use crate::report::testing;

    fn result(exit: Exit, rows: &[u64]) -> JobResult {
        let summary = |rows: &u64| Summary {
            figures: testing::figures(),
            session: SessionFigures { took: Duration::from_secs(2), calls: CallCounts::default(), rows: *rows },
        };
        JobResult { exit, summaries: rows.iter().map(summary).collect(), ..testing::job_result("purge") }
    }

    #[test]
    fn a_stopped_session_is_a_success_only_if_it_got_further() {
        assert!(result(Exit::Done, &[]).is_success(), "nothing was left to send");
        assert!(result(Exit::Stopped, &[0, 1]).is_success());
        assert!(!result(Exit::Stopped, &[]).is_success(), "the window is closed, or the run is paused");
        assert!(!result(Exit::Stopped, &[0]).is_success());
        for failed in [Exit::DoneWithFailures, Exit::Halted, Exit::InUse, Exit::Unusable, Exit::Internal] {
            assert!(!result(failed, &[5]).is_success(), "{failed:?}");
        }
    }

    #[test]
    fn the_highest_exit_code_of_a_job_counts() {
        let mut job = result(Exit::Done, &[]);
        [Exit::Done, Exit::Halted, Exit::DoneWithFailures].into_iter().for_each(|exit| job.add_exit(exit));
        assert_eq!(job.exit, Exit::Halted);
    }
}
