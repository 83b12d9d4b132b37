//! When a session may send: the next moment of a time of day, daily windows, and the maximum duration.

use std::fmt::{self, Debug, Display, Formatter};
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// The time for which clocks show a time of day.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The limits of one session in time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TimeLimits {
    /// The time of day at which it ends.
    pub daily: Option<TimeOfDayLimit>,
    /// Its maximum duration, from the start of the process.
    pub max_runtime: Option<Duration>,
}

/// The time of day at which a session ends.
#[derive(Debug, Clone, PartialEq)]
pub enum TimeOfDayLimit {
    /// `stop.until`: no call begins after this local time.
    Until(TimeOfDay),
    /// `stop.window`: no call begins outside of the window.
    Window(Window),
}

/// A part of each day. It may include midnight.
#[derive(Clone, PartialEq)]
pub struct Window {
    /// Its start, included.
    pub from: TimeOfDay,
    /// Its end, excluded. It differs from the start.
    pub to: TimeOfDay,
    /// Its time zone; none: that of the machine.
    pub zone: Option<TimeZone>,
}

/// A time of day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
}

impl TimeLimits {
    /// When a session ends that starts now, or when the window opens; none if it may take as long as it needs.
    pub fn end(&self, now: &Zoned) -> Option<Zoned> {
        let closed = self.daily.as_ref().and_then(|daily| daily.closed_window(now));
        let start = closed.and_then(|window| window.opens(now)).unwrap_or_else(|| now.clone());
        let daily = self.daily.as_ref().and_then(|daily| daily.ends(&start));
        let longest = self.max_runtime.and_then(|longest| start.checked_add(longest).ok());
        daily.into_iter().chain(longest).min_by_key(Zoned::timestamp)
    }
}

impl TimeOfDayLimit {
    /// The next moment at which it ends sending; none at the end of the calendar.
    pub fn ends(&self, now: &Zoned) -> Option<Zoned> {
        match self {
            Self::Until(time) => time.next(now),
            Self::Window(window) => window.to.next(&window.local(now)),
        }
    }

    /// The window, if it is one and it is closed.
    pub fn closed_window(&self, now: &Zoned) -> Option<&Window> {
        match self {
            Self::Until(_) => None,
            Self::Window(window) => (!window.is_open(now)).then_some(window),
        }
    }
}

impl Window {
    /// Whether calls may begin now. On a night on which clocks change, it is open while they show a time in it.
    pub fn is_open(&self, now: &Zoned) -> bool {
        let local = self.local(now).time();
        let time = |part: i8| u8::try_from(part).unwrap_or_default();
        let now = TimeOfDay { hour: time(local.hour()), minute: time(local.minute()) };
        if self.from < self.to { (self.from..self.to).contains(&now) } else { now >= self.from || now < self.to }
    }

    /// The next moment at which it opens.
    pub fn opens(&self, now: &Zoned) -> Option<Zoned> {
        self.from.next(&self.local(now))
    }

    /// The moment on the clocks of its time zone.
    fn local(&self, now: &Zoned) -> Zoned {
        self.zone.as_ref().map_or_else(|| now.clone(), |zone| now.with_time_zone(zone.clone()))
    }
}

/// As the job file writes it. A time zone without a name is not written there.
impl Display for Window {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)?;
        match self.zone.as_ref().and_then(TimeZone::iana_name) {
            Some(zone) => write!(f, " {zone}"),
            None => Ok(()),
        }
    }
}

