//! What the guards of a job say, in words.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::figures::Rejects;
use super::text::{Text, count, counted, share, visible};
use crate::domain::guard::GuardValue;
use crate::domain::hint::Message;
use crate::domain::job::Job;
use crate::domain::language::Translated;

/// What the guard sees and what it allows: `5 items, at most 10`.
pub(super) fn guard_text(guard: &GuardValue) -> Translated<String> {
    match *guard {
        GuardValue::MinItems { items, min } => Translated::new(
            format!("{}, at least {}", these(items), count(min)),
            format!("{} 个条目，至少 {}", count(items), count(min)),
        ),
        GuardValue::MaxItems { items, max } => Translated::new(
            format!("{}, at most {}", these(items), count(max)),
            format!("{} 个条目，至多 {}", count(items), count(max)),
        ),
        GuardValue::MaxChange { items, median: None, max_change } => Translated::new(
            format!(
                "{}, at most {max_change} times the median of the last runs, of which there are none",
                these(items)
            ),
            format!("{} 个条目，至多为最近几次运行中位数的 {max_change} 倍（尚无这样的运行）", count(items)),
        ),
        GuardValue::MaxChange { items, median: Some(median), max_change } => Translated::new(
            format!("{}, at most {max_change} times the median of the last runs ({median})", these(items)),
            format!("{} 个条目，至多为最近几次运行中位数（{median}）的 {max_change} 倍", count(items)),
        ),
        GuardValue::MaxRejected { rejected, rows, max, .. } => {
            let (share, most) = (share(rejected, rows), percent(max));
            if guard.allows() && as_f64(rejected) > max * as_f64(rows) {
                return Translated::new(
                    format!("{share} of rows rejected, at most {most}; one rejected row is allowed"),
                    format!("{share} 的行被拒绝，至多 {most}；允许有一行被拒绝"),
                );
            }
            Translated::new(
                format!("{share} of rows rejected, at most {most}"),
                format!("{share} 的行被拒绝，至多 {most}"),
            )
        }
    }
}

/// A guard for programs.
#[derive(Serialize, JsonSchema)]
pub(super) struct GuardFigures {
    /// Its key in the job file.
    pub(super) guard: &'static str,
    /// Whether it allows the run.
    pub(super) allows: bool,
    /// Items, a multiple of the median, or a share of the rows; null if there is nothing to compare with.
    pub(super) value: Option<Number>,
    /// What it allows, in the same unit.
    pub(super) limit: Option<Number>,
}

impl GuardFigures {
    pub(super) fn new(guard: &GuardValue) -> Self {
        let (value, limit) = match *guard {
            GuardValue::MinItems { items, min: limit } | GuardValue::MaxItems { items, max: limit } => {
                (Some(items.into()), Some(limit.into()))
            }
            GuardValue::MaxChange { items, median, max_change } => {
                (median.and_then(|median| Number::from_f64(times(items, median))), Number::from_f64(max_change))
            }
            GuardValue::MaxRejected { rejected, rows, max, .. } => {
                let share = if rows == 0 { 0.0 } else { times(rejected, as_f64(rows)) };
                (Number::from_f64(share), Number::from_f64(max))
            }
        };
        Self { guard: guard.key(), allows: guard.allows(), value, limit }
    }
}

fn times(part: u64, whole: f64) -> f64 {
    as_f64(part) / whole
}

#[expect(clippy::cast_precision_loss, reason = "counts of items stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The guards that are read while a run is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct WhileSending {
    /// Items that are evaluated before the rest is sent; 0: none are.
    pub canary: u64,
    /// The share of failed items at which the run halts.
    pub failed_share: f64,
    /// The share of items that were already done at which it halts.
    pub max_already_done: Option<f64>,
    /// Both shares are evaluated from this many items on.
    pub after_items: u64,
}

