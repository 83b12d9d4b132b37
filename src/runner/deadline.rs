//! `stop.until`: a time of day on the wall clock.

use jiff::Zoned;

use crate::clock;
use crate::domain::job::TimeOfDay;

/// The next time at which the clock shows a time of day. The clock is read repeatedly, because it may be set and the
/// machine may sleep in between. A time that the clock jumps over has come. A clock that is set back never moves the
/// end to a later day than it shows.
#[derive(Debug)]
pub struct Deadline {
    until: TimeOfDay,
    due: Zoned,
}

impl Deadline {
    /// The next time at which the clock shows it.
    pub fn starting_now(until: TimeOfDay) -> Option<Self> {
        Self::starting(until, &clock::local_now())
    }

    /// The moment, as far as the clock tells by now.
    pub fn due(&self) -> &Zoned {
        &self.due
    }

    fn starting(until: TimeOfDay, now: &Zoned) -> Option<Self> {
        until.next(now).map(|due| Self { until, due })
    }

    pub(super) fn has_come(&mut self) -> bool {
        self.has_come_by(&clock::local_now())
    }

    fn has_come_by(&mut self, now: &Zoned) -> bool {
        // Sooner where the clock was set back by a day or more, or to before a time that had passed at the start.
        if *now < self.due
            && let Some(next) = self.until.next(now)
            && next < self.due
        {
            self.due = next;
        }
        *now >= self.due
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(time: &str) -> Zoned {
        time.parse().expect("a moment")
    }

    /// Whether 06:00 has come by each of these looks at the clock, the first at the start.
    fn looks(times: &[&str]) -> Vec<bool> {
        let (start, looks) = times.split_first().expect("a start");
        let mut deadline = Deadline::starting(TimeOfDay { hour: 6, minute: 0 }, &at(start)).expect("there is one");
        looks.iter().map(|now| deadline.has_come_by(&at(now))).collect()
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
        let mut deadline = Deadline::starting(TimeOfDay { hour: 6, minute: 0 }, &now).expect("there is one");
        assert_eq!(deadline.has_come_by(&now), come);
    }

    /// Started in the hour that comes twice, after the time was shown first.
    #[test]
    fn on_the_night_the_clocks_go_back_it_comes_in_the_repeated_hour() {
        let start = at("2026-10-25T02:50+02:00[Europe/Berlin]");
        let mut deadline = Deadline::starting(TimeOfDay { hour: 2, minute: 30 }, &start).expect("there is one");
        assert!(!deadline.has_come_by(&at("2026-10-25T02:29:59+01:00[Europe/Berlin]")));
        assert!(deadline.has_come_by(&at("2026-10-25T02:30+01:00[Europe/Berlin]")));
    }
}
