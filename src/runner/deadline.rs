//! The limits of a session in time.

use jiff::Zoned;
use tokio::time::Instant;

use crate::clock;
use crate::domain::schedule::DeadlineKey;
use crate::domain::time_limit::{TimeLimits, TimeOfDayLimit};

/// A moment at which the session ends.
#[derive(Debug)]
pub struct Deadline {
    /// As far as the clock tells by now.
    due: Zoned,
    end: EndTime,
}

#[derive(Debug)]
enum EndTime {
    /// The next time at which the clock shows a time of day. The clock is read repeatedly, because it may be set and
    /// the machine may sleep in between. A time that the clock jumps over has come. A clock that is set back never
    /// moves the end to a later day than it shows.
    Daily(TimeOfDayLimit),
    /// A moment of the monotonic clock.
    MaxRuntime(Instant),
}

impl Deadline {
    /// The deadlines of a session that starts now.
    pub fn starting_now(times: &TimeLimits) -> Vec<Self> {
        let now = clock::local_now();
        let daily = times.daily.clone().and_then(|limit| Self::daily(limit, &now));
        let longest = times.max_runtime.and_then(|longest| {
            Some(Self {
                due: now.checked_add(longest).ok()?,
                end: EndTime::MaxRuntime(Instant::now().checked_add(longest)?),
            })
        });
        daily.into_iter().chain(longest).collect()
    }

    /// The moment, as far as the clock tells by now.
    pub fn due(&self) -> &Zoned {
        &self.due
    }

    fn daily(limit: TimeOfDayLimit, now: &Zoned) -> Option<Self> {
        limit.ends(now).map(|due| Self { due, end: EndTime::Daily(limit) })
    }

    /// The key of the job file, if the moment has come.
    pub(super) fn has_come(&mut self) -> Option<DeadlineKey> {
        self.has_come_by(&clock::local_now(), Instant::now())
    }

    fn has_come_by(&mut self, now: &Zoned, instant: Instant) -> Option<DeadlineKey> {
        match &self.end {
            EndTime::MaxRuntime(at) => (instant >= *at).then_some(DeadlineKey::MaxRuntime),
            EndTime::Daily(limit) => {
                // Sooner if the clock was set back by a day or more, or to before a time that had passed at the start.
                if *now < self.due
                    && let Some(next) = limit.ends(now)
                    && next < self.due
                {
                    self.due = next;
                }
                let key = match limit {
                    TimeOfDayLimit::Until(_) => DeadlineKey::Until,
                    TimeOfDayLimit::Window(_) => DeadlineKey::Window,
                };
                (*now >= self.due).then_some(key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::domain::time_limit::TimeOfDay;

    fn at(time: &str) -> Zoned {
        time.parse().expect("a moment")
    }

    fn until(hour: u8, minute: u8, now: &Zoned) -> Deadline {
        Deadline::daily(TimeOfDayLimit::Until(TimeOfDay { hour, minute }), now).expect("there is one")
    }

    /// Whether 06:00 has come by each of these looks at the clock, the first at the start.
    fn looks(times: &[&str]) -> Vec<bool> {
        let (start, looks) = times.split_first().expect("a start");
        let mut deadline = until(6, 0, &at(start));
        looks.iter().map(|now| deadline.has_come_by(&at(now), Instant::now()).is_some()).collect()
    }

    #[rstest]
    #[case::as_time_goes_by(&["2026-11-22T22:00Z[UTC]", "2026-11-23T05:59:59Z[UTC]", "2026-11-23T06:00Z[UTC]"])]
    #[case::jumped_over_by_hours(&["2026-11-22T22:00Z[UTC]", "2026-11-23T05:00Z[UTC]", "2026-11-23T09:00Z[UTC]"])]
    #[case::jumped_over_by_days(&["2026-11-22T22:00Z[UTC]", "2026-11-22T22:01Z[UTC]", "2026-12-22T01:00Z[UTC]"])]
    #[case::set_back_an_hour(&["2026-11-23T04:00Z[UTC]", "2026-11-23T03:00Z[UTC]", "2026-11-23T06:00Z[UTC]"])]
    #[case::set_back_days(&["2026-11-22T22:00Z[UTC]", "2026-11-20T23:00Z[UTC]", "2026-11-21T06:00Z[UTC]"])]
    #[case::set_back_to_before_it(&["2026-11-22T07:00Z[UTC]", "2026-11-22T05:00Z[UTC]", "2026-11-22T06:00Z[UTC]"])]
    #[case::back_and_forth(&["2026-11-22T22:00Z[UTC]", "2026-11-20T23:00Z[UTC]", "2026-11-22T22:01Z[UTC]"])]
    #[case::spring(&[
        "2026-03-29T01:00+01:00[Europe/Berlin]",
        "2026-03-29T05:59+02:00[Europe/Berlin]",
        "2026-03-29T06:00+02:00[Europe/Berlin]",
    ])]
    #[case::autumn(&[
        "2026-10-25T01:00+02:00[Europe/Berlin]",
        "2026-10-25T05:59+01:00[Europe/Berlin]",
        "2026-10-25T06:00+01:00[Europe/Berlin]",
    ])]
    #[case::set_back_into_its_minute(&[
        "2026-11-22T22:00Z[UTC]",
        "2026-11-22T05:00Z[UTC]",
        "2026-11-22T06:00:30Z[UTC]",
    ])]
    #[case::another_zone(&[
        "2026-11-22T22:00Z[UTC]",
        "2026-11-23T05:59+08:00[Asia/Shanghai]",
        "2026-11-23T06:00+08:00[Asia/Shanghai]",
    ])]
    fn it_comes_the_next_time_that_the_clock_shows_it_and_not_before(#[case] times: &[&str]) {
        assert_eq!(looks(times), [false, true]);
    }

    #[rstest]
    #[case::in_the_minute_itself("06:00:30", true)]
    #[case::after_it("06:01:00", false)]
    fn in_its_minute_it_has_come_at_once(#[case] time: &str, #[case] come: bool) {
        let now = at(&format!("2026-11-22T{time}Z[UTC]"));
        assert_eq!(until(6, 0, &now).has_come_by(&now, Instant::now()).is_some(), come);
    }

    /// Started in the hour that comes twice, after the time was shown first.
    #[test]
    fn on_the_night_the_clocks_go_back_it_comes_in_the_repeated_hour() {
        let start = at("2026-10-25T02:50+02:00[Europe/Berlin]");
        let mut deadline = until(2, 30, &start);
        assert_eq!(deadline.has_come_by(&at("2026-10-25T02:29:59+01:00[Europe/Berlin]"), Instant::now()), None);
        let come = deadline.has_come_by(&at("2026-10-25T02:30+01:00[Europe/Berlin]"), Instant::now());
        assert_eq!(come, Some(DeadlineKey::Until));
    }

    #[test]
    fn the_maximum_duration_is_that_of_the_monotonic_clock() {
        let longest = Duration::from_mins(1);
        let before = Instant::now();
        let mut deadlines = Deadline::starting_now(&TimeLimits { daily: None, max_runtime: Some(longest) });
        let after = Instant::now();
        assert_eq!(deadlines.len(), 1);
        let now = at("2026-11-22T05:00Z[UTC]");
        assert_eq!(deadlines[0].has_come_by(&now, before + longest - Duration::from_millis(1)), None);
        assert_eq!(deadlines[0].has_come_by(&now, after + longest), Some(DeadlineKey::MaxRuntime));
    }
}
