//! The state of a run as people and programs are shown it.

use serde::{Serialize, Serializer};

use crate::domain::run_choice::EndedBy;
use crate::queue::{Reader, Run, RunState};

/// The state of a run, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateName {
    /// Loaded; nothing was sent.
    Planned,
    /// A process is sending it.
    Sending,
    /// Rows are left; it ended as asked: by a signal, a deadline, or a limit.
    Stopped,
    /// Rows are left; it ended because something is wrong: a guard, a fatal code, an outage, a full disk.
    Halted,
    /// Rows are left; its process was killed.
    Interrupted,
    /// Every row has its outcome.
    Finished,
    /// Given up for another run.
    Superseded,
}

impl StateName {
    /// The state of a run. An unfinished run that has noted no end is being sent by the queue's owner, or lost its
    /// process.
    pub fn of(run: &Run, reader: &Reader) -> Self {
        match (run.state(), run.has_ended()) {
            (RunState::Loading | RunState::Planned, _) => Self::Planned,
            (RunState::Finished, _) => Self::Finished,
            (RunState::Superseded, _) => Self::Superseded,
            (RunState::Running, false) if reader.is_owned() => Self::Sending,
            (RunState::Running, _) => match run.ended_by() {
                EndedBy::Kill => Self::Interrupted,
                by if by.is_halt() => Self::Halted,
                _as_asked => Self::Stopped,
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

impl Serialize for StateName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
