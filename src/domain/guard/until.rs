//! `stop.until`: the next moment of a time of day.

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::domain::job::TimeOfDay;

/// The time for which clocks show a time of day.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

impl TimeOfDay {
    /// The next moment at which clocks in the time zone of `now` show this time; none at the end of the calendar.
    ///
    /// During that minute it is the current moment, so that a run that is restarted at once does not continue for
    /// another day. On a day whose clocks skip the time, it is the moment of the skip. On a day that has the time
    /// twice, both moments count.
    pub fn next(self, now: &Zoned) -> Option<Zoned> {
        let (hour, minute) = (i8::try_from(self.hour).ok()?, i8::try_from(self.minute).ok()?);
        let time = Time::new(hour, minute, 0, 0).ok()?;
        let zone = now.time_zone();
        // A time zone may skip a whole day.
        let days = now.date().series(jiff::Span::new().days(1)).take(3);
        let moments = days.flat_map(|date| moments(zone, date, time));
        let next = moments.filter(|moment| moment.is_ahead(now.timestamp())).map(|moment| moment.at).min();
        next.map(|at| at.to_zoned(zone.clone()))
    }
}

/// A moment at which clocks reach a time of day.
struct LocalTime {
    at: Timestamp,
    /// The time for which they show it.
    shown: SignedDuration,
}

impl LocalTime {
    /// Whether it is in the future, or clocks show it now.
    fn is_ahead(&self, now: Timestamp) -> bool {
        self.at > now || now.duration_since(self.at) < self.shown
    }
}

/// The moments at which clocks reach this time on this day.
fn moments(zone: &TimeZone, date: Date, time: Time) -> Vec<LocalTime> {
    let local = date.to_datetime(time);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let (moments, shown) = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => (vec![ambiguous.compatible().ok()], MINUTE),
        AmbiguousOffset::Fold { .. } => (vec![ambiguous.earlier().ok(), ambiguous.later().ok()], MINUTE),
        AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().ok();
            let skip = before.and_then(|before| zone.following(before).next()).map(|skip| skip.timestamp());
            (vec![skip], SignedDuration::ZERO)
        }
    };
    moments.into_iter().flatten().map(|at| LocalTime { at, shown }).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn next(hour: u8, minute: u8, now: &str) -> String {
        let now: Zoned = now.parse().expect("a moment");
        TimeOfDay { hour, minute }.next(&now).expect("there is one").to_string()
    }

    #[test]
    fn until_is_today_before_its_minute_ends_and_tomorrow_after_it() {
        let today = "2026-11-22T06:00:00+08:00[Asia/Shanghai]";
        let tomorrow = "2026-11-23T06:00:00+08:00[Asia/Shanghai]";
        assert_eq!(next(6, 0, "2026-11-22T05:59:59+08:00[Asia/Shanghai]"), today);
        assert_eq!(next(6, 0, today), today);
        assert_eq!(next(6, 0, "2026-11-22T06:00:59.9+08:00[Asia/Shanghai]"), today);
        assert_eq!(next(6, 0, "2026-11-22T06:01:00+08:00[Asia/Shanghai]"), tomorrow);
        assert_eq!(next(6, 0, "2026-11-22T23:00:00+08:00[Asia/Shanghai]"), tomorrow);
        assert_eq!(next(0, 0, "2026-11-22T23:59:59+08:00[Asia/Shanghai]"), "2026-11-23T00:00:00+08:00[Asia/Shanghai]");
    }

    #[rstest]
    #[case::before("2026-03-29T01:00:00+01:00[Europe/Berlin]", "2026-03-29T03:00:00+02:00[Europe/Berlin]")]
    #[case::just_after("2026-03-29T03:00:00+02:00[Europe/Berlin]", "2026-03-30T02:30:00+02:00[Europe/Berlin]")]
    #[case::the_evening_before("2026-03-28T22:00:00+01:00[Europe/Berlin]", "2026-03-29T03:00:00+02:00[Europe/Berlin]")]
    fn a_time_that_spring_skips_comes_when_the_clocks_skip_it(#[case] now: &str, #[case] expected: &str) {
        assert_eq!(next(2, 30, now), expected);
    }

    #[rstest]
    #[case::before_both("2026-10-25T00:10:00+02:00[Europe/Berlin]", "2026-10-25T02:30:00+02:00[Europe/Berlin]")]
    #[case::in_the_first("2026-10-25T02:30:30+02:00[Europe/Berlin]", "2026-10-25T02:30:00+02:00[Europe/Berlin]")]
    #[case::after_the_first("2026-10-25T02:50:00+02:00[Europe/Berlin]", "2026-10-25T02:30:00+01:00[Europe/Berlin]")]
    #[case::in_the_repeated_hour(
        "2026-10-25T02:10:00+01:00[Europe/Berlin]",
        "2026-10-25T02:30:00+01:00[Europe/Berlin]"
    )]
    #[case::after_both("2026-10-25T02:31:00+01:00[Europe/Berlin]", "2026-10-26T02:30:00+01:00[Europe/Berlin]")]
    fn on_the_night_the_clocks_go_back_both_of_its_moments_count(#[case] now: &str, #[case] expected: &str) {
        assert_eq!(next(2, 30, now), expected);
    }

    #[test]
    fn other_times_of_such_a_night_come_once() {
        let at = |now: &str| next(6, 0, now);
        assert_eq!(at("2026-10-24T22:00:00+02:00[Europe/Berlin]"), "2026-10-25T06:00:00+01:00[Europe/Berlin]");
        assert_eq!(at("2026-10-25T02:10:00+01:00[Europe/Berlin]"), "2026-10-25T06:00:00+01:00[Europe/Berlin]");
        assert_eq!(at("2026-03-28T22:00:00+01:00[Europe/Berlin]"), "2026-03-29T06:00:00+02:00[Europe/Berlin]");
    }

    #[test]
    fn at_the_end_of_the_calendar_there_is_no_next_moment() {
        let now: Zoned = "9999-12-30T20:00:00+00:00[UTC]".parse().expect("a moment");
        let moment = TimeOfDay { hour: 6, minute: 0 }.next(&now);
        assert!(moment.is_none_or(|moment| moment > now));
    }
}
