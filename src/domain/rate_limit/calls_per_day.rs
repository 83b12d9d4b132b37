//! The calls of a calendar day: how many were sent, and how many may follow.
//!
//! Calls are counted for each quarter of an hour, because the day of a job depends on its time zone, and the days of
//! all time zones begin at a quarter of an hour. So jobs with different time zones share one count.

use std::num::NonZeroU64;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// A quarter of an hour.
const QUARTER_SECONDS: u64 = 15 * 60;

/// `limits.calls_per_day`
#[derive(Debug, Clone, PartialEq)]
pub struct CallsPerDay {
    /// The maximum of calls on one calendar day.
    pub calls: NonZeroU64,
    /// The time zone of the day; none: that of the machine.
    pub zone: Option<TimeZone>,
}

/// A calendar day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Its first moment.
    begin: Timestamp,
    /// The first moment of the next day.
    pub next: Zoned,
}

/// The number of calls in a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuarterCount {
    /// The quarters from 1970 to this one; 0 if nothing is counted.
    pub quarter: u64,
    /// The calls.
    pub calls: u64,
}

/// A daily limit of this process, and the day for which it was evaluated last.
#[derive(Debug, Clone)]
pub struct DayBudget {
    limit: CallsPerDay,
    day: Option<Day>,
}

/// A day whose calls are used up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayUsedUp {
    /// The maximum of calls.
    pub calls: NonZeroU64,
    /// The first moment of the next day.
    pub next_day: Zoned,
}

impl CallsPerDay {
    /// The day of a moment; none at the end of the calendar.
    pub fn day(&self, now: &Zoned) -> Option<Day> {
        let now = self.zone.as_ref().map_or_else(|| now.clone(), |zone| now.with_time_zone(zone.clone()));
        // A night on which the clocks change may skip midnight. Then the day begins at the first moment that exists.
        let begin = now.start_of_day().ok()?;
        let next = begin.checked_add(1.day()).and_then(|next| next.start_of_day()).ok()?;
        Some(Day { begin: begin.timestamp(), next })
    }
}

impl Day {
    /// Whether the moment is on this day.
    fn contains(&self, at: Timestamp) -> bool {
        (self.begin..self.next.timestamp()).contains(&at)
    }

    /// The calls of this day. A quarter that is only partly on this day counts: too many is the safe side.
    pub fn calls(&self, counts: &[QuarterCount]) -> u64 {
        let (first, next) = (quarter_of(self.begin), seconds(self.next.timestamp()));
        let is_today =
            |count: &&QuarterCount| count.quarter >= first && count.quarter.saturating_mul(QUARTER_SECONDS) < next;
        counts.iter().filter(is_today).fold(0, |sum, count| sum.saturating_add(count.calls))
    }
}

impl DayBudget {
    /// A limit that was not evaluated yet.
    pub const fn new(limit: CallsPerDay) -> Self {
        Self { limit, day: None }
    }

    /// Whether the calls of the day are used up.
    pub fn used_up(&mut self, counts: &[QuarterCount], now: &Zoned) -> Option<DayUsedUp> {
        if !self.day.as_ref().is_some_and(|day| day.contains(now.timestamp())) {
            self.day = self.limit.day(now);
        }
        let (day, calls) = (self.day.as_ref()?, self.limit.calls);
        (day.calls(counts) >= calls.get()).then(|| DayUsedUp { calls, next_day: day.next.clone() })
    }

    /// The end of the day in seconds since 1970, as it was evaluated last: until then the counts are needed.
    pub fn needs_counts_until(&self) -> u64 {
        self.day.as_ref().map_or(0, |day| seconds(day.next.timestamp()))
    }
}

/// The number of the quarter of an hour that contains the moment; 0 before 1970.
pub fn quarter_of(at: Timestamp) -> u64 {
    seconds(at) / QUARTER_SECONDS
}

/// Seconds since 1970; 0 before.
pub fn seconds(at: Timestamp) -> u64 {
    at.as_second().max(0).cast_unsigned()
}

