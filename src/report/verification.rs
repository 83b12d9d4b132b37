//! What a verification will cost, and what it found out.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::Serializer;

use super::json::{self, FormatVersion};
use super::text::{Text, call_rate, count, counted, duration, rate, share, visible};
use crate::domain::hint::Message;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::{Verified, VerifiedRows};
use crate::domain::target::RunTarget;
use crate::queue::{QueueError, Run, VerifiedReason, VerifySelection};

/// Reasons that a text lists; JSON holds all.
const SHOWN_REASONS: usize = 12;

/// What a verification is about to do.
#[derive(Debug)]
pub struct VerifyIntent<'a> {
    /// Rows that are still to be looked up.
    pub rows: u64,
    /// The calls that this takes without repetitions.
    pub calls: u64,
    /// The name of the command.
    pub command: &'static str,
    /// The maximum of calls per second.
    pub calls_per_second: NonZeroU32,
    /// Scheme, host and port.
    pub endpoint: String,
    /// The target of the run.
    pub target: RunTarget,
    /// The admin account that signs the calls.
    pub admin: &'a str,
}

impl VerifyIntent<'_> {
    /// The text for people.
    pub fn text(&self) -> String {
        let Self { rows, calls, command, calls_per_second, endpoint, target, admin } = self;
        let (rows, calls) = (counted(*rows, "row", "rows"), counted(*calls, "call", "calls"));
        let (pace, target) = (call_rate(calls_per_second.get().into()), super::target_name(*target));
        format!("looks up {rows} with {calls} of {command}, at most {pace}, on {target} ({endpoint}, admin {admin})")
    }
}

/// What a verification found out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VerifyReport {
    /// The version of the format.
    pub schema: FormatVersion,
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// The operation's name.
    pub operation: &'static str,
    /// The SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// The rows that it looked up.
    #[serde(flatten, serialize_with = "selection_as_json")]
    #[schemars(with = "SelectionFigures")]
    pub selection: VerifySelection,
    /// Its rows by what the lookups showed, over all sessions of this verification.
    pub verified: VerifiedRows,
    /// Rows that are still to be looked up.
    pub pending: u64,
    /// What was there in place of the requested state, and why lookups showed nothing, the most frequent first.
    #[serde(serialize_with = "reasons_as_json")]
    #[schemars(with = "Vec<ReasonFigures>")]
    pub reasons: Vec<VerifiedReason>,
    /// Why it ended early.
    #[serde(serialize_with = "json::message")]
    #[schemars(with = "Option<String>")]
    pub stopped: Option<Message>,
    /// How long this session took.
    pub seconds: f64,
    /// The calls of this session.
    pub calls: u64,
}

/// The rows that a verification looks up.
#[derive(Serialize, JsonSchema)]
struct SelectionFigures {
    /// Rows with these outcomes.
    outcomes: Vec<Outcome>,
    /// The number of random items; null: all.
    sample: Option<u64>,
    /// The seed of the random choice, as text, since it may exceed 2^53; null without a sample.
    seed: Option<String>,
}

/// Rows with one result for one reason.
#[derive(Serialize, JsonSchema)]
struct ReasonFigures<'a> {
    /// The result.
    verified: Verified,
    /// The code; null if no answer named one.
    code: Option<i64>,
    /// What was there, or why the lookup showed nothing.
    reason: &'a str,
    /// The number of rows.
    rows: u64,
}

fn selection_as_json<S: Serializer>(selection: &VerifySelection, serializer: S) -> Result<S::Ok, S::Error> {
    let VerifySelection { outcomes, sample } = selection;
    let figures = SelectionFigures {
        outcomes: outcomes.clone(),
        sample: sample.map(|sample| sample.items.get()),
        seed: sample.map(|sample| sample.seed.to_string()),
    };
    figures.serialize(serializer)
}

fn reasons_as_json<S: Serializer>(reasons: &[VerifiedReason], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(reasons.iter().map(|VerifiedReason { verified, code, reason, rows }| ReasonFigures {
        verified: *verified,
        code: *code,
        reason,
        rows: *rows,
    }))
}

impl VerifyReport {
    /// The report if no row is selected.
    pub fn of_nothing(run: &Run, selection: VerifySelection) -> Result<Self, QueueError> {
        Ok(Self {
            schema: FormatVersion,
            run: run.uuid.clone(),
            job: run.job.clone(),
            operation: run.operation.name,
            target: run.target,
            selection,
            verified: VerifiedRows::default(),
            pending: 0,
            reasons: Vec::new(),
            stopped: None,
            seconds: 0.0,
            calls: 0,
        })
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        let all = self.verified.total() + self.pending;
        text.figure("job", &visible(&self.job));
        text.figure("run", &visible(&self.run));
        text.figure("verified", &format!("{} of {}", selection_text(&self.selection), super::target_name(self.target)));
        text.figure("rows", &count(all));
        let pending = ("pending", self.pending);
        let results = self.verified.each().map(|(verified, rows)| (verified.name(), rows));
        for (name, rows) in results.into_iter().chain([pending]).filter(|(_, rows)| *rows > 0) {
            text.figure(&format!("  {name}"), &format!("{:>12}  {:>8}", count(rows), share(rows, all)));
        }
        self.reasons(&mut text);
        text.figure("took", &self.took());
        if let Some(why) = &self.stopped {
            text.stopped(why);
        }
        let steps = self.next_steps();
        if !steps.is_empty() {
            text.line("next");
            steps.iter().for_each(|step| text.line(&format!("  {step}")));
        }
        text.into()
    }

    fn reasons(&self, text: &mut Text) {
        if self.reasons.is_empty() {
            return;
        }
        text.line("reasons");
        for VerifiedReason { verified, code, reason, rows } in self.reasons.iter().take(SHOWN_REASONS) {
            let code = code.map_or_else(String::new, |code| format!("{code} "));
            text.line(&format!("  {verified:<12} {:>12}  {code}{}", count(*rows), visible(reason)));
        }
        if let Some(more) = self.reasons.len().checked_sub(SHOWN_REASONS).filter(|more| *more > 0) {
            text.line(&format!("  and {more} more: --json lists all"));
        }
    }

    fn took(&self) -> String {
        let took = std::time::Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^53")]
        let speed = if self.seconds > 0.0 { self.calls as f64 / self.seconds } else { 0.0 };
        format!("{}, {} sent ({}/s)", duration(took), counted(self.calls, "call", "calls"), rate(speed))
    }

    fn next_steps(&self) -> Vec<String> {
        let job = visible(&self.job);
        let mut steps = Vec::new();
        if self.pending > 0 {
            steps.push("run the same command to look up the rows that are left".to_owned());
        }
        if self.verified.contradicted > 0 {
            steps.push(format!("imbulk results {job}                           names these rows in column `verified`"));
            steps.push(format!("imbulk retry {job} --verified contradicted   makes these rows pending again"));
        }
        if self.verified.unknown > 0 {
            steps.push("run the same command again to look up all of these rows, also the unknown ones".to_owned());
        }
        steps
    }
}

/// The selected rows, in words: the outcomes, and the sample with its seed.
pub fn selection_text(VerifySelection { outcomes, sample }: &VerifySelection) -> String {
    let outcomes: Vec<&str> = outcomes.iter().map(|outcome| outcome.name()).collect();
    let sample = sample.map_or_else(String::new, |sample| {
        format!(", a sample of {} with --seed {}", counted(sample.items.get(), "item", "items"), sample.seed)
    });
    format!("rows that are {}{sample}", outcomes.join(" or "))
}
