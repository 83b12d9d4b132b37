//! Whether an earlier call may have had an effect on the items of a request.

use super::code_history::{CodeHistory, Trace};
use super::outcome::Outcome;
use crate::domain::operation::Operation;
use crate::domain::request::{Doubt, Purpose};

/// What earlier calls for items left: it decides what a later "already gone" answer means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EarlierCalls {
    /// What the calls without a certain answer left.
    pub doubt: Doubt,
    /// The codes of the others.
    pub history: CodeHistory,
}

impl EarlierCalls {
    /// What is left of items that had this outcome with this code, if they are sent once more.
    #[must_use]
    pub fn after(self, operation: &Operation, outcome: Outcome, code: Option<i64>) -> Self {
        let doubt = if outcome == Outcome::InDoubt { Doubt::EffectUnknown } else { self.doubt };
        Self { doubt, history: self.history.with(operation, code) }
    }
}

/// Whether an earlier call may have had an effect. `doubt` is about the calls without a certain answer, and `history`
/// has the codes of the others.
pub fn may_have_had_effect(operation: &Operation, doubt: Doubt, history: &CodeHistory) -> bool {
    doubt > Doubt::None || history.trace(operation).0 > Trace::Nothing
}

/// The doubt about the items of a stored request that its run does not send any more. `sent`: whether a call that
/// writes was begun and has no result.
pub fn doubt_of_unsent(doubt: Doubt, purpose: &Purpose, sent: bool) -> Doubt {
    // The effect of an earlier call was about to be looked up.
    let is_unknown = match purpose {
        Purpose::Change | Purpose::Prepare(_) | Purpose::Backup(_) => false,
        Purpose::LookUp(_) | Purpose::ReverseSide(_) | Purpose::Verify(_) => true,
    };
    if sent || is_unknown { Doubt::EffectUnknown } else { doubt }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::operation::by_name;

    #[test]
    fn a_doubt_or_a_code_that_leaves_a_trace_may_have_had_an_effect() {
        let may = |doubt, codes: &[i64]| {
            let history = codes.iter().copied().collect();
            may_have_had_effect(by_name("friend_delete").unwrap(), doubt, &history)
        };
        assert!(!may(Doubt::None, &[]) && !may(Doubt::None, &[60007]), "an answer that says that nothing was done");
        assert!(may(Doubt::None, &[60007, 30006]), "a conflict");
        assert!(may(Doubt::None, &[70500]), "a code after which a part may be done");
        assert!(may(Doubt::TimedOut, &[]) && may(Doubt::EffectUnknown, &[60007]));
    }

    #[test]
    fn a_call_without_a_result_and_a_lookup_leave_the_effect_unknown() {
        let of = |purpose: &Purpose, sent| doubt_of_unsent(Doubt::TimedOut, purpose, sent);
        assert_eq!(of(&Purpose::Change, false), Doubt::TimedOut);
        assert_eq!(of(&Purpose::Change, true), Doubt::EffectUnknown);
        assert_eq!(of(&Purpose::Verify(RunId::new(1)), false), Doubt::EffectUnknown);
    }
}
