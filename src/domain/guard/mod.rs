//! What must hold before anything is sent, and when a run stops early.

mod protected;
mod room;

use jiff::Zoned;

use super::job::{Guard, Stop, TimeOfDay};
use super::outcome::{Count, Outcome};
use super::tally::Tally;

pub use protected::{Protected, ProtectedError};
pub use room::{Bytes, Room};

/// How many earlier runs `max_change` looks at: a week of nightly ones.
pub const LAST_RUNS: usize = 7;

/// A guard said no: nothing is sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GuardTripped {
    /// More items than `guard.max_items`.
    #[error(
        "{items} items to send, more than `max_items` = {max}\nhint: look at the input; raise `max_items` if they \
         are meant"
    )]
    MaxItems {
        /// Items that would be sent.
        items: u64,
        /// What the job allows.
        max: u64,
    },
    /// More than `guard.max_change` times what is usual.
    #[error(
        "{items} items to send, more than `max_change` = {max_change} times the {median} that the last runs had \
         (median)\nhint: look at the input; raise `max_change` if they are meant"
    )]
    MaxChange {
        /// Items that would be sent.
        items: u64,
        /// The median of the last runs.
        median: f64,
        /// What the job allows.
        max_change: f64,
    },
}

impl Guard {
    /// Whether a run of `items` items may send anything. `last_runs` holds the item counts of the last
    /// [`LAST_RUNS`] runs of the job, in any order; without any there is nothing to compare with.
    pub fn check(&self, items: u64, last_runs: &[u64]) -> Result<(), GuardTripped> {
        if let Some(max) = self.max_items.map(std::num::NonZeroU64::get)
            && items > max
        {
            return Err(GuardTripped::MaxItems { items, max });
        }
        if let (Some(max_change), Some(median)) = (self.max_change, median(last_runs))
            && as_f64(items) > max_change * median
        {
            return Err(GuardTripped::MaxChange { items, median, max_change });
        }
        Ok(())
    }
}

/// Items with an outcome, and those among them that are a bad sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Items with an outcome.
    pub ended: Count,
    /// Items that failed or are in doubt.
    pub failed: Count,
    /// Items that were already done.
    pub already_done: Count,
}

impl Signs {
    /// The rows of a run that were sent and have an outcome.
    pub fn of(tally: &Tally) -> Self {
        let mut signs = Self::default();
        let sent = [Outcome::Succeeded, Outcome::AlreadyDone, Outcome::Failed, Outcome::InDoubt];
        sent.into_iter().for_each(|outcome| signs.count(outcome, tally[outcome]));
        signs
    }

    /// Items ended. An item in doubt is as bad a sign as a failed one.
    pub fn count(&mut self, outcome: Outcome, items: Count) {
        self.ended += items;
        if is_bad_sign(outcome) {
            self.failed += items;
        } else if outcome == Outcome::AlreadyDone {
            self.already_done += items;
        }
    }

    /// Whether this share of the items, or more, was already done.
    pub fn already_done_reaches(&self, share: Option<f64>) -> bool {
        share.is_some_and(|share| reaches(self.already_done, self.ended, share))
    }
}

/// Whether the fuse counts this outcome.
pub const fn is_bad_sign(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::InDoubt)
}

impl Stop {
    /// The fuse: whether so large a share of the items failed that the run must halt.
    pub fn is_blown(&self, signs: Signs) -> bool {
        signs.ended >= self.after_items && reaches(signs.failed, signs.ended, self.failed_share)
    }

    /// Whether so large a share of the items was already done that the run must halt.
    pub fn is_idle(&self, signs: Signs, max_already_done: Option<f64>) -> bool {
        signs.ended >= self.after_items && signs.already_done_reaches(max_already_done)
    }

    /// Whether the first items of a run say that the rest must not be sent.
    pub fn is_canary_dead(&self, signs: Signs, max_already_done: Option<f64>) -> bool {
        reaches(signs.failed, signs.ended, self.failed_share) || signs.already_done_reaches(max_already_done)
    }
}

impl TimeOfDay {
    /// The next moment after `now` at which clocks in the time zone of `now` show this time. On a day whose clocks
    /// skip it, it is as much later as they skip; on a day that has it twice, it is the first. None at the end of
    /// the calendar.
    pub fn next_after(self, now: &Zoned) -> Option<Zoned> {
        let (hour, minute) = (i8::try_from(self.hour).ok()?, i8::try_from(self.minute).ok()?);
        let time = jiff::civil::Time::new(hour, minute, 0, 0).ok()?;
        let on = |date: jiff::civil::Date| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
        let today = on(now.date()).filter(|moment| moment > now);
        today.or_else(|| on(now.date().tomorrow().ok()?))
    }
}

/// Whether `part` of `whole` is at least this share; a share of nothing is none.
fn reaches(part: u64, whole: u64, share: f64) -> bool {
    part > 0 && as_f64(part) >= share * as_f64(whole)
}

