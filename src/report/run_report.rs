//! The report on a run: one page for people, and the same figures as JSON and as Markdown.
//!
//! The page and the Markdown name rows by file and line, without ids and without the reasons of rows, which quote them.
//! So they can be passed on, and can stay when `imbulk forget` removes the rows.

mod evidence;
mod guards_of_run;
mod html;
mod markdown;
mod texts;
mod timeline;
mod verdict;

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
use crate::domain::language::{Language, Translated};
use crate::domain::report_file::ReportFormat;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verification::VerifiedRows;
use crate::domain::target::RunTarget;
use crate::domain::time_series::TimeSeries;
use crate::queue::{InputFile, RowPlace};
pub use evidence::{BackupFileOfRun, Evidence, EvidenceParts};
use guards_of_run::GuardOfRun;
use timeline::Timeline;

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
    pub verdict: Translated<String>,
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
    /// The BLAKE3 digest of its results as CSV of `imbulk results`; null unless the run is finished or forgotten.
    pub results_digest: Option<String>,
    /// How it was sent.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// Earlier runs of the job on this target, the latest first.
    pub earlier_runs: Vec<EarlierRun>,
    /// How the run went over time; null if the queue has no series of it.
    pub timeline: Option<Timeline>,
    /// What the queue does not know, so that this report cannot say it.
    pub unknown: Vec<Translated>,
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

/// A part of the report: names and values.
struct ReportSection {
    id: &'static str,
    title: &'static str,
    lines: Vec<(String, String)>,
}

/// A command, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NextCommand {
    /// The command.
    pub command: String,
    /// What it does.
    pub purpose: Translated,
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
    pub effect: Translated,
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
    /// The digest of its results.
    pub results_digest: Option<String>,
    /// How it was sent.
    pub evidence: EvidenceParts,
    /// Earlier runs.
    pub earlier_runs: Vec<EarlierRun>,
    /// How it went over time, if the queue has it.
    pub series: Option<TimeSeries>,
    /// Now, by the local clock.
    pub now: Zoned,
}

impl EarlierRun {
    /// `998 succeeded, 2 failed`
    fn outcomes(&self, language: Language) -> String {
        let outcomes = self.outcomes.iter().filter(|(_, rows)| *rows > 0);
        let outcomes: Vec<_> = outcomes.map(|(outcome, rows)| format!("{} {outcome}", count(rows))).collect();
        outcomes.join(texts::COMMA.of(language))
    }
}

impl RunReport {
    /// The report on what was read.
    pub fn new(parts: ReportParts) -> Self {
        let ReportParts { figures, facts, effect, sent, now, .. } = parts;
        let series = parts.series.as_ref();
        let timeline =
            series.and_then(|it| Timeline::new(it, figures.state, &figures.outcomes, now.time_zone().clone()));
        let needs_attention = needs_attention(&figures.outcomes) + facts.verified.contradicted;
        let evidence = Evidence::new(parts.evidence, &figures);
        Self {
            verdict: verdict::verdict(&figures, effect, needs_attention),
            exit_code: exit_code(&figures).map(Exit::code),
            seconds: sent.as_ref().map(|(began, ended)| seconds_between(began, ended)),
            needs_attention,
            next: next_commands(&figures),
            unknown: unknown(&figures, &evidence, timeline.as_ref()),
            evidence,
            command: format!("imbulk report {} --output report.html", visible(&figures.run)),
            figures,
            facts,
            explained_codes: parts.explained_codes,
            places: parts.places,
            input: parts.input,
            input_digest: parts.input_digest,
            results_digest: parts.results_digest,
            earlier_runs: parts.earlier_runs,
            timeline,
            imbulk_version: env!("CARGO_PKG_VERSION"),
            written_at: now,
            sent,
        }
    }

    /// The state and since when the run is in it.
    fn state(&self, language: Language) -> String {
        let name = texts::state(self.figures.state);
        let Some(since) = &self.facts.since else { return name.of(language).to_owned() };
        let (before, since) = (between(since, &self.written_at), minute(since));
        Translated::new(
            format!("{} since {since} ({} before this report)", name.en, before.en),
            format!("{}，始于 {since}（距本报告：{}）", name.zh, before.zh),
        )
        .of(language)
    }

