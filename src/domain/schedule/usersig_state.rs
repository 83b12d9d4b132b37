//! Whether the API accepts the UserSig.

use crate::domain::response::verdict::NewUserSig;

/// What is known of the UserSig. Each new one has the next generation.
#[derive(Debug, Default)]
pub(super) struct UserSigState {
    /// The latest generation that was refused.
    refused: Option<u64>,
    /// Whether there is no key to make another one.
    is_irreplaceable: bool,
}

/// What a refused UserSig means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedUserSig {
    /// It is the first that is refused, so a new one may help.
    First,
    /// It was replaced after the call left.
    Replaced,
    /// It is the new one, so another will not help.
    Repeated,
}

impl UserSigState {
    /// The API accepted the UserSig of this generation.
    pub(super) fn accepted(&mut self, generation: u64) {
        if self.refused.is_some_and(|refused| refused < generation) {
            self.refused = None;
        }
    }

    /// No other UserSig can be made.
    pub(super) fn cannot_be_replaced(&mut self) {
        self.is_irreplaceable = true;
    }

    /// Whether a new UserSig may help a call that was refused with this generation.
    pub(super) fn new_one(&self, generation: u64) -> NewUserSig {
        let replaced_once = self.refused.is_some_and(|refused| refused < generation);
        if self.is_irreplaceable || replaced_once { NewUserSig::DoesNotHelp } else { NewUserSig::MayHelp }
    }

    /// The API refused the UserSig of this generation.
    pub(super) fn refused(&mut self, generation: u64) -> RefusedUserSig {
        match self.refused {
            Some(refused) if generation <= refused => RefusedUserSig::Replaced,
            Some(_) => RefusedUserSig::Repeated,
            None => {
                self.refused = Some(generation);
                RefusedUserSig::First
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usersig_is_renewed_once_and_again_only_after_one_was_accepted() {
        let mut usersig = UserSigState::default();
        assert_eq!(usersig.refused(0), RefusedUserSig::First);
        assert_eq!(usersig.refused(0), RefusedUserSig::Replaced);
        assert_eq!(usersig.refused(1), RefusedUserSig::Repeated);
        usersig.accepted(0);
        assert_eq!(usersig.refused(1), RefusedUserSig::Repeated, "an old answer says nothing about the new one");
        usersig.accepted(1);
        assert_eq!(usersig.refused(1), RefusedUserSig::First);
    }

    #[test]
    fn a_new_usersig_may_help_until_one_was_refused_or_none_can_be_made() {
        let mut usersig = UserSigState::default();
        assert_eq!(usersig.new_one(0), NewUserSig::MayHelp);
        assert_eq!(usersig.refused(0), RefusedUserSig::First);
        assert_eq!(usersig.new_one(0), NewUserSig::MayHelp, "calls that left before the replacement");
        assert_eq!(usersig.new_one(1), NewUserSig::DoesNotHelp);
        usersig.accepted(1);
        assert_eq!(usersig.new_one(1), NewUserSig::MayHelp);
        usersig.cannot_be_replaced();
        assert_eq!(usersig.new_one(1), NewUserSig::DoesNotHelp);
    }
}
