//! The state of runs: all of them as a table, or one in detail, also while a process is sending.

use std::time::Duration;

use jiff::Zoned;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::bottleneck::bottleneck_text;
use super::control::who_and_when;
use super::figures::{Figures, target};
use super::json::{self, DateTime, FormatVersion, RowsByOutcome};
use super::state::{RunnerPresence, StateName};
use super::text::{Text, between, call_rate, count, counted, duration, minute, rate, second, share, visible};
use super::wrap::{cut, wrap};
use crate::domain::bottleneck::Bottleneck;
use crate::domain::control::RunPause;
use crate::domain::guard::Bytes;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::hint::{Hint, Message};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verification::VerifiedRows;
use crate::domain::target::RunTarget;
use crate::domain::timestamp::rfc3339;

/// The characters of a run id in a table, unless more are needed to tell the runs apart.
const SHORT_ID: usize = 8;
/// After this time without a heartbeat, the process is not well.
const SILENCE: Duration = Duration::from_secs(10);
/// The smallest number of columns of a job's name in a table.
const SHORTEST_NAME: usize = 8;

/// What `imbulk status --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusOutput {
    /// All runs of a queue.
    Overview(Overview),
    /// One run.
    Detail(Box<Detail>),
}

/// A run in detail.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Detail {
    /// Its state.
    #[serde(flatten)]
    pub figures: Figures,
    /// Its state, and what follows from it.
    #[serde(flatten)]
    pub facts: StateFacts,
    /// Whether `codes` were counted in the first rows only, and `rejects` left out, because there are many.
    pub is_partial: bool,
    /// The last session, which may be sending now; null before the first one.
    pub session: Option<SessionTotals>,
    /// The speed, while a process is sending the run.
    #[serde(serialize_with = "heartbeat_as_json")]
    #[schemars(with = "Option<HeartbeatFigures>")]
    pub heartbeat: Option<Heartbeat>,
    /// The pause by a person, while there is one.
    #[serde(serialize_with = "pause_as_json")]
    #[schemars(with = "Option<PauseFigures>")]
    pub pause: Option<RunPause>,
    /// The size of the queue on disk, with its WAL.
    #[serde(serialize_with = "bytes_as_json")]
    #[schemars(with = "u64")]
    pub queue_bytes: Bytes,
    /// Now, by the local clock.
    #[serde(skip)]
    pub now: Zoned,
}

/// What follows from the state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StateFacts {
    /// Since when the run is in its state. After a kill, when its process was seen last.
    #[serde(serialize_with = "json::moment_if_any")]
    #[schemars(with = "Option<DateTime>")]
    pub since: Option<Zoned>,
    /// The process that is sending it.
    pub pid: Option<u32>,
    /// How long it still takes at the speed of the last seconds; null if that is not known.
    pub seconds_left: Option<u64>,
    /// What `imbulk forget` left of its rows; null if they are in the queue.
    pub forgotten: Option<ForgottenRows>,
    /// Rows by what the last `imbulk verify` of each showed.
    pub verified: VerifiedRows,
}

/// What remains of the rows of a run that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForgottenRows {
    /// When they were removed.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub at: Zoned,
    /// The BLAKE3 digest of the results as CSV.
    pub results_digest: String,
}

/// What a session did with a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SessionTotals {
    /// When it began to send.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub began_at: Zoned,
    /// How long it has lasted, as far as it is known.
    pub seconds: u64,
    /// Calls begun.
    pub calls: u64,
    /// Rows that got their outcome in it.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
}

/// All runs of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Overview {
    /// The version of the format.
    pub schema: FormatVersion,
    /// Oldest first.
    pub runs: Vec<RunStatus>,
    /// The size of the queue on disk, with its WAL.
    #[serde(serialize_with = "bytes_as_json")]
    #[schemars(with = "u64")]
    pub queue_bytes: Bytes,
    /// Whether a process owns the queue, whatever it does.
    #[serde(skip)]
    pub runner: RunnerPresence,
    /// Now, by the local clock.
    #[serde(skip)]
    pub now: Zoned,
}

