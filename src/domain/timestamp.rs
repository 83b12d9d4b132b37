//! Milliseconds since 1970, as the queue stores moments, in other forms.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Milliseconds since 1970 as RFC 3339 in UTC with milliseconds; beyond the years of the calendar, its first or last.
pub fn rfc3339(milliseconds: i64) -> String {
    let (first, last) = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    let at = Timestamp::from_millisecond(milliseconds.clamp(first, last)).unwrap_or(Timestamp::MAX);
    format!("{at:.3}")
}

/// Milliseconds since 1970 as a moment in a time zone.
pub fn local(milliseconds: i64, zone: &TimeZone) -> Zoned {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MIN).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_never_fail() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_793_000_000_120), "2026-10-26T07:33:20.120Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-") && rfc3339(i64::MIN).starts_with("-009999-"));
    }
}
