//! Where an input row ended.

use std::fmt;
use std::str::FromStr;

/// The outcome of a row. Every row has exactly one, and they add up to the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The API did it. With a code: an answer says that the requested state is there after an attempt of ours.
    Succeeded,
    /// An answer says that the requested state was there in full before us.
    AlreadyDone,
    /// A final error from the API, or every attempt used up and answered.
    Failed,
    /// The effect is unknown: no answer, one that contradicts itself, or one that proves only a part.
    InDoubt,
    /// Still to be done.
    Pending,
    /// A row that can't be sent.
    Rejected,
    /// Says what another row says.
    Duplicate,
    /// Names an id of the protected list.
    Protected,
}

/// How many rows ended in one way.
pub type Count = u64;

impl Outcome {
    /// All of them, in the order in which summaries list them.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::AlreadyDone,
        Self::Failed,
        Self::InDoubt,
        Self::Pending,
        Self::Rejected,
        Self::Duplicate,
        Self::Protected,
    ];

    /// The name that scripts know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::AlreadyDone => "already_done",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Duplicate => "duplicate",
            Self::Protected => "protected",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No outcome has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown outcome `{0}`; expected one of succeeded, already_done, failed, in_doubt, pending, rejected, duplicate, \
     protected"
)]
pub struct UnknownOutcome(pub String);

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or_else(|| UnknownOutcome(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_a_wrong_one_lists_them_all() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.name().parse(), Ok(outcome));
        }
        let message = "done".parse::<Outcome>().unwrap_err().to_string();
        for outcome in Outcome::ALL {
            assert!(message.contains(outcome.name()), "{message} lacks {outcome}");
        }
    }
}