/// A run among others.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunStatus {
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
    /// What follows from it.
    #[serde(flatten)]
    pub facts: StateFacts,
    /// Why the last session ended before the run did.
    #[serde(serialize_with = "json::message")]
    #[schemars(with = "Option<String>")]
    pub stopped: Option<Message>,
    /// What limits the speed, in words; null if no process is sending the run.
    pub limited_by: Option<String>,
    /// Rows of the input.
    pub rows: u64,
    /// Rows by outcome.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
}

/// A heartbeat for programs.
#[derive(Serialize, JsonSchema)]
struct HeartbeatFigures {
    /// When the process stored it.
    #[schemars(with = "DateTime")]
    at: String,
    /// Rows of the run that got their outcome, per second.
    rows_per_second: f64,
    /// Calls begun, per second.
    calls_per_second: f64,
    /// Calls that are not answered yet.
    in_flight: u64,
    /// The median duration of the last calls; null before the first answer.
    median_latency_seconds: Option<f64>,
    /// What limits the speed; null while requests are read from the queue.
    bottleneck: Option<BottleneckFigures>,
}

/// What limits the speed, for programs.
#[derive(Serialize, JsonSchema)]
struct BottleneckFigures {
    /// Its kind.
    kind: &'static str,
    /// Its numbers, in words.
    text: String,
}

/// A pause, for programs.
#[derive(Serialize, JsonSchema)]
struct PauseFigures {
    /// User, host and process.
    who: String,
    /// Since when.
    #[schemars(with = "DateTime")]
    since: String,
}

impl StatusOutput {
    /// The text for people. Lines have no more columns than `width`, if it is known.
    pub fn text(&self, width: Option<u16>) -> String {
        match self {
            Self::Overview(overview) => overview.text(width),
            Self::Detail(detail) => detail.text(width),
        }
    }

    /// The text of an update where nothing can be drawn again: the time, and one line, or the table of all runs.
    pub fn update(&self) -> String {
        match self {
            Self::Overview(overview) => format!("{}\n{}", second(&overview.now), overview.text(None)),
            Self::Detail(detail) => detail.line(),
        }
    }

    /// Whether a process works on what is shown, so that it may change.
    pub fn may_change(&self) -> bool {
        match self {
            Self::Overview(overview) => overview.runner == RunnerPresence::Present,
            Self::Detail(detail) => detail.figures.state == StateName::Sending,
        }
    }
}

impl StateFacts {
    /// `9,998 confirmed, 2 contradicted`
    pub(super) fn verified_text(&self, comma: &str) -> String {
        let found = self.verified.each().into_iter().filter(|(_, rows)| *rows > 0);
        found.map(|(verified, rows)| format!("{} {verified}", count(rows))).collect::<Vec<_>>().join(comma)
    }
}

impl Detail {
    /// The text for people. See [`StatusOutput::text`].
    pub fn text(&self, width: Option<u16>) -> String {
        let mut text = Text::default();
        let figures = &self.figures;
        text.figure("job", &visible(&figures.job));
        text.figure("run", &visible(&figures.run));
        text.figure("operation", &format!("{} on {}", figures.operation, target(figures.target)));
        text.figure("state", &self.state());
        text.figure("progress", &self.progress());
        self.speed(&mut text);
        if let Some(pause) = &self.pause {
            // While the run is being sent, the pause limits its speed, and was named above.
            if figures.state != StateName::Sending {
                text.figure("paused", &who_and_when(pause));
            }
            text.line(&format!("hint: `imbulk ctl {} resume` ends the pause", visible(&figures.job)));
        }
        if let Some(why) = &figures.stopped {
            text.figure("reason", &visible(&why.text));
            if let Some(hint) = why.hint() {
                text.line(&format!("hint: {}", visible(&hint)));
            }
        }
        if let Some(ForgottenRows { at, results_digest }) = &self.facts.forgotten {
            text.figure("forgotten", &format!("{}: its rows and results were removed", minute(at)));
            text.figure("results", &format!("BLAKE3 {results_digest}"));
        }
        self.totals(&mut text);
        if self.facts.verified != VerifiedRows::default() {
            text.figure("verified", &self.facts.verified_text(", "));
        }
        text.figure("queue", &format!("{} on disk", self.queue_bytes));
        figures.codes(&mut text);
        if self.is_partial {
            text.line("  counted in the first rows only, because there are many");
        }
        figures.rejects(&mut text);
        fit(text, width)
    }

