//! What `imbulk retry` made pending again.

use schemars::JsonSchema;
use serde::Serialize;

use super::json::FormatVersion;
use super::text::{count, counted, visible};
use crate::domain::hint::{Hint, Message};
use crate::domain::response::outcome::Outcome;
use crate::domain::target::RunTarget;
use crate::queue::{CarriedAway, CodeRows, Retried, Run};

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
    target: RunTarget,
    /// The number of these rows.
    rows: u64,
    /// Their numbers by the outcome and the code that they had.
    codes: Vec<RetriedRows>,
    /// The rows that stay as they are, because a later run has taken them over; null if there are none.
    carried_over: Option<CarriedAway>,
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
    pub fn new(run: &Run, retried: Retried) -> Self {
        let Retried { codes: rows, carried_over } = retried;
        let codes = rows.iter().map(|&CodeRows { outcome, code, rows }| RetriedRows { code, outcome, rows });
        Self {
            schema: FormatVersion,
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target,
            rows: rows.iter().map(|codes| codes.rows).sum(),
            codes: codes.collect(),
            carried_over,
        }
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let job = visible(&self.job);
        let away = self.carried_over.as_ref().map(|CarriedAway { run, rows }| {
            let were = counted(*rows, "row was", "rows were");
            format!("\n{were} carried over into run {0}: `imbulk status {0}` shows its state", visible(run))
        });
        let away = away.unwrap_or_default();
        if self.codes.is_empty() {
            return format!("{job}: no rows to send again{away}");
        }
        let is_are = if self.rows == 1 { "is" } else { "are" };
        let mut text = format!("{job}: {} {is_are} pending again", counted(self.rows, "row", "rows"));
        for RetriedRows { outcome, code, rows } in &self.codes {
            let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            text.push_str(&format!("\n  {outcome}, {code}: {}", count(*rows)));
        }
        text.push_str(&away);
        Message::new(text).add_hint("`imbulk run JOB --execute` sends them").with_hint()
    }
}