impl WhileSending {
    /// The guards of a job on a real app or on another target.
    pub fn of(job: &Job, is_real: bool) -> Self {
        Self {
            canary: job.guard.canary_on(is_real),
            failed_share: job.stop.failed_share,
            max_already_done: job.guard.max_already_done,
            after_items: job.stop.after_items,
        }
    }

    /// Two figures of the plan.
    pub(super) fn block(&self, text: &mut Text) {
        let canary = match self.canary {
            0 => "off".to_owned(),
            items => format!(
                "the first requests, {} or more, are evaluated before the rest is sent",
                counted(items, "item", "items")
            ),
        };
        text.figure("canary", &canary);
        let already_done =
            self.max_already_done.map(|share| format!(" or {} already_done", percent(share))).unwrap_or_default();
        let failed = percent(self.failed_share);
        text.figure("halts", &format!("at {failed} failed{already_done}, from {} on", these(self.after_items)));
    }
}

/// Why nothing is sent: one message for each guard that refuses. `file` is the job file.
pub fn refusals(file: &str, guards: &[GuardValue], rejects: &Rejects) -> Vec<Message> {
    let refusing = guards.iter().filter(|guard| !guard.allows());
    refusing.map(|guard| refusal(file, guard, rejects)).collect()
}

fn refusal(file: &str, guard: &GuardValue, rejects: &Rejects) -> Message {
    let place = format!("{}: {}", visible(file), guard.key());
    match *guard {
        GuardValue::MinItems { items, min } => {
            let text = format!("{place}: {} to send, fewer than {}: nothing is sent", these(items), count(min));
            Message::new(text).add_hint("check that the input is complete; lower `min_items` if it is")
        }
        GuardValue::MaxItems { items, max } => {
            let text = format!("{place}: {} to send, more than {}: nothing is sent", these(items), count(max));
            Message::new(text).add_hint("check the input; raise `max_items` if all of them are meant")
        }
        GuardValue::MaxChange { items, median, max_change } => {
            let (items, median) = (these(items), median.unwrap_or_default());
            Message::new(format!(
                "{place}: {items} to send, more than {max_change} times the median of the last runs ({median}): \
                 nothing is sent"
            ))
            .add_hint("check the input; raise `max_change` if all of them are meant")
        }
        GuardValue::MaxRejected { rejected, rows, max, .. } => {
            let mut text = Text::default();
            text.line(&format!(
                "{place}: {} of {} rejected ({}), more than {}: nothing is sent",
                count(rejected),
                counted(rows, "row is", "rows are"),
                share(rejected, rows),
                percent(max)
            ));
            rejects.lines(&mut text, rejected);
            Message::new(String::from(text).trim_end())
                .add_hint("correct these rows, or write max_rejected = 1 in [guard] to send the others")
        }
    }
}

fn these(items: u64) -> String {
    counted(items, "item", "items")
}

