//! The report on a run: one page for people, and the same figures as JSON and as Markdown.
//!
//! The page and the Markdown name rows by file and line, without ids and without the reasons of rows, which quote them.
//! So they can be passed on, and can stay when `imbulk forget` removes the rows.

mod html;
mod markdown;
mod texts;

use jiff::Zoned;
use schemars::JsonSchema;
use serde::Serialize;

use super::explanation::CodeOfRun;
use super::figures::{Figures, target};
use super::json::{self, DateTime, RowsByOutcome};
use super::state::StateName;
use super::status::{ForgottenRows, StateFacts};
use super::text::{between, count, counted, minute, second, share, visible};
use crate::domain::exit::{Exit, exit_of_finished};
use crate::domain::hint::Hint;
use crate::domain::job::RejectPolicy;
use crate::domain::report_file::ReportFormat;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verification::VerifiedRows;
use crate::queue::{InputFile, RowPlace};

/// Rows of a code that a report names at most.
pub const PLACES: usize = 5;
/// Files of the input that the page and the Markdown list at most.
const FILES: usize = 50;
/// Next commands that a report shows at most.
const MOST_COMMANDS: usize = 3;

/// What `imbulk report NAME --output run.json` writes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunReport {
    /// What happened, in one sentence.
    pub verdict: String,
    /// The exit code of `imbulk run` for this state; null while it may still change, after a kill, and if it depends on
    /// `input.rejects`, because no row is failed or in doubt.
    pub exit_code: Option<u8>,
    /// The run, its rows and their codes.
    #[serde(flatten)]
    pub figures: Figures,
    /// What follows from its state.
    #[serde(flatten)]
    pub facts: StateFacts,
    /// From the start of the first session to the end of the last one, with the pauses in between; null before both
    /// are known.
    pub seconds: Option<u64>,
    /// Rows that a person must look at: failed, in doubt and rejected ones, and those that a verification contradicts.
    pub needs_attention: u64,
    /// Commands for what is left to do, the most urgent first.
    pub next: Vec<NextCommand>,
    /// The same codes with their classes and advice, the most frequent first.
    pub explained_codes: Vec<CodeOfRun>,
    /// Where rows with these codes are: the first of them.
    pub places: Vec<PlacesOfCode>,
    /// The files of the input.
    pub input: Vec<InputFile>,
    /// The BLAKE3 digest of the input's bytes.
    pub input_digest: String,
    /// Earlier runs of the job on this target, the latest first.
    pub earlier_runs: Vec<EarlierRun>,
    /// What the queue does not know, so that this report cannot say it.
    pub unknown: Vec<&'static str>,
    /// The command that writes this report again, as long as the queue has the run.
    pub command: String,
    /// The version of imbulk that wrote it.
    pub imbulk_version: &'static str,
    /// When it was written.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub written_at: Zoned,
    /// When the first session began, and when the last one ended.
    #[serde(skip)]
    sent: Option<(Zoned, Zoned)>,
}

/// A command, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NextCommand {
    /// The command.
    pub command: String,
    /// What it does.
    pub purpose: &'static str,
}

/// The first rows with a code and an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlacesOfCode {
    /// Their code; null if no answer named one.
    pub code: Option<i64>,
    /// Their outcome.
    pub outcome: Outcome,
    /// Where they are in the input.
    pub rows: Vec<RowPlace>,
}

/// A run before this one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EarlierRun {
    /// Its id.
    pub run: String,
    /// Its state.
    pub state: StateName,
    /// When its input was loaded.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub created_at: Zoned,
    /// Its rows.
    pub rows: u64,
    /// Its rows by outcome.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
}

/// What a report is made of.
#[derive(Debug)]
pub struct ReportParts {
    /// The run, its rows and their codes.
    pub figures: Figures,
    /// What follows from its state.
    pub facts: StateFacts,
    /// What its operation did with the items that succeeded.
    pub effect: &'static str,
    /// Its codes, explained.
    pub explained_codes: Vec<CodeOfRun>,
    /// Where rows with codes are.
    pub places: Vec<PlacesOfCode>,
    /// When the first session began, and when the last one ended.
    pub sent: Option<(Zoned, Zoned)>,
    /// The files of its input.
    pub input: Vec<InputFile>,
    /// The digest of its input.
    pub input_digest: String,
    /// Earlier runs.
    pub earlier_runs: Vec<EarlierRun>,
    /// Now, by the local clock.
    pub now: Zoned,
}

