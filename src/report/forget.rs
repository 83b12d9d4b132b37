//! What `imbulk forget` removes and keeps.

use jiff::Zoned;
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::target;
use super::json::{self, DateTime, FormatVersion};
use super::state::StateName;
use super::text::{counted, minute, visible};
use crate::domain::forget::KeptBecause;
use crate::domain::guard::Bytes;
use crate::domain::target::RunTarget;

/// A run that is removed or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForgetCandidate {
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// Its state.
    pub state: StateName,
    /// When it ended.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub ended_at: Zoned,
    /// Rows of its input.
    pub rows: u64,
}

/// The runs that are removed, and those that are old enough and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetReport {
    /// Runs whose rows are removed.
    pub removed: Vec<ForgetCandidate>,
    /// Runs that are kept, and why.
    pub kept: Vec<(ForgetCandidate, KeptBecause)>,
}

/// What `imbulk forget --run NAME --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ForgetOutput {
    /// The version of the format.
    schema: FormatVersion,
    /// Whether the rows were removed; without `--execute` they were not.
    executed: bool,
    /// The runs whose rows are removed.
    removed: Vec<ForgetCandidate>,
    /// The runs that are old enough and kept.
    kept: Vec<KeptRun>,
    /// The size of the queue before anything was removed.
    queue_bytes_before: u64,
    /// The size of the queue now.
    queue_bytes: u64,
}

/// A run that is old enough and kept.
#[derive(Debug, Serialize, JsonSchema)]
struct KeptRun {
    #[serde(flatten)]
    run: ForgetCandidate,
    /// Why it is kept: the rows that `imbulk retry` could send again; null if it is not finished.
    retryable_rows: Option<u64>,
}

impl ForgetOutput {
    /// What would be removed from a queue of this size.
    pub fn planned(report: ForgetReport, size: Bytes) -> Self {
        Self::of(false, report, (size, size))
    }

    /// What was removed, with the size of the queue before and after.
    pub fn executed(report: ForgetReport, before: Bytes, after: Bytes) -> Self {
        Self::of(true, report, (before, after))
    }

    fn of(
        executed: bool,
        report: ForgetReport,
        (Bytes(queue_bytes_before), Bytes(queue_bytes)): (Bytes, Bytes),
    ) -> Self {
        let kept = report.kept.into_iter().map(|(run, because)| KeptRun {
            run,
            retryable_rows: match because {
                KeptBecause::Unfinished => None,
                KeptBecause::Retryable(rows) => Some(rows),
            },
        });
        let (schema, removed) = (FormatVersion, report.removed);
        Self { schema, executed, removed, kept: kept.collect(), queue_bytes_before, queue_bytes }
    }
}

impl ForgetReport {
    /// The lists before anything is removed. They end with a line feed.
    pub fn text(&self) -> String {
        self.lists("to be removed")
    }

    /// The lists after the rows were removed.
    pub fn removed_text(&self) -> String {
        self.lists("removed")
    }

    fn lists(&self, title: &str) -> String {
        let rows: u64 = self.removed.iter().map(|run| run.rows).sum();
        let runs = counted(self.removed.len() as u64, "run", "runs");
        let mut lines = match self.removed.len() {
            0 => vec![format!("{title}: no run")],
            _ => vec![format!("{title}: {runs} with {}", counted(rows, "row", "rows"))],
        };
        lines.extend(self.removed.iter().map(|run| format!("  {}", line(run))));
        if !self.kept.is_empty() {
            lines.push(format!("kept: {}", counted(self.kept.len() as u64, "run", "runs")));
            lines.extend(self.kept.iter().map(|(run, because)| format!("  {}; {}", line(run), why(*because))));
            lines.push("hint: `--run ID` removes a run all the same".to_owned());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The question before the runs are removed, and the text that confirms it.
    pub fn question(&self) -> (String, String) {
        let number = self.removed.len().to_string();
        let question = format!("this cannot be undone; type the number of runs ({number}) to remove their rows:");
        (format!("{}{question}", self.text()), number)
    }
}

/// Two lines: `run 0190… of job purge on app 1400000001`, and `finished 2026-08-01 03:00 +08:00, 1,234 rows`.
fn line(run: &ForgetCandidate) -> String {
    let ForgetCandidate { run, job, target: on, state, ended_at, rows } = run;
    let (state, at, rows) = (state.name(), minute(ended_at), counted(*rows, "row", "rows"));
    format!("run {} of job {} on {}\n    {state} {at}, {rows}", visible(run), visible(job), target(*on))
}

fn why(because: KeptBecause) -> String {
    match because {
        KeptBecause::Unfinished => "it is not finished".to_owned(),
        KeptBecause::Retryable(rows) => {
            format!("it is the latest run, and `imbulk retry` can send {} again", counted(rows, "row", "rows"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(job: &str, state: StateName) -> ForgetCandidate {
        ForgetCandidate {
            run: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
            job: job.to_owned(),
            target: "1400000001".parse().unwrap(),
            state,
            ended_at: "2026-08-01T03:00:00+08:00[Asia/Shanghai]".parse().unwrap(),
            rows: 1_234,
        }
    }

    #[test]
    fn each_run_has_a_line_and_kept_runs_say_why() {
        let report = ForgetReport {
            removed: vec![candidate("purge", StateName::Finished)],
            kept: vec![
                (candidate("nightly", StateName::Stopped), KeptBecause::Unfinished),
                (candidate("weekly\u{1b}", StateName::Finished), KeptBecause::Retryable(1)),
            ],
        };
        insta::assert_snapshot!(report.text(), @r"
        to be removed: 1 run with 1,234 rows
          run 0190e8b0-0000-7000-8000-000000000001 of job purge on app 1400000001
            finished 2026-08-01 03:00 +08:00, 1,234 rows
        kept: 2 runs
          run 0190e8b0-0000-7000-8000-000000000001 of job nightly on app 1400000001
            stopped 2026-08-01 03:00 +08:00, 1,234 rows; it is not finished
          run 0190e8b0-0000-7000-8000-000000000001 of job weekly\u{1b} on app 1400000001
            finished 2026-08-01 03:00 +08:00, 1,234 rows; it is the latest run, and `imbulk retry` can send 1 row again
        hint: `--run ID` removes a run all the same
        ");
        let none = ForgetReport { removed: Vec::new(), kept: Vec::new() };
        assert_eq!(none.text(), "to be removed: no run\n");
        assert!(report.question().0.ends_with("type the number of runs (1) to remove their rows:"));
    }
}
