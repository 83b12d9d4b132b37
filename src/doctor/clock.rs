//! The clock of this machine against the clock of the server.

use jiff::{SignedDuration, Timestamp};

use super::Finding;

/// The largest difference that is no finding: a UserSig has a margin of hours, but logs and `stop.until` have not.
const LARGEST: SignedDuration = SignedDuration::from_secs(60);

/// Compares the moment of a call with the time that the server gave its response.
pub fn compared_clock(ours: Timestamp, server: Option<Timestamp>) -> Finding {
    let Some(server) = server else {
        return Finding::ok("clock", "not compared: the response has no `Date`");
    };
    let ahead = ours.duration_since(server);
    if ahead.abs() <= LARGEST {
        return Finding::ok("clock", "agrees with the clock of the server to a minute");
    }
    let side = if ahead.is_positive() { "ahead of" } else { "behind" };
    let text = format!("this machine is {} s {side} the server", ahead.abs().as_secs());
    Finding::warning("clock", text, "set the clock, for example with NTP: the API refuses a UserSig of a wrong clock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_difference_of_more_than_a_minute_is_a_warning() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let level = |ours, server| compared_clock(at(ours), Some(at(server))).level;
        assert_eq!((level(0, 0), level(60, 0), level(0, 60)), (Level::Ok, Level::Ok, Level::Ok));
        assert_eq!((level(61, 0), level(0, 61)), (Level::Warning, Level::Warning));
        assert!(compared_clock(at(90), Some(at(0))).text.contains("90 s ahead of"));
        assert!(compared_clock(at(0), Some(at(90))).text.contains("90 s behind"));
        assert_eq!(compared_clock(at(0), None).level, Level::Ok);
    }
}