impl EarlierRun {
    /// `998 succeeded, 2 failed`
    fn outcomes(&self) -> String {
        let outcomes = self.outcomes.iter().filter(|(_, rows)| *rows > 0);
        outcomes.map(|(outcome, rows)| format!("{} {outcome}", count(rows))).collect::<Vec<_>>().join(", ")
    }
}

impl RunReport {
    /// The report on what was read.
    pub fn new(parts: ReportParts) -> Self {
        let ReportParts { figures, facts, effect, sent, now, .. } = parts;
        let needs_attention = needs_attention(&figures.outcomes) + facts.verified.contradicted;
        Self {
            verdict: verdict(&figures, effect, needs_attention),
            exit_code: exit_code(&figures).map(Exit::code),
            seconds: sent.as_ref().map(|(began, ended)| seconds_between(began, ended)),
            needs_attention,
            next: next_commands(&figures),
            command: format!("imbulk report {} --output report.html", visible(&figures.run)),
            figures,
            facts,
            explained_codes: parts.explained_codes,
            places: parts.places,
            input: parts.input,
            input_digest: parts.input_digest,
            earlier_runs: parts.earlier_runs,
            unknown: texts::UNKNOWN.to_vec(),
            imbulk_version: env!("CARGO_PKG_VERSION"),
            written_at: now,
            sent,
        }
    }

    /// The state and since when the run is in it.
    fn state(&self) -> String {
        let name = self.figures.state.name();
        let Some(since) = &self.facts.since else { return name.to_owned() };
        format!("{name} since {} ({} before this report)", minute(since), between(since, &self.written_at))
    }

    /// The files of the input with their rows.
    fn input_lines(&self) -> Vec<String> {
        let line = |file: &InputFile| format!("{}: {}", visible(&file.name), counted(file.facts.rows, "row", "rows"));
        let mut lines: Vec<String> = self.input.iter().take(FILES).map(line).collect();
        if let Some(more) = self.input.len().checked_sub(FILES + 1) {
            lines.push(format!("and {} more", counted(more as u64 + 1, "file", "files")));
        }
        let rejected = self.figures.rejects.0.iter().map(|row| format!("{}:{}", visible(&row.source), row.line));
        let rejected: Vec<String> = rejected.collect();
        if !rejected.is_empty() {
            lines.push(format!("first rejected rows: {}", rejected.join(", ")));
        }
        lines
    }

    /// `3,836 + 32 + 116 = 3,984`: the outcomes and the number of rows.
    fn sum(&self) -> String {
        let parts: Vec<String> = self.outcomes().iter().map(|(_, rows)| count(*rows)).collect();
        format!("{} = {}", parts.join(" + "), counted(self.figures.rows, "row", "rows"))
    }

    /// The outcomes that rows have.
    fn outcomes(&self) -> Vec<(Outcome, u64)> {
        self.figures.outcomes.iter().filter(|(_, rows)| *rows > 0).collect()
    }

    /// The share of rows with an outcome.
    fn share(&self, rows: u64) -> String {
        share(rows, self.figures.rows)
    }

    /// Where the first rows with a code are, for people.
    fn places_of(&self, code: &CodeOfRun) -> String {
        let has = |outcome| code.outcomes.iter().any(|rows| rows.outcome == outcome);
        let of_code = self.places.iter().filter(|places| places.code == code.code && has(places.outcome));
        let places: Vec<String> = of_code.flat_map(|places| places.rows.iter().map(place_name)).take(PLACES).collect();
        places.join(", ")
    }

    /// The text of the file. A page needs no network.
    pub fn text(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Html => html::page(self),
            ReportFormat::Json => serde_json::to_string_pretty(self).expect("texts and numbers are JSON") + "\n",
            ReportFormat::Markdown => markdown::Markdown(self).to_string(),
        }
    }

    /// The facts at the top, each with its name.
    fn facts_of_run(&self) -> Vec<(&'static str, String)> {
        let Self { figures, facts, .. } = self;
        let mut all = vec![
            ("job", visible(&figures.job).into_owned()),
            ("run", visible(&figures.run).into_owned()),
            ("operation", format!("{} on {}", figures.operation, target(&figures.target))),
            ("state", self.state()),
        ];
        if let Some(code) = self.exit_code {
            all.push(("exit code", code.to_string()));
        } else if figures.state == StateName::Finished {
            all.push(("exit code", texts::EXIT_OF_REJECTS.to_owned()));
        }
        if let Some((began, ended)) = &self.sent {
            all.push(("sent", format!("from {} to {}, {}", second(began), second(ended), between(began, ended))));
        }
        if facts.verified != VerifiedRows::default() {
            all.push(("verified", facts.verified_text()));
        }
        if let Some(ForgottenRows { at, results_digest }) = &facts.forgotten {
            all.push(("forgotten", format!("{}: its rows were removed from the queue", minute(at))));
            all.push(("results", format!("BLAKE3 {results_digest}")));
        }
        all
    }

    /// Why the last session ended, and what to do.
    fn reason(&self) -> Option<(String, Option<String>)> {
        let why = self.figures.stopped.as_ref()?;
        Some((visible(&why.text).into_owned(), why.hint().map(|hint| visible(&hint).into_owned())))
    }
}

