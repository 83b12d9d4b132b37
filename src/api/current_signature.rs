//! The signature in use, and when it is renewed. Pure: the wall clock is an argument.

use std::num::NonZeroU64;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::usersig::{self, SecretKey, UserSig};
use crate::domain::request::account::UserId;

/// How long the signatures that imbulk makes are valid. The error table advises at least 24 h (70001). They are not
/// valid for longer, because a signature that became known cannot be revoked.
const VALID: Duration = Duration::from_hours(24);

/// The age at which a signature is renewed. The margin of 4 h allows for a wrong clock on this machine or at the
/// server.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(20);

/// The credentials that the user gave.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// The key of the app: signatures are made and renewed with it.
    Key(SecretKey),
    /// One signature, which is valid until it expires.
    Signature(UserSig),
}

/// Whether there is a newer signature than the refused one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Yes: the call may be sent again.
    Renewed,
    /// No, and none can be made, because the user gave only a signature.
    NotPossible,
}

/// The signature in use. Its generation is a counter, so that a call knows which signature was refused.
#[derive(Debug)]
pub(super) struct CurrentSignature {
    source: SignatureSource,
    usersig: UserSig,
    generation: u64,
}

#[derive(Debug)]
enum SignatureSource {
    Key(Signer),
    Given,
}

#[derive(Debug)]
struct Signer {
    key: SecretKey,
    sdkappid: NonZeroU64,
    identifier: UserId,
    issued_at: Timestamp,
}

impl Signer {
    fn sign(&mut self, now: Timestamp) -> UserSig {
        self.issued_at = now;
        usersig::sign(&self.key, self.sdkappid, &self.identifier, now, VALID)
    }

    /// A signature from the future has an unknown age as well: the wall clock was set back.
    fn is_due(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.issued_at);
        !(SignedDuration::ZERO..RENEW_AFTER).contains(&age)
    }
}

impl CurrentSignature {
    pub(super) fn new(credentials: Credentials, sdkappid: NonZeroU64, identifier: UserId, now: Timestamp) -> Self {
        let (source, usersig) = match credentials {
            Credentials::Key(key) => {
                let mut signer = Signer { key, sdkappid, identifier, issued_at: now };
                let usersig = signer.sign(now);
                (SignatureSource::Key(signer), usersig)
            }
            Credentials::Signature(usersig) => (SignatureSource::Given, usersig),
        };
        Self { source, usersig, generation: 0 }
    }

    /// The signature for a call at `now` and its generation. If the last signature is old, a new one is made.
    pub(super) fn current(&mut self, now: Timestamp) -> (&UserSig, u64) {
        match &mut self.source {
            SignatureSource::Key(signer) if signer.is_due(now) => {
                self.usersig = signer.sign(now);
                self.generation += 1;
            }
            SignatureSource::Key(_) | SignatureSource::Given => {}
        }
        (&self.usersig, self.generation)
    }

    /// The generation of the signature in use.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces the signature that a call was refused with. Many calls in flight are refused at once. The first of them
    /// makes a new signature, and the others use it.
    pub(super) fn renew(&mut self, refused: u64, now: Timestamp) -> Renewal {
        match &mut self.source {
            SignatureSource::Given => Renewal::NotPossible,
            SignatureSource::Key(_) if refused < self.generation => Renewal::Renewed,
            SignatureSource::Key(signer) => {
                self.usersig = signer.sign(now);
                self.generation += 1;
                Renewal::Renewed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;
    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn signature(credentials: Credentials) -> CurrentSignature {
        let app = NonZeroU64::new(1_400_000_000).unwrap();
        CurrentSignature::new(credentials, app, UserId::new("administrator").unwrap(), at(0))
    }

    fn keyed() -> CurrentSignature {
        signature(Credentials::Key(SecretKey::new("key".to_owned()).unwrap()))
    }

    fn issued(signature: &mut CurrentSignature, now: Timestamp) -> (Timestamp, u64) {
        let (usersig, generation) = signature.current(now);
        (usersig.claims().unwrap().issued_at, generation)
    }

    #[test]
    fn a_signature_is_used_for_twenty_hours_and_then_replaced() {
        let mut signature = keyed();
        assert_eq!(issued(&mut signature, at(20 * HOUR - 1)), (at(0), 0));
        assert_eq!(issued(&mut signature, at(20 * HOUR)), (at(20 * HOUR), 1));
        assert_eq!(issued(&mut signature, at(21 * HOUR)), (at(20 * HOUR), 1));
    }

    #[test]
    fn a_wall_clock_that_jumps_gets_a_fresh_signature_either_way() {
        let mut signature = keyed();
        assert_eq!(issued(&mut signature, at(-HOUR)), (at(-HOUR), 1));
        assert_eq!(issued(&mut signature, at(1000 * HOUR)), (at(1000 * HOUR), 2));
        assert_eq!(issued(&mut signature, Timestamp::MIN).1, 3);
        assert_eq!(issued(&mut signature, Timestamp::MAX).1, 4);
    }

    #[test]
    fn of_many_refused_calls_only_the_first_renews() {
        let mut signature = keyed();
        assert_eq!(signature.renew(0, at(HOUR)), Renewal::Renewed);
        assert_eq!(signature.renew(0, at(2 * HOUR)), Renewal::Renewed);
        assert_eq!(issued(&mut signature, at(2 * HOUR)), (at(HOUR), 1));
        assert_eq!(signature.renew(1, at(2 * HOUR)), Renewal::Renewed);
        assert_eq!(issued(&mut signature, at(2 * HOUR)), (at(2 * HOUR), 2));
    }

    #[test]
    fn a_given_signature_stays_and_cannot_be_renewed() {
        let given = UserSig::new("given".to_owned()).unwrap();
        let mut signature = signature(Credentials::Signature(given));
        assert_eq!(signature.renew(0, at(0)), Renewal::NotPossible);
        let (usersig, generation) = signature.current(at(1000 * HOUR));
        assert_eq!((usersig.expose(), generation), ("given", 0));
    }
}
