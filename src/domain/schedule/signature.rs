//! Whether the API takes our signature.

use crate::domain::response::verdict::NewUserSig;

/// What is known of the signature.
#[derive(Debug, Default)]
pub(super) struct Signature {
    /// The latest generation that was refused.
    refused: Option<u64>,
    /// Whether there is nothing to make another one with.
    is_the_only_one: bool,
}

/// What a refused signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is the first one: a new one may help.
    First,
    /// A signature that was replaced since.
    Known,
    /// The new one is refused, too.
    Again,
}

impl Signature {
    /// The API took the signature of this generation.
    pub(super) fn taken(&mut self, generation: u64) {
        if self.refused.is_some_and(|refused| refused < generation) {
            self.refused = None;
        }
    }

    /// No other signature can be made.
    pub(super) fn cannot_be_replaced(&mut self) {
        self.is_the_only_one = true;
    }

    /// Whether a new signature may help a call that was refused with this generation.
    pub(super) fn new_one(&self, generation: u64) -> NewUserSig {
        let replaced_once = self.refused.is_some_and(|refused| refused < generation);
        if self.is_the_only_one || replaced_once { NewUserSig::DoesNotHelp } else { NewUserSig::MayHelp }
    }

    /// The API refused the signature of this generation.
    pub(super) fn refused(&mut self, generation: u64) -> Refusal {
        match self.refused {
            Some(refused) if generation <= refused => Refusal::Known,
            Some(_) => Refusal::Again,
            None => {
                self.refused = Some(generation);
                Refusal::First
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_renewed_once_and_again_only_after_one_was_taken() {
        let mut signature = Signature::default();
        assert_eq!(signature.refused(0), Refusal::First);
        assert_eq!(signature.refused(0), Refusal::Known);
        assert_eq!(signature.refused(1), Refusal::Again);
        signature.taken(0);
        assert_eq!(signature.refused(1), Refusal::Again, "an old answer says nothing of the new one");
        signature.taken(1);
        assert_eq!(signature.refused(1), Refusal::First);
    }

    #[test]
    fn a_new_signature_may_help_until_it_was_refused_or_cannot_be_made() {
        let mut signature = Signature::default();
        assert_eq!(signature.new_one(0), NewUserSig::MayHelp);
        assert_eq!(signature.refused(0), Refusal::First);
        assert_eq!(signature.new_one(0), NewUserSig::MayHelp, "calls that left before the replacement");
        assert_eq!(signature.new_one(1), NewUserSig::DoesNotHelp);
        signature.taken(1);
        assert_eq!(signature.new_one(1), NewUserSig::MayHelp);
        signature.cannot_be_replaced();
        assert_eq!(signature.new_one(1), NewUserSig::DoesNotHelp);
    }
}
