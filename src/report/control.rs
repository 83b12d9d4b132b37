//! The texts of `imbulk ctl`.

use super::text::{count, counted, visible};
use crate::domain::control::{AppliedInstruction, ControlEffect, InstructionKind, RunPause};
use crate::domain::hint::Message;
use crate::domain::timestamp::rfc3339;

/// What an instruction changed. `job`: the name of the run's job.
pub fn answer(job: &str, AppliedInstruction { instruction, effect }: &AppliedInstruction) -> Message {
    let calls = |in_flight: u64| match in_flight {
        0 => "no call is in flight".to_owned(),
        1 => "1 call in flight ends and is recorded".to_owned(),
        many => format!("{} calls in flight end and are recorded", count(many)),
    };
    let message = |text: &str| Message::new(format!("{}: {text}", visible(job)));
    match effect {
        ControlEffect::NotSending => message(&while_not_sending(instruction.kind)),
        ControlEffect::AlreadyPaused => message("nothing changed: it was paused before"),
        ControlEffect::NotPaused => message("nothing changed: it was not paused"),
        ControlEffect::Paused { in_flight } => message(&format!("paused: no new calls; {}", calls(*in_flight)))
            .add_hint(format!("`imbulk ctl {} resume` ends the pause", visible(job))),
        ControlEffect::Resumed => message("resumed: calls begin again"),
        ControlEffect::Draining { in_flight, jobs } => {
            let others = match &jobs[..] {
                [] | [_] => String::new(),
                all => format!("; the jobs {} end together", all.join(", ")),
            };
            message(&format!("draining: no new calls; {}{}", calls(*in_flight), visible(&others)))
                .add_hint("the next `imbulk run` sends the rest")
        }
        ControlEffect::Rate { from, to, in_force } => {
            let in_force = in_force.map_or_else(String::new, lower_rate);
            message(&if from == to {
                format!("nothing changed: the rate was {}{in_force}", rate(*to))
            } else {
                format!("rate: {} → {}{in_force}", rate(*from), rate(*to))
            })
        }
        ControlEffect::AboveLimit { limit } => above_limit(job, *limit),
    }
}

/// The rate that is in force instead of that of the job.
fn lower_rate(in_force: u32) -> String {
    format!("; {} are in force, because another job that makes the same calls allows no more", rate(in_force))
}

/// The refusal of a rate above the limit of the job.
pub fn above_limit(job: &str, limit: u32) -> Message {
    let allowed = format!("limits.calls_per_second of the job allows at most {}", rate(limit));
    Message::new(format!("{}: refused: {allowed}", visible(job))).add_hint(format!("name a rate from 1 to {limit}"))
}

/// What an instruction means for a run that no process is sending.
fn while_not_sending(kind: InstructionKind) -> String {
    let then = match kind {
        InstructionKind::Pause => "the next `imbulk run` sends nothing of it until `resume`".to_owned(),
        InstructionKind::Resume => "it is not paused for the next `imbulk run`".to_owned(),
        InstructionKind::Drain => {
            "nothing is in flight, and the next `imbulk run` sends the rest; `pause` prevents that".to_owned()
        }
        InstructionKind::Rate(calls) => {
            format!("the next `imbulk run` sends at most {}, and never more than the job allows", rate(calls.get()))
        }
    };
    format!("no process is sending this run: {then}")
}

fn rate(calls: u32) -> String {
    format!("{}/s", counted(calls.into(), "call", "calls"))
}

/// An instruction that the owner of the queue has not answered in time.
pub fn not_answered(name: &str, kind: InstructionKind) -> Message {
    let name = visible(name);
    Message::new(format!(
        "{name}: stored, but not confirmed yet: the process that owns the queue is loading its input, or it waits for \
         the disk; `{kind}` takes effect before the first call of the run, or as soon as the process continues"
    ))
    .add_hint(format!("`imbulk status {name}` shows the state of the run"))
}

/// Why nothing of a run is sent: it is paused.
pub fn pause_message(job: &str, run: &str, pause: &RunPause) -> Message {
    let text = format!("{job}: nothing is sent: run {run} is paused {}", who_and_when(pause));
    Message::new(text).add_hint(format!("`imbulk ctl {job} resume`, then run again"))
}

/// By whom a run was paused, and when.
pub(super) fn who_and_when(RunPause { who, since }: &RunPause) -> String {
    format!("by {} since {}", visible(who), rfc3339(*since))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::control::Instruction;
    use crate::domain::hint::Hint;

    #[rstest]
    #[case("pause", ControlEffect::Paused { in_flight: 12 },
        "purge: paused: no new calls; 12 calls in flight end and are recorded\nhint: `imbulk ctl purge resume` ends \
         the pause")]
    #[case("pause", ControlEffect::AlreadyPaused, "purge: nothing changed: it was paused before")]
    #[case("resume", ControlEffect::Resumed, "purge: resumed: calls begin again")]
    #[case("resume", ControlEffect::NotPaused, "purge: nothing changed: it was not paused")]
    #[case("drain", ControlEffect::Draining { in_flight: 1, jobs: vec!["purge".into(), "friends".into()] },
        "purge: draining: no new calls; 1 call in flight ends and is recorded; the jobs purge, friends end together\n\
         hint: the next `imbulk run` sends the rest")]
    #[case("rate 50", ControlEffect::Rate { from: 100, to: 50, in_force: None },
        "purge: rate: 100 calls/s → 50 calls/s")]
    #[case("rate 50", ControlEffect::Rate { from: 100, to: 50, in_force: Some(20) },
        "purge: rate: 100 calls/s → 50 calls/s; 20 calls/s are in force, because another job that makes the same \
         calls allows no more")]
    #[case("rate 1", ControlEffect::Rate { from: 1, to: 1, in_force: None },
        "purge: nothing changed: the rate was 1 call/s")]
    #[case("rate 900", ControlEffect::AboveLimit { limit: 200 },
        "purge: refused: limits.calls_per_second of the job allows at most 200 calls/s\nhint: name a rate from 1 to \
         200")]
    #[case(
        "pause",
        ControlEffect::NotSending,
        "purge: no process is sending this run: the next `imbulk run` sends nothing of it until `resume`"
    )]
    fn an_answer_says_what_changed(#[case] kind: &str, #[case] effect: ControlEffect, #[case] text: &str) {
        let kind = kind.parse().expect("a kind");
        let instruction = Instruction { id: "1".into(), run: "r".into(), kind, who: "a@b".into() };
        assert_eq!(answer("purge", &AppliedInstruction { instruction, effect }).with_hint(), text);
    }
}
