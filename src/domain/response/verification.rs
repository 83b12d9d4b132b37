//! What a verification finds out about each row, long after its outcome.
//!
//! A verification is a run that only reads. Its requests hold the items of another run, and the outcome of an item says
//! what the lookup showed: `succeeded` if the requested state is there, `failed` if another one is, `in_doubt` if the
//! lookup showed nothing.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call_result::CallResult;
use super::lookup::assess_read;
use super::outcome::{Count, Outcome};
use super::tally::Tally;
use super::verdict::{Assessment, CallContext, ItemResult, Resend, Verdict};
use crate::domain::operation::StateSeen;
use crate::domain::request::{Doubt, Request};

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

    /// The outcome of an item in the run of the verification.
    const fn outcome(self) -> Outcome {
        match self {
            Self::Confirmed => Outcome::Succeeded,
            Self::Contradicted => Outcome::Failed,
            Self::Unknown => Outcome::InDoubt,
        }
    }

    /// What the outcome of an item in the run of a verification says.
    pub fn of(outcome: Outcome) -> Option<Self> {
        Self::ALL.into_iter().find(|verified| verified.outcome() == outcome)
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
        let rows = |verified: Verified| tally[verified.outcome()];
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

/// Decides what the answer to a lookup of a verification means. Only an item with code 0 in an answer with code 0 is
/// believed. The codes of the answer are treated as those of a change: transient ones are sent again, fatal ones stop
/// the verification.
pub(super) fn assess(context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
    let plain = assess_read(context, request, result);
    let Some(lookup) = context.operation.verification else { return plain };
    let states = match result {
        CallResult::Body(body) => context.operation.states_seen(lookup, request, body),
        CallResult::Status(_) | CallResult::NotSent(_) | CallResult::UntrustedServer(_) | CallResult::NoAnswer(_) => {
            Vec::new()
        }
    };
    let verdict = |at: usize, verdict: &Verdict| match verdict {
        Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: None, .. }) => {
            match states.get(at).cloned().flatten() {
                Some(state) => found(state),
                None => unknown(None, "the answer shows no state that imbulk knows"),
            }
        }
        Verdict::Final(ItemResult { code, reason, .. }) => {
            let by_code = code.and_then(|code| context.operation.state_of_code(lookup, code, reason));
            by_code.map_or_else(|| unknown(*code, reason), found)
        }
        Verdict::Resend(how) => Verdict::Resend(Resend { doubt: Doubt::None, met: None, ..*how }),
        Verdict::Next(..) => verdict.clone(),
    };
    Assessment { verdicts: plain.verdicts.map_items(request.items.len(), verdict), ..plain }
}

fn found(state: StateSeen) -> Verdict {
    let (verified, reason) = match state {
        StateSeen::Requested => (Verified::Confirmed, String::new()),
        StateSeen::Other(state) => (Verified::Contradicted, state),
    };
    Verdict::Final(ItemResult { outcome: verified.outcome(), code: None, reason })
}

fn unknown(code: Option<i64>, reason: &str) -> Verdict {
    Verdict::Final(ItemResult {
        outcome: Verified::Unknown.outcome(),
        code,
        reason: format!("lookup failed: {reason}"),
    })
}

#[cfg(test)]
mod tests;
