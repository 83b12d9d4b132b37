//! The figures of a run that summary, status and plan share.

use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::Serializer;

use super::json::{self, DateTime, FormatVersion, RowsByOutcome};
use super::state::StateName;
use super::text::{Text, count, counted, share, visible};
use crate::domain::hint::Message;
use crate::domain::response::codes;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::target::RunTarget;
use crate::queue::{CarriedOver, CodeRows, Rejected};

/// Codes that a text lists; JSON holds all.
const SHOWN_CODES: usize = 12;

/// The state and figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Figures {
    /// The version of the format.
    pub schema: FormatVersion,
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// The operation's name.
    pub operation: &'static str,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// Its state.
    pub state: StateName,
    /// Why the last session ended before the run did.
    #[serde(serialize_with = "json::message")]
    #[schemars(with = "Option<String>")]
    pub stopped: Option<Message>,
    /// Rows of the input, and rows that were carried over.
    pub rows: u64,
    /// The rows of an earlier run that are among them; null if the run took none over.
    pub carried_over: Option<CarriedOver>,
    /// Items to be sent.
    pub items: u64,
    /// When the input was loaded.
    #[schemars(with = "DateTime")]
    pub created_at: String,
    /// When the first session began.
    #[schemars(with = "Option<DateTime>")]
    pub started_at: Option<String>,
    /// When the last row had its outcome.
    #[schemars(with = "Option<DateTime>")]
    pub finished_at: Option<String>,
    /// Rows by outcome.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
    /// Codes that ended rows otherwise than in plain success, the most frequent first.
    #[serde(serialize_with = "codes_as_json")]
    #[schemars(with = "Vec<CodeFigures>")]
    pub codes: Vec<CodeRows>,
    /// The first rows that can't be sent.
    pub rejects: Rejects,
}

/// A code with an outcome and a number of rows.
#[derive(Serialize, JsonSchema)]
struct CodeFigures {
    /// The code; null if no answer named one.
    code: Option<i64>,
    /// The outcome that it led to.
    outcome: Outcome,
    /// The number of rows.
    rows: u64,
    /// What the code means; null if imbulk does not know it.
    meaning: Option<&'static str>,
}

/// Rows that can't be sent: the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Rejects(pub Vec<Rejected>);

impl Figures {
    /// Job, run, target and rows.
    pub(super) fn head(&self, text: &mut Text) {
        text.figure("job", &visible(&self.job));
        text.figure("run", &format!("{}  {}", visible(&self.run), self.state.name()));
        text.figure("operation", &format!("{} on {}", self.operation, target(self.target)));
        text.figure("rows", &count(self.rows));
        if let Some(CarriedOver { run, rows, left_behind, .. }) = &self.carried_over {
            let stay = match left_behind {
                0 => String::new(),
                stay => format!("; {} stay there, carried over often enough", counted(*stay, "row", "rows")),
            };
            let rows = counted(*rows, "row", "rows");
            text.figure("  carried over", &format!("{rows} of run {}{stay}", visible(run)));
        }
    }

    /// A line per outcome that rows have.
    pub(super) fn outcomes(&self, text: &mut Text) {
        let ended = self.outcomes.iter().filter(|(_, rows)| *rows > 0);
        for (outcome, rows) in ended {
            let share = share(rows, self.rows);
            text.figure(&format!("  {outcome}"), &format!("{:>12}  {share:>8}", count(rows)));
        }
    }

    /// What codes ended rows; those that no table names are listed apart.
    pub(super) fn codes(&self, text: &mut Text) {
        let known = |code: &&CodeRows| code.code.is_none_or(|code| codes::lookup(code).is_some());
        let (known, unknown): (Vec<_>, Vec<_>) = self.codes.iter().partition(known);
        code_block(text, "codes", &known);
        code_block(text, "codes that imbulk does not know", &unknown);
    }

    /// The first rows that can't be sent, and how to see all.
    pub(super) fn rejects(&self, text: &mut Text) {
        let all = self.outcomes[Outcome::Rejected];
        self.rejects.block(text, all);
        if all > 0 {
            text.line(&format!("  all of them: imbulk results {} --outcome rejected", visible(&self.job)));
        }
    }
}

impl Rejects {
    /// These rows, and how many of `all` are not among them.
    pub(super) fn block(&self, text: &mut Text, all: u64) {
        if self.0.is_empty() {
            return;
        }
        text.line("rejected rows");
        self.lines(text, all);
    }

    /// A line per row, and how many of `all` are not among them.
    pub(super) fn lines(&self, text: &mut Text, all: u64) {
        for row in &self.0 {
            text.line(&format!("  {}:{}: {}", visible(&row.source), row.line, visible(&row.reason)));
        }
        let more = all.saturating_sub(self.0.len() as u64);
        if more > 0 {
            text.line(&format!("  and {} more", count(more)));
        }
    }
}

/// The target for people.
pub(crate) fn target(target: RunTarget) -> String {
    match target {
        RunTarget::Sandbox => "the sandbox".to_owned(),
        RunTarget::Loopback(_) | RunTarget::RealApp(_) => format!("app {target}"),
    }
}

fn code_block(text: &mut Text, title: &str, entries: &[&CodeRows]) {
    if entries.is_empty() {
        return;
    }
    text.line(title);
    for info in entries.iter().take(SHOWN_CODES) {
        text.line(&format!("  {}", code_line(info)));
    }
    if entries.len() > SHOWN_CODES {
        text.line(&format!("  and {} more", entries.len() - SHOWN_CODES));
    }
}

fn code_line(code: &CodeRows) -> String {
    let rows = count(code.rows);
    let number = code.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
    let meaning = match code.code {
        Some(_) if code.outcome == Outcome::Succeeded && is_data_left(code.code) => "gone; data of it may remain",
        Some(code) => codes::lookup(code).map_or("", |info| info.meaning.en),
        None => "no answer that names one",
    };
    format!("{number:>7}  {:<12} {rows:>10}  {meaning}", code.outcome)
}

/// Whether the code of a success says that something may be left.
fn is_data_left(code: Option<i64>) -> bool {
    code.is_some_and(|code| codes::lookup(code).is_some_and(codes::CodeInfo::leaves_data))
}

fn codes_as_json<S: Serializer>(all: &[CodeRows], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(|&CodeRows { outcome, code, rows }| {
        let meaning = code.and_then(codes::lookup).map(|info| info.meaning.en);
        CodeFigures { code, outcome, rows, meaning }
    }))
}
