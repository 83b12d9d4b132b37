//! The codes of earlier answers to the items, and what an "already gone" answer proves after them.

use super::codes::{CodeLevel, Effect, ErrorClass, classify};
use crate::domain::operation::{Operation, Proof};

/// The maximum number of different codes that are kept.
const MAX_CODES: usize = 16;

/// The codes of earlier answers to the items of a request: each code once, the latest first.
///
/// All items of a request have met the same codes; items that met different codes are in different requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeHistory(Vec<i64>);

impl CodeHistory {
    /// The codes, the latest first.
    pub fn codes(&self) -> impl Iterator<Item = i64> {
        self.0.iter().copied()
    }

    /// Whether there is no code.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The history after another answer; `None` is an answer without a code.
    ///
    /// If there are too many codes, one that proves nothing about the effect is removed. If a code of a partial effect
    /// were removed, this effect would count as a complete one.
    #[must_use]
    pub fn with(mut self, operation: &Operation, code: Option<i64>) -> Self {
        let Some(code) = code else { return self };
        self.0.retain(|known| *known != code);
        if self.0.len() >= MAX_CODES {
            let harmless = self.0.iter().rposition(|known| trace(operation, *known) == Trace::Nothing);
            self.0.remove(harmless.unwrap_or(self.0.len() - 1));
        }
        self.0.insert(0, code);
        self
    }

    /// A reason: the last text with its code, and the codes before it, the latest first.
    pub fn reason(&self, code: Option<i64>, said: &str) -> String {
        let before = self.codes().filter(|earlier| Some(*earlier) != code);
        let before: Vec<String> = before.map(|code| code.to_string()).collect();
        match (code, before.as_slice()) {
            (_, []) => said.to_owned(),
            (Some(code), before) => format!("{code} {said}; before: {}", before.join(", ")),
            (None, before) => format!("{said}; before: {}", before.join(", ")),
        }
    }

    /// The reason of an item whose last answer has no text: its codes, the latest first. Empty if there are none.
    pub fn earlier(&self) -> String {
        let codes: Vec<String> = self.codes().map(|code| code.to_string()).collect();
        if codes.is_empty() { String::new() } else { format!("before: {}", codes.join(", ")) }
    }

    /// The form in the queue, a JSON list. `None` if there is no code, so that a plain success stores nothing.
    pub fn to_json(&self) -> Option<String> {
        let codes: Vec<String> = self.codes().map(|code| code.to_string()).collect();
        (!codes.is_empty()).then(|| format!("[{}]", codes.join(",")))
    }

    /// Reads the stored list.
    pub fn from_json(list: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(list).map(Self)
    }

    /// The most serious trace of all codes, and the latest code that left it.
    pub fn trace(&self, operation: &Operation) -> (Trace, Option<i64>) {
        // Of equal traces, `max_by_key` returns the last one, which is that of the latest code.
        let traces = self.0.iter().rev().map(|code| (trace(operation, *code), Some(*code)));
        traces.max_by_key(|(trace, _)| *trace).unwrap_or((Trace::Nothing, None))
    }
}

#[cfg(test)]
impl FromIterator<i64> for CodeHistory {
    fn from_iter<T: IntoIterator<Item = i64>>(codes: T) -> Self {
        Self(codes.into_iter().take(MAX_CODES).collect())
    }
}

/// What an earlier call may have left behind, in ascending order of seriousness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trace {
    /// Nothing: the server says that it did not start.
    Nothing,
    /// Possibly the whole effect: the call timed out or got no answer.
    Whole,
    /// If the server says later that the account is gone, it is gone, but data of it may remain.
    DataLeft,
    /// Possibly a part of the effect: a later "already gone" answer is not about the other part.
    Part,
}

/// What a call with this code in its answer may have left behind.
pub fn trace(operation: &Operation, code: i64) -> Trace {
    match classify(operation, CodeLevel::Item, code, "") {
        ErrorClass::Transient(Effect::Unknown) => Trace::Whole,
        ErrorClass::Transient(Effect::DataLeft) if operation.already_done.proves_after_data_left => Trace::DataLeft,
        ErrorClass::Transient(Effect::DataLeft | Effect::Partial) | ErrorClass::Conflict | ErrorClass::Unknown => {
            Trace::Part
        }
        ErrorClass::Transient(Effect::None)
        | ErrorClass::Done
        | ErrorClass::AlreadyDone
        | ErrorClass::Throttled(..)
        | ErrorClass::Renew(_)
        | ErrorClass::Split
        | ErrorClass::ItemFailed
        | ErrorClass::Fatal(_) => Trace::Nothing,
    }
}

/// What the answer "the requested state already existed" proves about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The state existed before this run.
    AlreadyDone,
    /// An earlier call of this run caused it.
    Succeeded,
    /// The same, and the earlier code says that data may remain.
    SucceededWithDataLeft,
    /// Only a part of the state is proved.
    InDoubt,
}

/// What "the requested state already existed" proves after calls that left `trace`. `proof` is the rule of the
/// operation.
pub const fn claim(trace: Trace, proof: Proof) -> Claim {
    match (trace, proof) {
        (Trace::Nothing, Proof::Complete | Proof::CompleteAtFirst { .. }) => Claim::AlreadyDone,
        (Trace::Whole, Proof::Complete) => Claim::Succeeded,
        (Trace::DataLeft, _) => Claim::SucceededWithDataLeft,
        (Trace::Nothing, Proof::Partial { .. })
        | (Trace::Whole, Proof::CompleteAtFirst { .. } | Proof::Partial { .. })
        | (Trace::Part, _) => Claim::InDoubt,
    }
}

#[cfg(test)]
mod tests;
