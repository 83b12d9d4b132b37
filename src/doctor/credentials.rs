//! A UserSig against the app, its admin and the clock.

use std::num::NonZeroU64;

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::api::usersig::{Claims, UserSigDecodeError};

const CHECK: &str = "usersig";
/// A UserSig that was given cannot be renewed, so a run may outlast one that expires within this time.
const SOON: SignedDuration = SignedDuration::from_hours(6);
/// The difference of clocks that is tolerated between its maker and this machine.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Checks what a given UserSig says in the clear; only the API can tell whether it is genuine. `variable` is the name
/// of its variable: an app may have one of its own.
pub fn given_usersig(
    variable: &str,
    claims: Result<Claims, UserSigDecodeError>,
    sdkappid: NonZeroU64,
    identifier: &str,
    now: Timestamp,
) -> Finding {
    let claims = match claims {
        Ok(claims) => claims,
        Err(error) => {
            return Finding::error(CHECK, format!("{variable} {error}"), "copy it again, to its last character");
        }
    };
    if claims.sdkappid != sdkappid {
        let text = format!("{variable} is for app {}, not for app {sdkappid}", claims.sdkappid);
        let hint = format!("set {variable} to one of this app, or correct `sdkappid` in [app]");
        return Finding::error(CHECK, text, hint);
    }
    if claims.identifier != identifier {
        let text = format!("{variable} is for the account {:?}, not for {identifier:?}", claims.identifier);
        let hint = format!("set {variable} to one of this admin, or correct `identifier` in [app]");
        return Finding::error(CHECK, text, hint);
    }
    let valid = SignedDuration::try_from(claims.valid).unwrap_or(SignedDuration::MAX);
    let expires = claims.issued_at.checked_add(valid).unwrap_or(Timestamp::MAX);
    let left = expires.duration_since(now);
    // With both a UserSig and a key, neither would be used.
    let key = variable.replace("USERSIG", "SECRET_KEY");
    if left <= SignedDuration::ZERO {
        let hint = format!("set it to a new UserSig, or unset it and set {key}");
        return Finding::error(CHECK, format!("{variable} expired at {expires:.0}"), hint);
    }
    if claims.issued_at.duration_since(now) > MARGIN {
        let text = format!("{variable} was made at {:.0}, which is in the future of this machine", claims.issued_at);
        return Finding::warning(CHECK, text, "compare the clock of this machine with the clock of its maker");
    }
    if left < SOON {
        let text = format!("{variable} expires at {expires:.0}");
        let hint = format!("a run that takes longer halts; unset it and set {key}, with which imbulk renews it");
        return Finding::warning(CHECK, text, hint);
    }
    Finding::ok(CHECK, format!("valid until {expires:.0}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::Level;

    const APP: NonZeroU64 = NonZeroU64::new(1_400_000_001).unwrap();

    const VARIABLE: &str = "IMBULK_USERSIG";

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hours * 3600).unwrap()
    }

    fn claims(hours: u64) -> Claims {
        Claims {
            identifier: "administrator".to_owned(),
            sdkappid: APP,
            issued_at: at(0),
            valid: Duration::from_hours(hours),
        }
    }

    #[test]
    fn a_usersig_must_be_whole_in_date_and_of_this_admin_and_app() {
        let level = |claims, now| given_usersig(VARIABLE, claims, APP, "administrator", at(now)).level;
        assert_eq!(level(Ok(claims(24)), 1), Level::Ok);
        assert_eq!(level(Ok(claims(24)), 20), Level::Warning, "it expires soon");
        assert_eq!(level(Ok(claims(24)), -1), Level::Warning, "it is of the future");
        assert_eq!(level(Ok(claims(24)), 24), Level::Error);
        assert_eq!(level(Err(UserSigDecodeError::Compression), 1), Level::Error);
        let other_app = Claims { sdkappid: NonZeroU64::new(7).unwrap(), ..claims(24) };
        let found = given_usersig(VARIABLE, Ok(other_app), APP, "administrator", at(1));
        assert!(found.level == Level::Error && found.text.contains("for app 7, not for app 1400000001"), "{found:?}");
        let found = given_usersig(VARIABLE, Ok(claims(24)), APP, "root", at(1));
        assert!(found.level == Level::Error && found.text.contains("not for \"root\""), "{found:?}");
    }

    #[test]
    fn the_text_and_the_hint_name_the_variable_that_is_used() {
        let own = "IMBULK_USERSIG_1400000001";
        for (claims, now) in [
            (Err(UserSigDecodeError::Compression), 1),
            (Ok(Claims { sdkappid: NonZeroU64::new(7).unwrap(), ..claims(24) }), 1),
            (Ok(Claims { identifier: "root".to_owned(), ..claims(24) }), 1),
            (Ok(claims(24)), -1),
            (Ok(claims(24)), 20),
            (Ok(claims(24)), 24),
        ] {
            let found = given_usersig(own, claims, APP, "administrator", at(now));
            assert!(found.text.starts_with(own), "{found:?}");
            let hint = found.hint.unwrap();
            let of_app = |variable: &str| variable.ends_with("_1400000001");
            let named = hint.split([' ', ',', ';']).filter(|word| word.starts_with("IMBULK_"));
            assert!(named.clone().all(of_app), "{hint}");
        }
    }
}