/// `in.csv:3`
fn place_name(place: &RowPlace) -> String {
    format!("{}:{}", visible(&place.source), place.line)
}

/// Rows that a person must look at.
fn needs_attention(outcomes: &Tally) -> u64 {
    [Outcome::Failed, Outcome::InDoubt, Outcome::Rejected].into_iter().map(|outcome| outcomes[outcome]).sum()
}

fn seconds_between(began: &Zoned, ended: &Zoned) -> u64 {
    u64::try_from(began.duration_until(ended).as_secs()).unwrap_or(0)
}

fn exit_code(figures: &Figures) -> Option<Exit> {
    match figures.state {
        StateName::Finished => {
            let exits = [RejectPolicy::Count, RejectPolicy::Allow].map(|it| exit_of_finished(&figures.outcomes, it));
            Some(exits[0]).filter(|exit| *exit == exits[1])
        }
        StateName::Halted => Some(Exit::Halted),
        StateName::Stopped => Some(Exit::Stopped),
        StateName::Planned | StateName::Sending | StateName::Interrupted | StateName::Superseded => None,
    }
}

/// What happened, in one sentence.
fn verdict(figures: &Figures, effect: &str, needs_attention: u64) -> String {
    let rows = |outcome: Outcome| figures.outcomes[outcome];
    let mut done = format!("{} of {} {effect}", count(rows(Outcome::Succeeded)), count(figures.rows));
    if rows(Outcome::AlreadyDone) > 0 {
        done.push_str(&format!(", {} already done", count(rows(Outcome::AlreadyDone))));
    }
    let attention = match needs_attention {
        0 => "no row needs your attention".to_owned(),
        1 => "1 row needs your attention".to_owned(),
        many => format!("{} rows need your attention", count(many)),
    };
    let left = match rows(Outcome::Pending) {
        1 => "1 row is left".to_owned(),
        left => format!("{} rows are left", count(left)),
    };
    match figures.state {
        StateName::Planned => format!("Planned: {}, nothing was sent", counted(figures.rows, "row", "rows")),
        StateName::Sending => format!("Being sent, {left}: {done}; {attention}"),
        StateName::Stopped => format!("Stopped, {left}: {done}; {attention}"),
        StateName::Halted => format!("Halted, {left}: {done}; {attention}"),
        StateName::Interrupted => format!("Cut short, {left}: {done}; {attention}"),
        StateName::Superseded => format!("Given up for another run, {left}: {done}; {attention}"),
        StateName::Finished => format!("{done}; {attention}"),
    }
}

/// What is left to do.
fn next_commands(figures: &Figures) -> Vec<NextCommand> {
    let run = visible(&figures.run);
    let rows = |outcome: Outcome| figures.outcomes[outcome];
    let mut next = Vec::new();
    let mut add = |command: String, purpose| next.push(NextCommand { command, purpose });
    if rows(Outcome::Pending) > 0 && figures.state != StateName::Sending {
        add(format!("imbulk status {run}"), texts::STATUS);
    }
    if rows(Outcome::Failed) > 0 {
        add(format!("imbulk results {run} --outcome failed"), texts::FAILED);
    }
    if rows(Outcome::InDoubt) > 0 {
        add(format!("imbulk results {run} --outcome in_doubt"), texts::IN_DOUBT);
    }
    if rows(Outcome::Rejected) > 0 {
        add(format!("imbulk results {run} --outcome rejected"), texts::REJECTED);
    }
    if next.is_empty() {
        next.push(NextCommand { command: format!("imbulk results {run}"), purpose: texts::ALL_ROWS });
    }
    next.truncate(MOST_COMMANDS);
    next
}

#[cfg(test)]
mod tests;