    /// The files of the input with their rows.
    fn input_lines(&self, language: Language) -> Vec<String> {
        let line = |file: &InputFile| {
            format!("{}{}{}", visible(&file.name), texts::COLON.of(language), rows_text(file.facts.rows).of(language))
        };
        let mut lines: Vec<String> = self.input.iter().take(FILES).map(line).collect();
        if let Some(more) = self.input.len().checked_sub(FILES + 1) {
            lines.push(more_files(more as u64 + 1).of(language));
        }
        let rejected = self.figures.rejects.0.iter().map(|row| format!("{}:{}", visible(&row.source), row.line));
        let rejected: Vec<String> = rejected.collect();
        if !rejected.is_empty() {
            let rejected = rejected.join(texts::COMMA.of(language));
            let line =
                Translated::new(format!("first rejected rows: {rejected}"), format!("前几个被拒绝的行：{rejected}"));
            lines.push(line.of(language));
        }
        lines
    }

    /// `3,836 + 32 + 116 = 3,984`: the outcomes and the number of rows.
    fn sum(&self, language: Language) -> String {
        let parts: Vec<String> = self.outcomes().iter().map(|(_, rows)| count(*rows)).collect();
        format!("{} = {}", parts.join(" + "), rows_text(self.figures.rows).of(language))
    }

    /// The outcomes that rows have.
    fn outcomes(&self) -> Vec<(Outcome, u64)> {
        self.figures.outcomes.iter().filter(|(_, rows)| *rows > 0).collect()
    }

    /// The share of rows with an outcome.
    fn share(&self, rows: u64) -> String {
        share(rows, self.figures.rows)
    }

    /// Where the first rows with a code are, for people: those that need attention, if there are some.
    fn places_of(&self, code: &CodeOfRun) -> String {
        let is_urgent = |outcome| matches!(outcome, Outcome::Failed | Outcome::InDoubt);
        let has = |outcome| code.outcomes.iter().any(|rows| rows.outcome == outcome);
        let of_code = || self.places.iter().filter(|places| places.code == code.code && has(places.outcome));
        let some_are_urgent = of_code().any(|places| is_urgent(places.outcome));
        let shown = of_code().filter(|places| !some_are_urgent || is_urgent(places.outcome));
        let places: Vec<String> = shown.flat_map(|places| places.rows.iter().map(place_name)).take(PLACES).collect();
        let names = places.join(", ");
        if some_are_urgent && code.outcomes.len() > 1 { format!("to look at: {names}") } else { names }
    }

    /// What to do about a code. If it also ended rows that need attention, the advice for the others is not enough.
    fn advice_of(&self, code: &CodeOfRun) -> Translated<String> {
        let is_mixed = code.outcomes.iter().any(|rows| rows.outcome == Outcome::Failed)
            && code.class.is_some_and(|class| class.contains("done"));
        if !is_mixed {
            return Translated::new(code.advice.en.to_owned(), code.advice.zh.to_owned());
        }
        let run = visible(&self.figures.run);
        Translated::new(
            format!("{}; failed rows: read their reasons with `imbulk results {run} --outcome failed`", code.advice.en),
            format!("{}；失败的行：用 `imbulk results {run} --outcome failed` 查看其原因", code.advice.zh),
        )
    }

    /// The text of the file. A page needs no network.
    pub fn text(&self, format: ReportFormat, language: Language) -> String {
        match format {
            ReportFormat::Html => html::page(self, language),
            ReportFormat::Json => serde_json::to_string_pretty(self).expect("texts and numbers are JSON") + "\n",
            ReportFormat::Markdown => markdown::Markdown { report: self, language }.to_string(),
        }
    }

    /// The command that writes this report again, in this language.
    fn command(&self, language: Language) -> String {
        match language {
            Language::En => self.command.clone(),
            Language::Zh => format!("{} --lang zh", self.command),
        }
    }