impl Debug for Window {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for TimeOfDay {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

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
struct TimePoint {
    at: Timestamp,
    /// The time for which they show it.
    shown: SignedDuration,
}

impl TimePoint {
    /// Whether it is in the future, or clocks show it now.
    fn is_ahead(&self, now: Timestamp) -> bool {
        self.at > now || now.duration_since(self.at) < self.shown
    }
}

/// The moments at which clocks reach this time on this day.
fn moments(zone: &TimeZone, date: Date, time: Time) -> Vec<TimePoint> {
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
    moments.into_iter().flatten().map(|at| TimePoint { at, shown }).collect()
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

    fn window(from: (u8, u8), to: (u8, u8), zone: Option<&str>) -> Window {
        let time = |(hour, minute)| TimeOfDay { hour, minute };
        let zone = zone.map(|zone| TimeZone::get(zone).expect("a zone"));
        Window { from: time(from), to: time(to), zone }
    }

    #[rstest]
    #[case::at_its_start("2026-11-22T02:00:00+00:00[UTC]", true)]
    #[case::before_it("2026-11-22T01:59:59+00:00[UTC]", false)]
    #[case::before_its_end("2026-11-22T05:59:59+00:00[UTC]", true)]
    #[case::at_its_end("2026-11-22T06:00:00+00:00[UTC]", false)]
    #[case::on_a_clock_elsewhere("2026-11-22T10:30:00+08:00[Asia/Shanghai]", false)]
    fn a_window_contains_its_start_and_not_its_end(#[case] now: &str, #[case] open: bool) {
        let now: Zoned = now.parse().expect("a moment");
        assert_eq!(window((2, 0), (6, 0), None).is_open(&now), open);
    }

    #[rstest]
    #[case::before_midnight("2026-11-22T23:00:00+00:00[UTC]", true)]
    #[case::after_midnight("2026-11-22T05:59:00+00:00[UTC]", true)]
    #[case::by_day("2026-11-22T12:00:00+00:00[UTC]", false)]
    fn a_window_may_include_midnight(#[case] now: &str, #[case] open: bool) {
        let now: Zoned = now.parse().expect("a moment");
        assert_eq!(window((22, 0), (6, 0), None).is_open(&now), open);
    }

    #[test]
    fn a_window_is_read_on_the_clocks_of_its_zone() {
        let window = window((2, 0), (6, 0), Some("Asia/Shanghai"));
        let now: Zoned = "2026-11-22T19:30:00+00:00[UTC]".parse().expect("a moment");
        assert!(window.is_open(&now), "03:30 in Shanghai");
        let end = TimeOfDayLimit::Window(window.clone()).ends(&now).expect("there is one");
        assert_eq!(end.to_string(), "2026-11-23T06:00:00+08:00[Asia/Shanghai]");
        assert_eq!(window.opens(&now).expect("there is one").to_string(), "2026-11-24T02:00:00+08:00[Asia/Shanghai]");
        assert_eq!(window.to_string(), "02:00-06:00 Asia/Shanghai");
    }

    #[test]
    fn a_session_ends_at_the_first_of_its_limits_and_starts_when_its_window_opens() {
        let end = |daily, max_runtime, now: &str| {
            let now: Zoned = now.parse().expect("a moment");
            TimeLimits { daily, max_runtime }.end(&now).map(|end| end.strftime("%d %H:%M").to_string())
        };
        let window = || Some(TimeOfDayLimit::Window(window((2, 0), (6, 0), None)));
        let hours = |hours| Some(Duration::from_hours(hours));
        let (night, day) = ("2026-11-22T03:00:00+00:00[UTC]", "2026-11-22T12:00:00+00:00[UTC]");
        assert_eq!(end(window(), None, night).as_deref(), Some("22 06:00"));
        assert_eq!(end(window(), hours(1), night).as_deref(), Some("22 04:00"));
        assert_eq!(end(window(), hours(9), day).as_deref(), Some("23 06:00"));
        assert_eq!(end(window(), hours(1), day).as_deref(), Some("23 03:00"));
        assert_eq!(end(None, hours(1), day).as_deref(), Some("22 13:00"));
        assert_eq!(end(None, None, day), None);
    }

    #[test]
    fn on_the_night_the_clocks_go_back_a_window_is_open_in_both_hours() {
        let window = window((2, 0), (3, 0), Some("Europe/Berlin"));
        for now in ["2026-10-25T02:30:00+02:00[Europe/Berlin]", "2026-10-25T02:30:00+01:00[Europe/Berlin]"] {
            let now: Zoned = now.parse().expect("a moment");
            assert!(window.is_open(&now), "{now}");
            let end = TimeOfDayLimit::Window(window.clone()).ends(&now).expect("there is one");
            assert_eq!(end.to_string(), "2026-10-25T03:00:00+01:00[Europe/Berlin]");
        }
    }

    #[test]
    fn at_the_end_of_the_calendar_there_is_no_next_moment() {
        let now: Zoned = "9999-12-30T20:00:00+00:00[UTC]".parse().expect("a moment");
        let moment = TimeOfDay { hour: 6, minute: 0 }.next(&now);
        assert!(moment.is_none_or(|moment| moment > now));
    }
}