/// The days that calls take at least, today included, if this number is left today.
pub fn days_for(calls: u64, left_today: u64, per_day: NonZeroU64) -> u64 {
    1 + calls.saturating_sub(left_today).div_ceil(per_day.get())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn per_day(calls: u64, zone: Option<&str>) -> CallsPerDay {
        let zone = zone.map(|zone| TimeZone::get(zone).expect("a zone"));
        CallsPerDay { calls: NonZeroU64::new(calls).expect("not 0"), zone }
    }

    fn day(now: &str) -> Day {
        per_day(1, None).day(&now.parse().expect("a moment")).expect("there is one")
    }

    fn counts(moments: &[&str]) -> Vec<QuarterCount> {
        let quarter = |at: &&str| quarter_of(at.parse().expect("a moment"));
        moments.iter().map(|at| QuarterCount { quarter: quarter(at), calls: 1 }).collect()
    }

    #[rstest]
    #[case::usual("2026-11-22T05:59+08:00[Asia/Shanghai]", "2026-11-21T16:00:00Z", "2026-11-22T16:00:00Z")]
    #[case::spring("2026-03-29T12:00+02:00[Europe/Berlin]", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")]
    #[case::autumn("2026-10-25T12:00+01:00[Europe/Berlin]", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")]
    #[case::in_the_repeated_hour(
        "2026-10-25T02:30+01:00[Europe/Berlin]",
        "2026-10-24T22:00:00Z",
        "2026-10-25T23:00:00Z"
    )]
    #[case::without_midnight("2026-04-24T12:00+03:00[Africa/Cairo]", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z")]
    #[case::before_it("2026-04-23T23:59+02:00[Africa/Cairo]", "2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z")]
    #[case::by_quarters("2026-11-22T00:00+05:45[Asia/Kathmandu]", "2026-11-21T18:15:00Z", "2026-11-22T18:15:00Z")]
    fn a_day_is_as_long_as_the_clocks_of_its_zone_make_it(#[case] now: &str, #[case] begin: &str, #[case] next: &str) {
        let day = day(now);
        assert_eq!((day.begin.to_string(), day.next.timestamp().to_string()), (begin.to_owned(), next.to_owned()));
        assert!(day.contains(begin.parse().unwrap()) && !day.contains(next.parse().unwrap()));
    }

    #[test]
    fn the_zone_of_the_job_decides_when_a_day_begins() {
        let now: Zoned = "2026-11-22T17:00+00:00[UTC]".parse().unwrap();
        let next = |zone| per_day(1, zone).day(&now).unwrap().next.to_string();
        assert_eq!(next(Some("Asia/Shanghai")), "2026-11-24T00:00:00+08:00[Asia/Shanghai]");
        assert_eq!(next(None), "2026-11-23T00:00:00+00:00[UTC]");
    }

    #[test]
    fn the_calls_from_the_first_to_the_last_quarter_of_the_day_count() {
        let day = day("2026-10-25T12:00+01:00[Europe/Berlin]");
        let inside = ["2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T22:59:59Z"];
        let outside = ["2026-10-24T21:59:59Z", "2026-10-25T23:00:00Z", "2026-11-25T12:00:00Z"];
        assert_eq!(day.calls(&counts(&inside)), 3);
        assert_eq!(day.calls(&counts(&outside)), 0);
        assert_eq!(day.calls(&[QuarterCount::default(); 2]), 0);
        let most = QuarterCount { calls: u64::MAX, ..counts(&inside)[0] };
        assert_eq!(day.calls(&[most, most]), u64::MAX);
    }

    #[rstest]
    #[case::fits_today(10, 10, 1)]
    #[case::one_more(11, 10, 2)]
    #[case::none_left(100, 0, 2)]
    #[case::several_days(1_000, 50, 11)]
    #[case::nothing_to_send(0, 0, 1)]
    fn the_days_include_today(#[case] calls: u64, #[case] left: u64, #[case] days: u64) {
        assert_eq!(days_for(calls, left, NonZeroU64::new(100).unwrap()), days);
    }

    #[test]
    fn a_used_up_day_says_when_the_next_one_begins_and_the_next_day_begins_at_zero() {
        let mut budget = DayBudget::new(per_day(2, Some("Asia/Shanghai")));
        let night = counts(&["2026-11-22T15:59:00Z", "2026-11-22T15:59:59Z"]);
        let at = |now: &str| now.parse::<Zoned>().unwrap();
        assert_eq!(budget.used_up(&night[..1], &at("2026-11-22T15:59:59Z[UTC]")), None);
        let used_up = budget.used_up(&night, &at("2026-11-22T15:59:59Z[UTC]")).unwrap();
        assert_eq!(used_up.next_day.to_string(), "2026-11-23T00:00:00+08:00[Asia/Shanghai]");
        assert_eq!(budget.needs_counts_until(), seconds(used_up.next_day.timestamp()));
        assert_eq!(budget.used_up(&night, &at("2026-11-22T16:00:00Z[UTC]")), None);
        // A clock that is set back finds the calls of the earlier day again.
        assert_eq!(budget.used_up(&night, &at("2026-11-22T15:00:00Z[UTC]")), Some(used_up));
    }

    #[test]
    fn at_the_end_of_the_calendar_there_is_no_limit() {
        let now: Zoned = "9999-12-30T20:00+00:00[UTC]".parse().unwrap();
        assert_eq!(DayBudget::new(per_day(1, None)).used_up(&[], &now), None);
    }
}