/// The middle one; between two, their mean.
fn median(counts: &[u64]) -> Option<f64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(as_f64(lower), as_f64(upper)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of items stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn guard(max_items: Option<u64>, max_change: Option<f64>) -> Guard {
        Guard {
            protected: None,
            min_items: None,
            max_items: max_items.and_then(NonZeroU64::new),
            max_change,
            max_rejected: 0.1,
            max_already_done: None,
            canary: None,
            hold: None,
        }
    }

    #[test]
    fn as_many_items_as_allowed_pass_and_one_more_does_not() {
        let guard = guard(Some(10), None);
        assert_eq!(guard.check(10, &[]), Ok(()));
        assert_eq!(guard.check(11, &[]), Err(GuardTripped::MaxItems { items: 11, max: 10 }));
    }

    #[test]
    fn a_run_is_compared_with_the_median_so_one_odd_night_does_not_move_it() {
        let guard = guard(None, Some(3.0));
        let nights = [100, 1_000_000, 90, 110, 105];
        assert_eq!(guard.check(315, &nights), Ok(()));
        let tripped = guard.check(316, &nights).unwrap_err().to_string();
        assert!(tripped.starts_with("316 items to send, more than `max_change` = 3 times the 105"), "{tripped}");
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_is_the_mean_of_the_middle_two() {
        let guard = guard(None, Some(1.0));
        assert_eq!(guard.check(15, &[10, 20]), Ok(()));
        assert!(guard.check(16, &[10, 20]).is_err());
    }

    #[test]
    fn the_first_run_has_nothing_to_be_compared_with_and_empty_nights_allow_nothing() {
        let guard = guard(None, Some(3.0));
        assert_eq!(guard.check(5_000_000, &[]), Ok(()));
        assert!(guard.check(1, &[0, 0, 0]).is_err());
        assert_eq!(guard.check(0, &[0, 0, 0]), Ok(()));
    }

    fn signs(ended: Count, failed: Count, already_done: Count) -> Signs {
        Signs { ended, failed, already_done }
    }

    fn stop(failed_share: f64, after_items: u64) -> Stop {
        Stop { failed_share, after_items, outage: None, until: None }
    }

    #[test]
    fn the_fuse_waits_for_enough_items_and_blows_at_its_share() {
        let stop = stop(0.05, 1000);
        assert!(!stop.is_blown(signs(999, 999, 0)));
        assert!(!stop.is_blown(signs(1000, 49, 0)));
        assert!(stop.is_blown(signs(1000, 50, 0)));
    }

    #[test]
    fn a_share_of_one_blows_only_when_everything_failed() {
        let stop = stop(1.0, 10);
        assert!(!stop.is_blown(signs(10, 9, 0)));
        assert!(stop.is_blown(signs(10, 10, 0)));
    }

    #[test]
    fn without_a_failure_the_fuse_holds() {
        assert!(!stop(0.01, 0).is_blown(Signs::default()));
        assert!(!stop(0.01, 0).is_blown(signs(1_000_000, 0, 1_000_000)));
    }

    #[test]
    fn already_done_items_halt_only_where_the_job_says_so_and_after_enough_items() {
        let stop = stop(0.5, 1000);
        assert!(!stop.is_idle(signs(1000, 0, 1000), None));
        assert!(!stop.is_idle(signs(999, 0, 999), Some(0.5)));
        assert!(!stop.is_idle(signs(1000, 0, 499), Some(0.5)));
        assert!(stop.is_idle(signs(1000, 0, 500), Some(0.5)));
    }

    #[test]
    fn a_canary_is_judged_by_both_shares_however_few_its_items() {
        let stop = stop(0.5, 1000);
        assert!(!stop.is_canary_dead(signs(10, 4, 6), None));
        assert!(stop.is_canary_dead(signs(10, 5, 0), None));
        assert!(stop.is_canary_dead(signs(10, 0, 3), Some(0.3)));
        assert!(!stop.is_canary_dead(Signs::default(), Some(0.3)));
    }

    #[test]
    fn signs_are_counted_of_rows_that_were_sent() {
        let tally: Tally = Outcome::ALL.into_iter().zip([1, 2, 4, 8, 16, 32, 64, 128]).collect();
        assert_eq!(Signs::of(&tally), signs(15, 12, 2));
    }

    fn next(hour: u8, minute: u8, now: &str) -> String {
        let now: Zoned = now.parse().expect("a moment");
        let moment = TimeOfDay { hour, minute }.next_after(&now).expect("there is one");
        moment.to_string()
    }

    #[test]
    fn until_is_today_while_it_lies_ahead_and_tomorrow_from_then_on() {
        let today = "2026-11-22T06:00:00+08:00[Asia/Shanghai]";
        let tomorrow = "2026-11-23T06:00:00+08:00[Asia/Shanghai]";
        assert_eq!(next(6, 0, "2026-11-22T05:59:59+08:00[Asia/Shanghai]"), today);
        assert_eq!(next(6, 0, today), tomorrow);
        assert_eq!(next(6, 0, "2026-11-22T23:00:00+08:00[Asia/Shanghai]"), tomorrow);
    }

    #[test]
    fn until_falls_after_the_hour_that_spring_skips() {
        let now = "2026-03-29T01:00:00+01:00[Europe/Berlin]";
        assert_eq!(next(2, 30, now), "2026-03-29T03:30:00+02:00[Europe/Berlin]");
    }

    #[test]
    fn until_is_the_first_of_the_two_hours_of_autumn_and_not_both() {
        let first = "2026-10-25T02:30:00+02:00[Europe/Berlin]";
        assert_eq!(next(2, 30, "2026-10-25T00:10:00+02:00[Europe/Berlin]"), first);
        let next_day = "2026-10-26T02:30:00+01:00[Europe/Berlin]";
        assert_eq!(next(2, 30, first), next_day);
        assert_eq!(next(2, 30, "2026-10-25T02:10:00+01:00[Europe/Berlin]"), next_day);
    }

    #[test]
    fn at_the_end_of_the_calendar_there_is_no_next_moment() {
        let now: Zoned = "9999-12-30T20:00:00+00:00[UTC]".parse().expect("a moment");
        let moment = TimeOfDay { hour: 6, minute: 0 }.next_after(&now);
        assert!(moment.is_none_or(|moment| moment > now));
    }
}
