//! What happened to one account, in all runs of a queue.

use jiff::Zoned;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::target;
use super::json::{self, DateTime, FormatVersion, milliseconds, milliseconds_if_any};
use super::text::{Text, counted, second, visible};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;
use crate::domain::target::RunTarget;
use crate::domain::timestamp::local;

/// What `imbulk history ID --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct History {
    /// The version of the format.
    schema: FormatVersion,
    /// The id of the account.
    id: String,
    /// The rows that name it, by run, the oldest first, and by row.
    rows: Vec<AccountRow>,
    /// Runs whose rows were removed: it is not known whether they named the account.
    forgotten_runs: Vec<ForgottenRun>,
    /// The time zone of the text.
    #[serde(skip)]
    zone: TimeZone,
}

/// A row that names the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccountRow {
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// The operation.
    pub operation: &'static str,
    /// The columns in which the row names the account: `UserID`, `From_Account` or `To_Account`; both of a pair if it
    /// names the same account twice.
    pub roles: Vec<&'static str>,
    /// The other account of a pair; null if there is none.
    pub other_account: Option<String>,
    /// The file of the row.
    pub source: String,
    /// Its line.
    pub line: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// The code that decided the outcome; null without one.
    pub code: Option<i64>,
    /// The class of the code; null without one.
    pub class: Option<&'static str>,
    /// The reason, with earlier codes; null without one.
    pub reason: Option<String>,
    /// Calls with the item.
    pub attempts: u32,
    /// When the run was loaded.
    #[serde(serialize_with = "milliseconds")]
    #[schemars(with = "DateTime")]
    pub loaded_at: i64,
    /// When the outcome was recorded; null for a row that is pending or was never sent.
    #[serde(serialize_with = "milliseconds_if_any")]
    #[schemars(with = "Option<DateTime>")]
    pub finished_at: Option<i64>,
    /// What the last verification showed; null without one.
    pub verified: Option<Verified>,
    /// When; null without one.
    #[serde(serialize_with = "milliseconds_if_any")]
    #[schemars(with = "Option<DateTime>")]
    pub verified_at: Option<i64>,
}

/// A run whose rows were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForgottenRun {
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// When its rows were removed.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub forgotten_at: Zoned,
}

impl History {
    /// The history of the account `id`. The text shows times in `zone`.
    pub fn new(id: &str, rows: Vec<AccountRow>, forgotten_runs: Vec<ForgottenRun>, zone: TimeZone) -> Self {
        Self { schema: FormatVersion, id: id.to_owned(), rows, forgotten_runs, zone }
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        for row in &self.rows {
            self.write(row, &mut text);
        }
        let id = visible(&self.id);
        if self.rows.is_empty() {
            text.line(&format!("no row of this queue names the account {id}"));
        } else {
            text.line(&format!("{id}: {} in this queue", counted(self.rows.len() as u64, "row", "rows")));
        }
        if !self.forgotten_runs.is_empty() {
            let runs = counted(self.forgotten_runs.len() as u64, "run was", "runs were");
            text.line(&format!("{runs} forgotten, and may have named the account:"));
        }
        for ForgottenRun { run, job, target: on, forgotten_at } in &self.forgotten_runs {
            let (job, at) = (visible(job), second(forgotten_at));
            text.line(&format!("  run {} of job {job} on {}: forgotten on {at}", visible(run), target(*on)));
        }
        text.into()
    }

    fn write(&self, row: &AccountRow, text: &mut Text) {
        let at = |at: i64| second(&local(at, &self.zone));
        let when = row.finished_at.map_or_else(|| format!("loaded {}", at(row.loaded_at)), at);
        let with = row.other_account.as_ref().map(|other| format!(" with {}", visible(other))).unwrap_or_default();
        text.line(&format!("{when}: {} as {}{with}: {}", row.operation, row.roles.join(" and "), row.outcome));
        let (job, source) = (visible(&row.job), visible(&row.source));
        let calls = counted(row.attempts.into(), "call", "calls");
        text.line(&format!("  row     {source}:{}, {calls}", row.line));
        text.line(&format!("  run     {} of job {job} on {}", visible(&row.run), target(row.target)));
        let code = row.code.zip(row.class).map(|(code, class)| format!("{code} ({class})"));
        let reason = row.reason.as_deref().map(|reason| visible(reason).into_owned());
        let why: Vec<String> = code.into_iter().chain(reason).collect();
        if !why.is_empty() {
            text.line(&format!("  reason  {}", why.join(": ")));
        }
        if let Some((verified, moment)) = row.verified.zip(row.verified_at) {
            text.line(&format!("  verified {} on {}", verified.name(), at(moment)));
        }
        text.line("");
    }
}