/// A share as the job file says it, in per cent.
pub(super) fn percent(share: f64) -> String {
    let percent = format!("{:.4}", share * 100.0);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hint::Hint;
    use crate::queue::Rejected;

    fn rejects() -> Rejects {
        let row = |line| Rejected {
            source: "in.csv".to_owned(),
            line,
            column: Some("UserID".to_owned()),
            reason: "`UserID` is empty".to_owned(),
        };
        Rejects(vec![row(2), row(7)])
    }

    fn refused(guard: GuardValue) -> String {
        assert!(!guard.allows());
        refusal("job.toml", &guard, &rejects()).with_hint()
    }

    #[test]
    fn a_refusal_names_the_key_the_figures_and_what_to_do() {
        insta::assert_snapshot!(refused(GuardValue::MinItems { items: 1, min: 1_000 }), @r"
        job.toml: guard.min_items: 1 item to send, fewer than 1,000: nothing is sent
        hint: check that the input is complete; lower `min_items` if it is
        ");
        insta::assert_snapshot!(refused(GuardValue::MaxItems { items: 49_997, max: 20_000 }), @r"
        job.toml: guard.max_items: 49,997 items to send, more than 20,000: nothing is sent
        hint: check the input; raise `max_items` if all of them are meant
        ");
        let change = GuardValue::MaxChange { items: 16, median: Some(5.0), max_change: 3.0 };
        insta::assert_snapshot!(refused(change), @r"
        job.toml: guard.max_change: 16 items to send, more than 3 times the median of the last runs (5): nothing is sent
        hint: check the input; raise `max_change` if all of them are meant
        ");
        let rejected = GuardValue::MaxRejected { rejected: 1_200, rows: 4_000, max: 0.1, tolerated: 1 };
        insta::assert_snapshot!(refused(rejected), @r"
        job.toml: guard.max_rejected: 1,200 of 4,000 rows are rejected (30.0 %), more than 10 %: nothing is sent
          in.csv:2: `UserID` is empty
          in.csv:7: `UserID` is empty
          and 1,198 more
        hint: correct these rows, or write max_rejected = 1 in [guard] to send the others
        ");
    }

    #[test]
    fn every_guard_that_says_no_is_named_and_no_other() {
        let guards = [
            GuardValue::MinItems { items: 5, min: 1 },
            GuardValue::MaxItems { items: 5, max: 4 },
            GuardValue::MaxRejected { rejected: 1, rows: 6, max: 0.125, tolerated: 0 },
        ];
        let messages = refusals("a.toml", &guards, &Rejects(Vec::new()));
        let text = messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n");
        assert!(text.contains("guard.max_items") && text.contains("guard.max_rejected"), "{text}");
        assert!(text.contains("12.5 %") && !text.contains("min_items"), "{text}");
    }

    #[test]
    fn the_guards_of_a_run_on_its_way_are_shown_with_their_limits() {
        let shown = |guards: WhileSending| {
            let mut text = Text::default();
            guards.block(&mut text);
            String::from(text)
        };
        let guards = WhileSending { canary: 100, failed_share: 0.05, max_already_done: Some(0.5), after_items: 1_000 };
        insta::assert_snapshot!(shown(guards), @r"
        canary         the first requests, 100 items or more, are evaluated before the rest is sent
        halts          at 5 % failed or 50 % already_done, from 1,000 items on
        ");
        insta::assert_snapshot!(shown(WhileSending { canary: 0, max_already_done: None, ..guards }), @r"
        canary         off
        halts          at 5 % failed, from 1,000 items on
        ");
    }

    #[test]
    fn a_guard_shows_the_value_against_the_limit() {
        let guards = [
            GuardValue::MinItems { items: 5_000, min: 1 },
            GuardValue::MaxItems { items: 5_000, max: 20_000 },
            GuardValue::MaxChange { items: 5_000, median: None, max_change: 3.0 },
            GuardValue::MaxChange { items: 5_000, median: Some(4_200.5), max_change: 1.5 },
            GuardValue::MaxRejected { rejected: 3, rows: 5_003, max: 0.1, tolerated: 1 },
        ];
        let json = guards.map(|guard| serde_json::to_value(super::GuardFigures::new(&guard)).unwrap());
        let figures = |at: usize| (json[at]["value"].clone(), json[at]["limit"].clone());
        assert_eq!(json[1]["guard"], "guard.max_items");
        assert_eq!((figures(1), figures(2)), ((5_000.into(), 20_000.into()), (serde_json::Value::Null, 3.0.into())));
        assert_eq!(figures(3), ((5_000.0 / 4_200.5).into(), 1.5.into()));
        assert_eq!(
            guards.map(|guard| super::guard_text(&guard).en),
            [
                "5,000 items, at least 1",
                "5,000 items, at most 20,000",
                "5,000 items, at most 3 times the median of the last runs, of which there are none",
                "5,000 items, at most 1.5 times the median of the last runs (4200.5)",
                "< 0.1 % of rows rejected, at most 10 %",
            ]
        );
    }
}
