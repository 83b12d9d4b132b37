//! What `imbulk retry` made pending again.

use schemars::JsonSchema;
use serde::Serialize;

use super::json::FormatVersion;
use super::text::{count, counted, visible};
use crate::domain::hint::{Hint, Message};
use crate::domain::response::outcome::Outcome;
use crate::queue::{CodeRows, Run};

/// The rows of a run that are pending again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RetryReport {
    /// The version of the format.
    schema: FormatVersion,
    /// The run's id.
    run: String,
    /// The job's name.
    job: String,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    target: String,
    /// The number of these rows.
    rows: u64,
    /// Their numbers by the outcome and the code that they had.
    codes: Vec<RetriedRows>,
}

/// Rows that had the same outcome and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct RetriedRows {
    /// The code; null if no answer named one.
    code: Option<i64>,
    /// The outcome that they had.
    outcome: Outcome,
    /// The number of rows.
    rows: u64,
}

impl RetryReport {
    /// The rows of a run that are pending again.
    pub fn new(run: &Run, rows: &[CodeRows]) -> Self {
        let codes = rows.iter().map(|&CodeRows { outcome, code, rows }| RetriedRows { code, outcome, rows });
        Self {
            schema: FormatVersion,
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target.clone(),
            rows: rows.iter().map(|codes| codes.rows).sum(),
            codes: codes.collect(),
        }
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let job = visible(&self.job);
        if self.codes.is_empty() {
            return format!("{job}: no rows to send again");
        }
        let is_are = if self.rows == 1 { "is" } else { "are" };
        let mut text = format!("{job}: {} {is_are} pending again", counted(self.rows, "row", "rows"));
        for RetriedRows { outcome, code, rows } in &self.codes {
            let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            text.push_str(&format!("\n  {outcome}, {code}: {}", count(*rows)));
        }
        Message::new(text).add_hint("`imbulk run JOB --execute` sends them").with_hint()
    }
}
