//! What a verification finds out about each row, long after its outcome.
//!
//! A verification is a run that only reads. Its requests hold the items of another run. What it finds out is a
//! [`Verified`]. The outcomes of its items are only the form in which its own run counts and stores these results, so
//! that it can be resumed like any other run; `Verified` is the only type that converts them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call_result::CallResult;
use super::lookup::{LookupReading, assess_lookup};
use super::outcome::{Count, Outcome};
use super::tally::Tally;
use super::verdict::{Assessment, CallContext, ItemResult, Verdict};
use crate::domain::operation::{LookupFinding, LookupKind, StateSeen};
use crate::domain::request::Request;

/// What a verification found out about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// The state that the row asks for is there.
    Confirmed,
    /// Another state is there.
    Contradicted,
    /// The lookup showed nothing.
    Unknown,
}

impl Verified {
    /// All of them, in the order in which summaries list them.
    pub const ALL: [Self; 3] = [Self::Confirmed, Self::Contradicted, Self::Unknown];

    /// The name for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Contradicted => "contradicted",
            Self::Unknown => "unknown",
        }
    }

    /// The form of the result in the run of the verification: an outcome of the item, whose name has another meaning
    /// there.
    const fn stored_as(self) -> Outcome {
        match self {
            Self::Confirmed => Outcome::Succeeded,
            Self::Contradicted => Outcome::Failed,
            Self::Unknown => Outcome::InDoubt,
        }
    }

    /// The result that has this form in the run of a verification.
    pub fn of_stored(outcome: Outcome) -> Option<Self> {
        Self::ALL.into_iter().find(|verified| verified.stored_as() == outcome)
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Verified {
    type Err = UnknownVerified;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|verified| verified.name() == name).ok_or_else(|| UnknownVerified(name.to_owned()))
    }
}

/// No result of a verification has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown result `{0}`; expected one of confirmed, contradicted, unknown")]
pub struct UnknownVerified(pub String);

/// Rows by what a verification found out about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedRows {
    /// Rows whose requested state is there.
    pub confirmed: Count,
    /// Rows with another state.
    pub contradicted: Count,
    /// Rows whose lookup showed nothing.
    pub unknown: Count,
}

impl VerifiedRows {
    /// What the outcomes in the run of a verification say.
    pub fn of(tally: &Tally) -> Self {
        let rows = |verified: Verified| tally[verified.stored_as()];
        let [confirmed, contradicted, unknown] = Verified::ALL.map(rows);
        Self { confirmed, contradicted, unknown }
    }

    /// Each result with its number of rows.
    pub const fn each(&self) -> [(Verified, Count); 3] {
        [
            (Verified::Confirmed, self.confirmed),
            (Verified::Contradicted, self.contradicted),
            (Verified::Unknown, self.unknown),
        ]
    }

    /// All of them.
    pub fn total(&self) -> Count {
        self.each().iter().map(|(_, rows)| rows).sum()
    }
}

impl FromIterator<(Verified, Count)> for VerifiedRows {
    fn from_iter<T: IntoIterator<Item = (Verified, Count)>>(counts: T) -> Self {
        let mut all = Self::default();
        for (verified, rows) in counts {
            match verified {
                Verified::Confirmed => all.confirmed += rows,
                Verified::Contradicted => all.contradicted += rows,
                Verified::Unknown => all.unknown += rows,
            }
        }
        all
    }
}

/// Decides what the answer to a lookup of a verification means. A fatal code stops the verification.
pub(super) fn assess(context: &CallContext, lookup: LookupKind, request: &Request, result: &CallResult) -> Assessment {
    assess_lookup(context, lookup, request, result, |finding| {
        let (verified, code, reason) = match finding {
            LookupReading::State(StateSeen { finding: LookupFinding::Reached, .. }) => {
                (Verified::Confirmed, None, String::new())
            }
            LookupReading::State(StateSeen { finding: LookupFinding::OwnSideReached, state }) => {
                (Verified::Unknown, None, format!("a lookup shows that {state}"))
            }
            LookupReading::State(StateSeen {
                finding: LookupFinding::ReverseSide | LookupFinding::NotReached,
                state,
            }) => (Verified::Contradicted, None, state.into_owned()),
            LookupReading::Nothing(code, why) => (Verified::Unknown, code, format!("lookup failed: {why}")),
        };
        Verdict::Final(ItemResult { outcome: verified.stored_as(), code, reason })
    })
}

#[cfg(test)]
mod tests;
