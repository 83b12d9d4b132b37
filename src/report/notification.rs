//! What a notification says of a job: the JSON that `notify.command` receives, and the text of a ping.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::Rejects;
use super::job_result::JobResult;
use super::json::FormatVersion;
use super::summary::Summary;
use crate::domain::target::RunTarget;
use crate::domain::timestamp::rfc3339;

/// What a notification says of a job.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Notification {
    /// The version of the format.
    pub schema: FormatVersion,
    /// The name of the job.
    pub job: String,
    /// The name of its operation.
    pub operation: &'static str,
    /// The name of its target.
    pub target: RunTarget,
    /// The exit code of the command for this job.
    pub exit_code: u8,
    /// Whether the command was a success, as the metrics define it.
    pub success: bool,
    /// The error that refused the job or ended the command.
    pub error: Option<String>,
    /// When the command ended (RFC 3339).
    pub ended_at: String,
    /// The summaries of the runs that were sent.
    pub summaries: Vec<Summary>,
}

impl Notification {
    /// The notification of a job whose command ended at `now` (milliseconds since 1970).
    pub fn new(job: &JobResult, now: i64) -> Self {
        Self {
            schema: FormatVersion,
            job: job.job.clone(),
            operation: job.operation,
            target: job.target,
            exit_code: job.exit.code(),
            success: job.is_success(),
            error: job.error.as_ref().map(|error| error.text.clone()),
            ended_at: rfc3339(now),
            summaries: job.summaries.clone(),
        }
    }
}

/// The text of a ping. It leaves the machine, so rejected rows and what files contain are left out: they may name
/// accounts.
pub fn ping_text(result: &JobResult) -> String {
    let JobResult { job, exit, error, summaries, .. } = result;
    let mut text = format!("imbulk: job {job} ended with exit code {}\n", exit.code());
    if let Some(error) = error {
        text.push_str(&format!("error: {}\n", error.without_content));
    }
    for summary in summaries {
        let mut summary = summary.clone();
        summary.figures.rejects = Rejects(Vec::new());
        text.push_str(&format!("\n{}", summary.text()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::call_counts::CallCounts;
    use crate::domain::exit::Exit;
    use crate::report::job_result::JobError;
    use crate::report::summary::SessionFigures;
    use crate::report::testing;

    #[test]
    fn a_ping_has_the_summary_and_no_rejected_row() {
        let session = SessionFigures { took: Duration::from_secs(2), calls: CallCounts::default(), rows: 1 };
        let mut job = testing::job_result("purge");
        job.add_run(Summary { figures: testing::figures(), session }, Exit::Halted);
        let without_content = "guard.max_rejected: 1 of 2 rows is rejected".to_owned();
        let error = JobError { text: format!("{without_content}\n  in.csv:3: `u1`"), without_content };
        job.fail(Exit::Halted, error);
        let text = ping_text(&job);
        for part in
            ["job purge ended with exit code 4\n", "error: guard.max_rejected: 1 of 2", "999,000", "fuse: 812 of"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("in.csv:3"), "{text}");
        let error = Notification::new(&job, 0).error;
        assert!(error.is_some_and(|error| error.contains("in.csv:3")), "the command on this machine receives it");
    }
}
