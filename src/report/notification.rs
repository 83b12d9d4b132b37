//! What a notification says of a job: the JSON that `notify.command` receives, and the text of a ping.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::Rejects;
use super::job_result::JobResult;
use super::json::FormatVersion;
use super::summary::Summary;
use crate::domain::exit::Exit;
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
    pub target: String,
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
    /// The notification of a job whose command ended at `now` (milliseconds since 1970) with this exit code.
    pub fn new(job: &JobResult, exit: Exit, error: Option<String>, now: i64) -> Self {
        let exit = job.exit.unwrap_or(exit);
        Self {
            schema: FormatVersion,
            job: job.job.clone(),
            operation: job.operation,
            target: job.target.clone(),
            exit_code: exit.code(),
            success: job.is_success(exit),
            error: job.error.clone().or(error),
            ended_at: rfc3339(now),
            summaries: job.summaries.clone(),
        }
    }
}

/// The text of a ping. Rejected rows are left out, since they may name accounts, and the text leaves the machine.
pub fn ping_text(notification: &Notification) -> String {
    let Notification { job, exit_code, error, summaries, .. } = notification;
    let mut text = format!("imbulk: job {job} ended with exit code {exit_code}\n");
    if let Some(error) = error {
        text.push_str(&format!("error: {error}\n"));
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
    use crate::report::summary::SessionFigures;
    use crate::report::testing;

    #[test]
    fn a_ping_has_the_summary_and_no_rejected_row() {
        let session = SessionFigures { took: Duration::from_secs(2), calls: CallCounts::default(), rows: 1 };
        let mut job = testing::job_result("purge");
        job.add_run(Summary { figures: testing::figures(), session }, Exit::Halted);
        let error = Some("the ledger is lost".to_owned());
        let text = ping_text(&Notification::new(&job, Exit::Internal, error, 0));
        for part in ["job purge ended with exit code 4\n", "error: the ledger is lost", "999,000", "fuse: 812 of"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("in.csv:3"), "{text}");
    }
}