    /// The facts at the top, each with its name.
    fn facts_of_run(&self, language: Language) -> Vec<(&'static str, String)> {
        let Self { figures, facts, .. } = self;
        let mut all = vec![
            (texts::JOB, visible(&figures.job).into_owned()),
            (texts::RUN, visible(&figures.run).into_owned()),
            (texts::OPERATION, operation_on(figures).of(language)),
            (texts::STATE, self.state(language)),
        ];
        if let Some(code) = self.exit_code {
            all.push((texts::EXIT_CODE, code.to_string()));
        } else if figures.state == StateName::Finished {
            all.push((texts::EXIT_CODE, texts::EXIT_OF_REJECTS.of(language).to_owned()));
        }
        if let Some((began, ended)) = &self.sent {
            let (took, began, ended) = (between(began, ended), second(began), second(ended));
            let sent = Translated::new(
                format!("from {began} to {ended}, {}", took.en),
                format!("{began} 至 {ended}（历时：{}）", took.zh),
            );
            all.push((texts::SENT, sent.of(language)));
        }
        all.extend(self.evidence.facts().into_iter().map(|(name, value)| (name, value.of(language))));
        if facts.verified != VerifiedRows::default() {
            all.push((texts::VERIFIED, facts.verified_text(texts::COMMA.of(language))));
        }
        if let Some(ForgottenRows { at, .. }) = &facts.forgotten {
            let at = minute(at);
            let forgotten = Translated::new(
                format!("{at}: its rows were removed from the queue"),
                format!("{at}：它的行已从队列中移除"),
            );
            all.push((texts::FORGOTTEN, forgotten.of(language)));
        }
        if let Some(digest) = &self.results_digest {
            let run = visible(&figures.run);
            let digest = Translated::new(
                format!("BLAKE3 {digest} of all bytes that `imbulk results {run}` writes"),
                format!("`imbulk results {run}` 写出的全部字节的 BLAKE3 值：{digest}"),
            );
            all.push((texts::RESULTS, digest.of(language)));
        }
        all.into_iter().map(|(name, value)| (name.of(language), value)).collect()
    }

    /// The parts of the report that are lists of names and values.
    fn sections(&self, language: Language) -> Vec<ReportSection> {
        let translated =
            |(name, value): (Translated, Translated<String>)| (name.of(language).to_owned(), value.of(language));
        let placed = |(place, value): (String, Translated<String>)| (place, value.of(language));
        let guard = |guard: &GuardOfRun| {
            let refuses = if guard.allows { "" } else { texts::HALTED_THE_RUN.of(language) };
            (guard.guard.to_owned(), format!("{refuses}{}", guard.text.clone().of(language)))
        };
        let all = [
            ("promises", texts::PROMISES, self.evidence.promise_lines().into_iter().map(translated).collect()),
            ("guards", texts::GUARDS, self.evidence.guards.iter().map(guard).collect()),
            ("slow", texts::SLOW, self.evidence.slow_lines().into_iter().map(placed).collect()),
            ("backup", texts::BACKUP, self.evidence.backup_lines().into_iter().map(placed).collect()),
        ];
        let sections = all.into_iter().filter(|(_, _, lines): &(_, _, Vec<_>)| !lines.is_empty());
        sections.map(|(id, title, lines)| ReportSection { id, title: title.of(language), lines }).collect()
    }

    /// Why the last session ended, and what to do.
    fn reason(&self) -> Option<(String, Option<String>)> {
        let why = self.figures.stopped.as_ref()?;
        Some((visible(&why.text).into_owned(), why.hint().map(|hint| visible(&hint).into_owned())))
    }
}

/// `1 row`, `2 rows`
fn rows_text(rows: u64) -> Translated<String> {
    let en = counted(rows, "row", "rows");
    Translated::new(en, format!("{} 行", count(rows)))
}

/// After the files of the input that are listed.
fn more_files(files: u64) -> Translated<String> {
    Translated::new(format!("and {} more", counted(files, "file", "files")), format!("另有 {} 个文件", count(files)))
}

/// `account_delete on app 1400000001`
fn operation_on(figures: &Figures) -> Translated<String> {
    let (operation, on) = (figures.operation, figures.target);
    let on_zh = match on {
        RunTarget::Sandbox => "沙箱".to_owned(),
        RunTarget::Loopback(_) | RunTarget::RealApp(_) => format!("应用 {on}"),
    };
    let on = Translated::new(target(on), on_zh);
    Translated::new(format!("{operation} on {}", on.en), format!("{operation}，目标：{}", on.zh))
}

/// What the report cannot say.
fn unknown(figures: &Figures, evidence: &Evidence, timeline: Option<&Timeline>) -> Vec<Translated> {
    let is_sent = figures.state != StateName::Planned;
    let sessions = (is_sent && evidence.sessions.is_empty()).then_some(texts::NO_SESSION);
    let over_time = timeline.map_or(Some(timeline::NO_SERIES), Timeline::unknown);
    over_time.into_iter().chain(sessions).chain(texts::UNKNOWN.iter().copied()).collect()
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
mod chinese_tests;
#[cfg(test)]
mod tests;
