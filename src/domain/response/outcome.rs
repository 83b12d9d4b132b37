//! The outcome of an input row.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outcome of a row. Every row has exactly one, so their numbers add up to the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The API did it. If there is a code, an answer said that the requested state existed after an attempt of imbulk.
    Succeeded,
    /// An answer says that the complete requested state existed before imbulk sent anything.
    AlreadyDone,
    /// The API gave a final error, or all attempts are used up and were answered.
    Failed,
    /// The effect is unknown: there was no answer, or one that contradicts itself or proves only a part.
    InDoubt,
    /// Not finished; the next session sends it.
    Pending,
    /// The row cannot be sent.
    Rejected,
    /// The row repeats another row.
    Duplicate,
    /// The row contains a protected id.
    Protected,
}

/// The number of rows with one outcome.
pub type Count = u64;

impl Outcome {
    /// All outcomes, in the order in which summaries list them.
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

    /// The name for scripts.
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
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
        let message = "done".parse::<Outcome>().unwrap_err().to_string();
        for outcome in Outcome::ALL {
            assert!(message.contains(outcome.name()), "{message} lacks {outcome}");
        }
    }
}