    /// An update in one line.
    fn line(&self) -> String {
        let Figures { state, rows, outcomes, .. } = &self.figures;
        let done = format!("{} of {}", share(done(*rows, outcomes), *rows), counted(*rows, "row", "rows"));
        let [failed, in_doubt] = [Outcome::Failed, Outcome::InDoubt].map(|outcome| count(outcomes[outcome]));
        let (now, state) = (second(&self.now), state.name());
        let mut line = format!("{now}  {state}  {done}, {failed} failed, {in_doubt} in doubt");
        if let Some(heartbeat) = &self.heartbeat {
            line.push_str(&format!(", {}", call_rate(heartbeat.rates.calls)));
        }
        line.push_str(&self.facts.left());
        if let Some(limit) = self.limited_by() {
            line.push_str(&format!("; {limit}"));
        }
        line
    }

    fn state(&self) -> String {
        let mut state = self.figures.state.name().to_owned();
        if let Some(since) = &self.facts.since {
            let seen = if self.figures.state == StateName::Interrupted { "last seen" } else { "since" };
            state.push_str(&format!(", {seen} {} ({} ago)", minute(since), between(since, &self.now).en));
        }
        if let Some(pid) = self.facts.pid {
            state.push_str(&format!(", pid {pid}"));
        }
        state
    }

    fn progress(&self) -> String {
        let Figures { rows, outcomes, .. } = &self.figures;
        let share = share(done(*rows, outcomes), *rows);
        format!("{share} of {} done{}", counted(*rows, "row", "rows"), self.facts.left())
    }

    /// How fast it is, and why it is not faster.
    fn speed(&self, text: &mut Text) {
        if let Some(limit) = self.limited_by() {
            text.figure("limited by", &limit);
        }
        if let Some(Heartbeat { rates, in_flight, median_latency, .. }) = &self.heartbeat {
            let latency = median_latency.map(|median| format!(", {} per call (median)", duration(median)));
            let (calls, rows) = (call_rate(rates.calls), rate(rates.units));
            let in_flight = count(*in_flight);
            text.figure(
                "speed",
                &format!("{calls}, {rows} rows/s, {in_flight} in flight{}", latency.unwrap_or_default()),
            );
        }
    }

    fn limited_by(&self) -> Option<String> {
        (self.figures.state == StateName::Sending).then(|| limited_by(self.heartbeat.as_ref(), &self.now))
    }

    /// The totals of the run, next to those of the session.
    fn totals(&self, text: &mut Text) {
        let Figures { state, rows, outcomes, .. } = &self.figures;
        let title = if *state == StateName::Sending { "this session" } else { "last session" };
        let column = |session: &dyn Fn(&SessionTotals) -> u64| {
            self.session.as_ref().map(|totals| count(session(totals))).unwrap_or_default()
        };
        let title = self.session.as_ref().map_or("", |_| title);
        text.line(&row("rows", &count(*rows), "", title));
        for (outcome, ended) in outcomes.iter().filter(|(_, rows)| *rows > 0) {
            let session = match outcome {
                Outcome::Pending | Outcome::Rejected | Outcome::Duplicate | Outcome::Protected => String::new(),
                Outcome::Succeeded | Outcome::AlreadyDone | Outcome::Failed | Outcome::InDoubt => {
                    column(&|totals| totals.outcomes[outcome])
                }
            };
            text.line(&row(&format!("  {outcome}"), &count(ended), &share(ended, *rows), &session));
        }
        if let Some(totals) = &self.session {
            text.line(&row("calls", "", "", &count(totals.calls)));
            text.line(&row("time", "", "", &duration(Duration::from_secs(totals.seconds))));
        }
    }
}

