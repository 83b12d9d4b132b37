//! Control of runs from another process: what `imbulk ctl` asks for, and what it leads to.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a person wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstructionKind {
    /// No new call begins until [`InstructionKind::Resume`].
    Pause,
    /// Calls begin again.
    Resume,
    /// Calls in flight end, and then the session.
    Drain,
    /// At most this number of calls per second.
    Rate(NonZeroU32),
}

/// What a person wants of a run, and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// A random id, so that the same instruction is never applied twice.
    pub id: String,
    /// The id of the run, or the name of its job if the run could not be read because the queue was being created.
    pub run: String,
    /// What is wanted.
    pub kind: InstructionKind,
    /// User, host and process.
    pub who: String,
}

/// What an instruction led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlEffect {
    /// No process was sending the run. The next session adopts the instruction.
    NotSending,
    /// A pause of a run that was paused before.
    AlreadyPaused,
    /// A resume of a run that was not paused. Earlier versions stored `unchanged` for both.
    #[serde(alias = "unchanged")]
    NotPaused,
    /// No new call begins.
    Paused {
        /// The calls in flight.
        in_flight: u64,
    },
    /// Calls begin again.
    Resumed,
    /// The session ends.
    Draining {
        /// The calls in flight.
        in_flight: u64,
        /// The jobs of the session, which end together.
        jobs: Vec<String>,
    },
    /// The rate is another one.
    Rate {
        /// The calls per second that the job allowed before.
        from: u32,
        /// The calls per second that it allows now.
        to: u32,
        /// The calls per second that are made, if another job that shares the command allows fewer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_force: Option<u32>,
    },
    /// Refused: the rate is above the limit of the job.
    AboveLimit {
        /// `limits.calls_per_second` of the job.
        limit: u32,
    },
}

impl ControlEffect {
    /// The name in the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotSending => "not_sending",
            Self::AlreadyPaused | Self::NotPaused => "unchanged",
            Self::Paused { .. } => "paused",
            Self::Resumed => "resumed",
            Self::Draining { .. } => "draining",
            Self::Rate { .. } => "rate",
            Self::AboveLimit { .. } => "above_limit",
        }
    }

    /// The calls that were in flight, where the effect depends on them.
    pub const fn in_flight(&self) -> Option<u64> {
        match self {
            Self::Paused { in_flight } | Self::Draining { in_flight, .. } => Some(*in_flight),
            Self::NotSending
            | Self::AlreadyPaused
            | Self::NotPaused
            | Self::Resumed
            | Self::Rate { .. }
            | Self::AboveLimit { .. } => None,
        }
    }
}

/// An instruction that was applied or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedInstruction {
    /// The instruction.
    pub instruction: Instruction,
    /// What it led to.
    pub effect: ControlEffect,
}

/// Who paused a run, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunPause {
    /// User, host and process.
    pub who: String,
    /// Milliseconds since 1970.
    pub since: i64,
}

/// What the instructions for a run have led to. It outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlState {
    /// The pause, while there is one.
    pub pause: Option<RunPause>,
    /// The rate that a person has set, in calls per second.
    pub rate: Option<NonZeroU32>,
}

impl Instruction {
    /// Whether it can be shown as it is: another process wrote it.
    pub fn is_plain(&self) -> bool {
        [&self.id, &self.run, &self.who].iter().all(|text| !text.contains(char::is_control))
    }

    /// Whether it is for this run.
    pub fn is_for(&self, run: &str, job: &str) -> bool {
        self.run == run || self.run == job
    }
}

impl ControlState {
    /// Adopts an instruction that was applied at `at`, in milliseconds since 1970. Instructions come in the sequence in
    /// which they were applied.
    #[must_use]
    pub fn then(mut self, AppliedInstruction { instruction, effect }: &AppliedInstruction, at: i64) -> Self {
        if matches!(effect, ControlEffect::AboveLimit { .. }) {
            return self;
        }
        match instruction.kind {
            InstructionKind::Pause => {
                self.pause.get_or_insert_with(|| RunPause { who: instruction.who.clone(), since: at });
            }
            InstructionKind::Resume => self.pause = None,
            InstructionKind::Drain => {}
            InstructionKind::Rate(rate) => self.rate = Some(rate),
        }
        self
    }
}

/// As on the command line.
impl fmt::Display for InstructionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Drain => f.write_str("drain"),
            Self::Rate(rate) => write!(f, "rate {rate}"),
        }
    }
}

impl FromStr for InstructionKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "drain" => Ok(Self::Drain),
            _ => text.strip_prefix("rate ").and_then(|rate| rate.parse().ok()).map(Self::Rate).ok_or(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn state(texts: &[&str]) -> (Option<i64>, Option<u32>) {
        let mut state = ControlState::default();
        for (at, text) in (0..).zip(texts) {
            let (text, effect) = match text.strip_suffix(", refused") {
                Some(text) => (text, ControlEffect::AboveLimit { limit: 1 }),
                None => (*text, ControlEffect::NotSending),
            };
            let kind: InstructionKind = text.parse().expect("an instruction");
            assert_eq!(kind.to_string(), text);
            let instruction = Instruction { id: at.to_string(), run: "r".into(), kind, who: "a@b".into() };
            state = state.then(&AppliedInstruction { instruction, effect }, at);
        }
        (state.pause.map(|pause| pause.since), state.rate.map(NonZeroU32::get))
    }

    #[rstest]
    #[case::nothing(&[], (None, None))]
    #[case::a_pause(&["pause"], (Some(0), None))]
    #[case::the_first_of_two_pauses(&["rate 9", "pause", "pause"], (Some(1), Some(9)))]
    #[case::one_resume_ends_both(&["pause", "pause", "resume"], (None, None))]
    #[case::a_resume_without_a_pause(&["resume", "pause"], (Some(1), None))]
    #[case::a_drain_changes_nothing(&["pause", "drain", "rate 3"], (Some(0), Some(3)))]
    #[case::the_last_rate(&["rate 50", "rate 100"], (None, Some(100)))]
    #[case::a_refused_rate(&["rate 50", "rate 500, refused"], (None, Some(50)))]
    fn instructions_lead_to_a_pause_and_a_rate(#[case] texts: &[&str], #[case] expected: (Option<i64>, Option<u32>)) {
        assert_eq!(state(texts), expected);
    }

    #[test]
    fn an_effect_that_an_earlier_version_has_stored_is_still_read() {
        assert_eq!(serde_json::from_str::<ControlEffect>("\"unchanged\"").unwrap(), ControlEffect::NotPaused);
    }

    #[test]
    fn other_texts_are_no_instructions() {
        for text in ["", "rate", "rate 0", "rate x", "Pause", "stop"] {
            assert_eq!(text.parse::<InstructionKind>(), Err(()), "{text}");
        }
    }
}
