//! The state of a run as people and programs are shown it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::run_choice::EarlyEnd;
use crate::queue::{Run, RunState};

/// The state of a run, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Loaded; nothing was sent.
    Planned,
    /// A process is sending it.
    Sending,
    /// Rows are left; it ended as asked: by a signal, a deadline, or a limit.
    Stopped,
    /// Rows are left; it ended because something is wrong: a guard, a fatal code, an outage, a failed backup, a full
    /// disk.
    Halted,
    /// Rows are left; its process was killed, or ended by an error before it could close the run.
    Interrupted,
    /// Every row has its outcome.
    Finished,
    /// Given up for another run.
    Superseded,
}

/// Whether there is a process that owns the queue, or that is sending a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunnerPresence {
    /// There is one.
    Present,
    /// There is none.
    Absent,
}

impl StateName {
    /// The state of a run. An unfinished run without a stored end is being sent by the owner of the queue: a new
    /// owner first stores the kills that it finds. Without an owner, its process was killed.
    pub fn of(run: &Run, owner: RunnerPresence) -> Self {
        match (run.state(), run.has_ended(), owner) {
            (RunState::Loading | RunState::Planned, ..) => Self::Planned,
            (RunState::Finished, ..) => Self::Finished,
            (RunState::Superseded, ..) => Self::Superseded,
            (RunState::Running, false, RunnerPresence::Present) => Self::Sending,
            (RunState::Running, ..) => match run.ended_by().early_end() {
                EarlyEnd::Stopped => Self::Stopped,
                EarlyEnd::Halted => Self::Halted,
                EarlyEnd::Interrupted => Self::Interrupted,
            },
        }
    }

    /// The name in texts and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Stopped => "stopped",
            Self::Halted => "halted",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Superseded => "superseded",
        }
    }
}

impl RunnerPresence {
    /// Whether a process is sending a run that is in this state.
    pub fn of(state: StateName) -> Self {
        if state == StateName::Sending { Self::Present } else { Self::Absent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run_choice::EndedBy;

    #[test]
    fn texts_and_json_have_the_same_names() {
        let states = [
            StateName::Planned,
            StateName::Sending,
            StateName::Stopped,
            StateName::Halted,
            StateName::Interrupted,
            StateName::Finished,
            StateName::Superseded,
        ];
        for state in states {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for by in EndedBy::ALL {
            assert_eq!(serde_json::to_value(by).unwrap(), by.name());
        }
    }
}