/// A line of the table of totals.
fn row(name: &str, run: &str, share: &str, session: &str) -> String {
    format!("{name:<14} {run:>12}  {share:>8}  {session:>14}")
}

impl StateFacts {
    /// `, 3 h 5 min left`
    fn left(&self) -> String {
        let left = self.seconds_left.map(|seconds| format!(", {} left", duration(Duration::from_secs(seconds))));
        left.unwrap_or_default()
    }
}

impl SessionTotals {
    /// What the session of the last heartbeat did with a run, of which these rows have an outcome now.
    pub fn new(heartbeat: &Heartbeat, now: &Tally, moment: impl Fn(i64) -> Zoned) -> Self {
        let lasted = heartbeat.at.saturating_sub(heartbeat.began_at).max(0).cast_unsigned();
        let rows = |outcome| now[outcome].saturating_sub(heartbeat.before[outcome]);
        Self {
            began_at: moment(heartbeat.began_at),
            seconds: lasted / 1_000,
            calls: heartbeat.calls,
            outcomes: Outcome::ALL.into_iter().map(|outcome| (outcome, rows(outcome))).collect(),
        }
    }
}

/// How long these rows still take; none if the speed of the last seconds says nothing about it.
pub fn seconds_left(heartbeat: &Heartbeat, rows_left: u64) -> Option<u64> {
    let is_moving = match heartbeat.bottleneck {
        Some(
            Bottleneck::Outage(_)
            | Bottleneck::RetryBudget(_)
            | Bottleneck::Pause(_)
            | Bottleneck::Canary(_)
            | Bottleneck::Draining { .. },
        ) => false,
        Some(
            Bottleneck::Cap { .. }
            | Bottleneck::Throttle { .. }
            | Bottleneck::HotAccounts { .. }
            | Bottleneck::Retries { .. }
            | Bottleneck::Quarantine { .. }
            | Bottleneck::Latency { .. }
            | Bottleneck::Slots { .. }
            | Bottleneck::LastCalls { .. },
        )
        | None => true,
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = (is_moving && heartbeat.rates.units > 0.0).then(|| rows_left as f64 / heartbeat.rates.units)?;
    Some(Duration::try_from_secs_f64(seconds.ceil()).ok()?.as_secs())
}

/// Why a run that is being sent is not faster.
pub fn limited_by(heartbeat: Option<&Heartbeat>, now: &Zoned) -> String {
    let Some(heartbeat) = heartbeat else { return "the session is starting".to_owned() };
    let silent = now.timestamp().as_millisecond().saturating_sub(heartbeat.at).max(0).cast_unsigned();
    if Duration::from_millis(silent) >= SILENCE {
        let silent = duration(Duration::from_secs(silent / 1_000));
        return format!(
            "the process has stored nothing for {silent}: it waits for the disk, or a signal has stopped it"
        );
    }
    match &heartbeat.bottleneck {
        Some(bottleneck) => bottleneck_text(bottleneck),
        None => "requests are read from the queue".to_owned(),
    }
}

impl Overview {
    /// The table for people. See [`StatusOutput::text`].
    pub fn text(&self, width: Option<u16>) -> String {
        if self.runs.is_empty() {
            return match self.runner {
                RunnerPresence::Present => {
                    "no runs yet, but a process owns the queue: it may be loading the first one\n"
                }
                RunnerPresence::Absent => "no runs yet: imbulk plan JOB loads one\n",
            }
            .to_owned();
        }
        let id = id_length(self.runs.iter().map(|run| run.run.as_str()));
        let header = ["job", "run", "state", "done", "rows", "failed", "in_doubt"].map(str::to_owned);
        let cells: Vec<[String; 7]> = self.runs.iter().map(|run| run.cells(id)).collect();
        let mut widths = [0; 7];
        for line in cells.iter().chain([&header]) {
            widths.iter_mut().zip(line).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
        }
        if let Some(width) = width {
            let others: usize = widths[1..].iter().map(|width| width + 2).sum();
            widths[0] = widths[0].min(usize::from(width).saturating_sub(others).max(SHORTEST_NAME));
        }
        let mut text = Text::default();
        text.line(&table_line(&header, &widths));
        for (run, cells) in self.runs.iter().zip(&cells) {
            text.line(&table_line(cells, &widths));
            text.line(&format!("  {}", run.second_line(&self.now)));
        }
        text.line(&format!("queue: {} on disk", self.queue_bytes));
        fit(text, width)
    }
}

fn table_line(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let [job, run, state, done, rows, failed, in_doubt] = cells;
    let [w0, w1, w2, w3, w4, w5, w6] = *widths;
    let job = cut(job, w0);
    format!("{job:<w0$}  {run:<w1$}  {state:<w2$}  {done:>w3$}  {rows:>w4$}  {failed:>w5$}  {in_doubt:>w6$}")
}

/// How many characters of these ids tell them apart.
fn id_length<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    let common = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(|pair| common(pair) + 1).max().unwrap_or(0).max(SHORT_ID)
}

impl RunStatus {
    fn cells(&self, id: usize) -> [String; 7] {
        let Self { job, run, state, rows, outcomes, .. } = self;
        [
            visible(job).into_owned(),
            visible(run).chars().take(id).collect(),
            state.name().to_owned(),
            share(done(*rows, outcomes), *rows),
            count(*rows),
            count(outcomes[Outcome::Failed]),
            count(outcomes[Outcome::InDoubt]),
        ]
    }

    /// Where the run sends, since when it is in its state, and why.
    fn second_line(&self, now: &Zoned) -> String {
        let StateFacts { since, pid, forgotten, .. } = &self.facts;
        let mut line = target(self.target);
        if let Some(since) = since {
            line.push_str(&format!(", {} ago", between(since, now).en));
        }
        if let Some(pid) = pid {
            line.push_str(&format!(", pid {pid}"));
        }
        line.push_str(&self.facts.left());
        if let Some(forgotten) = forgotten {
            line.push_str(&format!(", forgotten {} ago", between(&forgotten.at, now).en));
        }
        let why = self.limited_by.as_deref().or(self.stopped.as_ref().map(|why| why.text.as_str()));
        if let Some(why) = why {
            line.push_str(&format!(": {}", visible(why)));
        }
        line
    }
}

/// Rows that have an outcome.
fn done(rows: u64, outcomes: &Tally) -> u64 {
    rows.saturating_sub(outcomes[Outcome::Pending])
}

fn fit(text: Text, width: Option<u16>) -> String {
    let text = String::from(text);
    match width {
        Some(width) => wrap(&text, width.into()),
        None => text,
    }
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn heartbeat_as_json<S: Serializer>(heartbeat: &Option<Heartbeat>, serializer: S) -> Result<S::Ok, S::Error> {
    let bottleneck = |it: &Bottleneck| BottleneckFigures { kind: it.kind().name(), text: bottleneck_text(it) };
    let figures = heartbeat.as_ref().map(|heartbeat| HeartbeatFigures {
        at: rfc3339(heartbeat.at),
        rows_per_second: heartbeat.rates.units,
        calls_per_second: heartbeat.rates.calls,
        in_flight: heartbeat.in_flight,
        median_latency_seconds: heartbeat.median_latency.map(|median| median.as_secs_f64()),
        bottleneck: heartbeat.bottleneck.as_ref().map(bottleneck),
    });
    figures.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn pause_as_json<S: Serializer>(pause: &Option<RunPause>, serializer: S) -> Result<S::Ok, S::Error> {
    let figures = pause.as_ref().map(|pause| PauseFigures { who: pause.who.clone(), since: rfc3339(pause.since) });
    figures.serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field")]
fn bytes_as_json<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(bytes.0)
}

#[cfg(test)]
mod tests;
