//! Told to slow down: how fast then, and how the rate finds its way up again.
//!
//! A [`Cut`] is what is known of a lower limit: when it was touched, and at how many calls a second. All processes that
//! send to the app share the last one and one pace, so together they send no more than one of them alone would.
//!
//! After a cut nothing is sent for a moment. Then the rate rests a little below the one that was too much, and at last
//! it grows, slowly at first and ever faster, from one call a second to 200 within nine seconds:
//!
//! ```text
//! cap ─────────┐                            │
//!              │                            │
//! limit ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ╱ ─
//! plateau      │     ╭────────────────────╯
//! 0            └─────┘ pause   plateau      growth
//! ```
//!
//! How long it rests depends on how steady the limit is: each time it is found where it was, the plateau doubles; where it
//! rose or fell, or was found for the first time, the plateau is the shortest one. So a limit that stays is touched four
//! times a minute, and one that moves is followed. At the bottom a call leaves every [`PROBE_EVERY`].

use std::time::Duration;

use super::speed::{Pressure, Speed};
use super::{Cap, Moment};

/// Nothing is sent for so long once a limit was found that is new or fell: longer than the server's window, which runs
/// empty, so that the calls until the next rejection are just the limit.
pub const PAUSE: Duration = Duration::from_millis(1100);
/// The pause where the limit was touched from just below: the few calls too many leave the window in less. At least it is
/// the time of a call.
pub const SHORT_PAUSE: Duration = Duration::from_millis(120);
/// Nothing is sent for so long after a security policy refused calls. It is shorter than the usual `stop.outage`, so that a
/// call after the pause can show whether the policy still refuses before the run ends.
pub const LONG_PAUSE: Duration = Duration::from_secs(90);
/// How long the rate rests at first just below the limit.
pub const PLATEAU: Duration = Duration::from_millis(1500);
/// The plateau doubles so often at most.
const DOUBLINGS: u8 = 3;
/// The last of them lasts for so many calls at least: of a few calls a second, each touch of the limit rejects a large share.
const CALLS_OF_PLATEAU: f64 = 40.0;
/// But no longer than this, so that a limit that rose is followed within a minute.
const LONGEST_PLATEAU: Duration = Duration::from_secs(40);
/// The pace of growth: after so long the rate is e times the plateau, after twice that e^8 times.
pub const GROWTH: Duration = Duration::from_secs(5);
/// The time between two calls to a server that rejects everything: the rate falls no lower.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
const SLOWEST: f64 = 0.2;

/// So far below a limit the rate rests: ways vary, and calls that left well apart arrive closer together.
const REST: f64 = 0.03;
/// At the least, so many calls a second below it, but no more than the share: of a limit of 8, one call is a lot, and a
/// way that varies by 50 ms needs half a one.
const REST_CALLS: f64 = 0.4;
const REST_MOST: f64 = 0.1;
/// A limit found at less than this share of the last one fell.
const FELL: f64 = 0.9;
/// A limit found at more than this share of the last one rose.
const ROSE: f64 = 1.15;
/// A limit is kept in thousandths of a call a second.
const THOUSANDTHS: f64 = 1000.0;

/// The rate of one command, or of the app, under the server's rejections.
#[derive(Debug)]
pub struct Throttle {
    cap: Cap,
    cut: Option<Cut>,
    /// The end of the last long pause. Of this process alone: other processes meet the policy themselves.
    long_pause_until: Option<Moment>,
}

/// A limit below ours was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// When.
    pub at: Moment,
    /// The rate that was too much, over all processes, in thousandths of a call a second.
    pub limit: u32,
    /// How much is known of it: nothing but this (0), that it was touched from just below (1), and how often it was then
    /// found again where it was.
    pub trust: u8,
}

impl Throttle {
    /// Nothing was rejected yet.
    pub fn new(cap: Cap) -> Self {
        Self { cap, cut: None, long_pause_until: None }
    }

    /// From now on, this is the highest rate.
    pub fn set_cap(&mut self, cap: Cap) {
        self.cap = cap;
    }

    /// A rejection of a call that was sent then says something new. One of a call from before the end of the pause is of those
    /// that led to it.
    pub fn is_news(&self, sent: Moment) -> bool {
        self.cut.is_none_or(|cut| cut.end_of_pause() <= sent)
    }

    /// An answer said: too fast. The call was sent at `sent`, and `calls` in the second that ended then, itself among
    /// them. Returns the cut, if this is one.
    pub fn rejected(&mut self, now: Moment, sent: Moment, calls: u32) -> Option<Cut> {
        if !self.is_news(sent) {
            return None;
        }
        let limit = self.rate(sent).min(f64::from(calls.max(1)));
        let trust = self.cut.map_or(0, |last| last.trust_in(limit, sent));
        let cut = Cut { at: now, limit: thousandths(limit), trust };
        self.cut = Some(cut);
        Some(cut)
    }

    /// A security policy refused a call: nothing is sent for [`LONG_PAUSE`].
    pub fn pause_long(&mut self, now: Moment) {
        self.long_pause_until = Some(now.plus(LONG_PAUSE));
    }

    /// Another process was told to slow down. Returns whether that is news.
    pub fn heed(&mut self, cut: Cut, now: Moment) -> bool {
        // A moment to come is from before a reboot.
        let news = cut.at <= now && self.cut.is_none_or(|own| cut.at > own.at);
        if news {
            self.cut = Some(cut);
        }
        news
    }

    /// Calls a second that may be sent now; above zero and never above the cap. A pause goes before.
    pub fn rate(&self, now: Moment) -> f64 {
        let cap = f64::from(self.cap.get());
        self.cut.map_or(cap, |cut| cut.after(self.long_pause_until).rate(now).min(cap))
    }

    /// The end of the pause, if there is one.
    pub fn paused_until(&self, now: Moment) -> Option<Moment> {
        self.cut.map(Cut::end_of_pause).max(self.long_pause_until).filter(|end| *end > now)
    }

    /// How long ago the last pause ended.
    pub fn unpaused(&self, now: Moment) -> Duration {
        self.cut.map_or(Duration::ZERO, |cut| now.since(cut.after(self.long_pause_until).end_of_pause()))
    }

    /// What there is to tell about it.
    pub fn speed(&self, now: Moment) -> Speed {
        let allowed = self.rate(now);
        let pressure = match self.paused_until(now) {
            Some(end) => Pressure::Paused { remaining: end.since(now) },
            None if allowed < 2.0 * SLOWEST => Pressure::Probing,
            None if allowed < f64::from(self.cap.get()) => Pressure::Recovering,
            None => Pressure::None,
        };
        Speed { cap: self.cap, allowed, pressure }
    }
}

impl Cut {
    /// As if the limit had been touched at the end of the long pause that it fell into: the rate starts low then, too.
    fn after(self, long_pause_until: Option<Moment>) -> Self {
        Self { at: self.at.max(long_pause_until.unwrap_or(self.at)), ..self }
    }

    /// Calls a second after the pause; without end, in the end.
    fn rate(self, now: Moment) -> f64 {
        let growing = now.since(self.end_of_plateau()).div_duration_f64(GROWTH);
        self.plateau() * growing.powi(3).exp()
    }

    fn plateau(self) -> f64 {
        let limit = self.limit();
        let rest = (REST_CALLS / limit).clamp(REST, REST_MOST);
        (limit * (1.0 - rest)).max(SLOWEST)
    }

    /// How far to trust a limit that was found after this one.
    fn trust_in(self, limit: f64, sent: Moment) -> u8 {
        let share = limit / self.limit();
        if share < FELL {
            0
        } else if share > ROSE {
            1
        } else if sent < self.end_of_plateau() {
            self.trust.max(1)
        } else {
            self.trust.saturating_add(1).min(DOUBLINGS)
        }
    }

    fn limit(self) -> f64 {
        f64::from(self.limit.max(1)) / THOUSANDTHS
    }

    fn end_of_pause(self) -> Moment {
        let short = Duration::from_secs_f64(1.0 / self.limit()).max(SHORT_PAUSE);
        self.at.plus(if self.trust == 0 { PAUSE } else { short.min(PAUSE) })
    }

    fn end_of_plateau(self) -> Moment {
        let doubled = PLATEAU * (1 << self.trust.min(DOUBLINGS));
        let longest = Duration::from_secs_f64(CALLS_OF_PLATEAU / self.limit()).min(LONGEST_PLATEAU);
        let plateau = if self.trust < DOUBLINGS { doubled } else { doubled.max(longest) };
        self.end_of_pause().plus(plateau)
    }
}

fn thousandths(limit: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "limits are above 0 and at most 65,536"
    )]
    let thousandths = (limit * THOUSANDTHS) as u32;
    thousandths
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn cap(calls: u32) -> Cap {
        Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
    }

    /// Rejected at `at`, when `calls` were sent in a second.
    fn rejected(calls: u32, at: u64) -> Throttle {
        let mut throttle = Throttle::new(cap(200));
        let cut = Cut { at: ms(at), limit: calls * 1000, trust: 0 };
        assert_eq!(throttle.rejected(ms(at), ms(at - 50), calls), Some(cut));
        throttle
    }

    /// And then with each of these, sent so many milliseconds after the one before: what is known of the limit.
    fn found(first: u32, then: &[(u64, u32)]) -> Vec<(u32, u8)> {
        let (mut throttle, mut now) = (rejected(first, 5000), 5000);
        let mut next = |(wait, calls): &(u64, u32)| {
            now += wait;
            throttle.rejected(ms(now), ms(now), *calls).map_or((0, 0), |cut| (cut.limit / 1000, cut.trust))
        };
        then.iter().map(&mut next).collect()
    }

    fn rate(throttle: &Throttle, at: u64) -> f64 {
        (throttle.rate(ms(at)) * 10.0).round() / 10.0
    }

    #[test]
    fn a_rejection_pauses_then_the_rate_rests_below_the_limit_then_it_grows_to_the_cap() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.paused_until(ms(6099)), Some(ms(6100)));
        assert_eq!(throttle.paused_until(ms(6100)), None);
        let rates = [6100, 7600, 8600, 10_600, 12_600].map(|at| rate(&throttle, at).to_string());
        assert_eq!(rates, ["97", "97", "97.8", "120.4", "200"]);
    }

    #[test]
    fn within_seconds_a_rate_of_one_call_has_grown_to_the_cap() {
        let throttle = rejected(1, 5000);
        assert_eq!([7600, 12_600, 17_000].map(|at| rate(&throttle, at).to_string()), ["0.9", "2.4", "200"]);
    }

    #[test]
    fn only_calls_sent_after_the_pause_say_anything_new() {
        let mut throttle = rejected(100, 5000);
        assert_eq!(throttle.rejected(ms(6300), ms(6099), 100), None);
        assert_eq!(throttle.rejected(ms(6300), ms(6100), 60).map(|cut| cut.limit), Some(60_000));
    }

    #[test]
    fn a_limit_found_where_it_was_is_trusted_more_each_time_and_one_that_moved_is_not() {
        assert_eq!(found(100, &[(4000, 98), (8000, 98), (9000, 97)]), [(98, 1), (98, 2), (97, 3)]);
        assert_eq!(found(100, &[(6000, 98), (8000, 98), (20_000, 180)]), [(98, 1), (98, 2), (180, 1)]);
        assert_eq!(found(100, &[(6000, 98), (8000, 50)]), [(98, 1), (50, 0)]);
    }

    #[test]
    fn touched_again_before_it_grew_a_limit_is_trusted_no_more_than_before() {
        assert_eq!(found(100, &[(1200, 97), (300, 97), (300, 97)]), [(97, 1), (94, 1), (91, 1)]);
    }

    #[test]
    fn the_pause_is_short_and_the_plateau_long_where_the_limit_is_known() {
        let mut throttle = rejected(100, 5000);
        for (at, end_of_plateau) in [(10_000, 13_120), (15_000, 21_120), (23_000, 35_120), (37_000, 49_120)] {
            throttle.rejected(ms(at), ms(at), 100).expect("new");
            assert_eq!(throttle.paused_until(ms(at)), Some(ms(at + 120)));
            let plateau = throttle.rate(ms(at + 120));
            assert!(throttle.rate(ms(end_of_plateau)) <= plateau, "at {at}");
            assert!(throttle.rate(ms(end_of_plateau + 100)) > plateau, "at {at}");
        }
    }

    #[test]
    fn of_few_calls_more_is_left_than_a_share() {
        assert_eq!(
            [200, 40, 8, 2].map(|calls| rate(&rejected(calls, 5000), 7000).to_string()),
            ["194", "38.8", "7.6", "1.8"]
        );
    }

    #[test]
    fn a_server_that_rejects_everything_is_probed_until_it_answers() {
        let mut throttle = rejected(1, 5000);
        for second in 1..30 {
            let at = 5000 + second * 5000;
            throttle.rejected(ms(at), ms(at - 50), 1);
        }
        assert_eq!(throttle.speed(ms(152_000)).pressure, Pressure::Probing);
        assert_eq!(rate(&throttle, 152_000).to_string(), "0.2");
        assert_eq!(throttle.speed(ms(180_000)).pressure, Pressure::None);
    }

    #[test]
    fn the_speed_says_why() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.speed(ms(5300)).to_string(), "throttled by the API: paused for 0.8 s");
        assert_eq!(throttle.speed(ms(7100)).to_string(), "throttled by the API: 97 of 200 calls/s, increasing");
        assert_eq!(throttle.speed(ms(70_000)).to_string(), "200 calls/s, the cap");
    }

    #[test]
    fn what_another_process_was_told_counts_like_ones_own() {
        let (mut other, told) = (Throttle::new(cap(200)), Cut { at: ms(5000), limit: 100_000, trust: 0 });
        assert!(other.heed(told, ms(5200)));
        assert_eq!(other.paused_until(ms(5200)), Some(ms(6100)));
        assert_eq!(other.speed(ms(8100)), rejected(100, 5000).speed(ms(8100)));
        assert!(!other.is_news(ms(5100)), "a second cut for the same calls");
        assert!(!other.heed(told, ms(6500)), "known");
        assert!(!other.heed(Cut { at: ms(4000), ..told }, ms(6500)), "older");
        assert!(!other.heed(Cut { at: ms(9000), ..told }, ms(6500)), "from before a reboot");
        assert!(other.heed(Cut { at: ms(8000), ..told }, ms(8000)), "newer");
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Told,
        Rejected,
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rate_stays_in_bounds_grows_until_a_rejection_and_a_quiet_minute_heals(
            limit in 1_u32..1000,
            steps in prop::collection::vec(
                (0_u64..3000, prop::sample::select(vec![Step::Told, Step::Rejected]), 0_u32..300, 0_u8..=255), 1..300),
        ) {
            let (mut throttle, mut now) = (Throttle::new(cap(limit)), 0);
            for (wait, step, calls, trust) in steps {
                let before = throttle.rate(ms(now));
                now += wait;
                let grown = throttle.rate(ms(now));
                prop_assert!(grown >= before, "{grown} after {before} without a rejection");
                prop_assert!(grown > 0.0 && grown <= f64::from(limit));
                match step {
                    Step::Told => {
                        throttle.heed(Cut { at: ms(now), limit: calls, trust }, ms(now));
                    }
                    Step::Rejected => {
                        let paused = throttle.paused_until(ms(now)).is_some();
                        let cut = throttle.rejected(ms(now), ms(now), calls);
                        prop_assert_eq!(cut.is_none(), paused, "one cut for all calls before the end of a pause");
                        prop_assert!(cut.is_none() || throttle.rate(ms(now)) <= grown.max(SLOWEST));
                    }
                }
            }
            prop_assert_eq!(throttle.speed(ms(now + 60_000)).pressure, Pressure::None);
        }
    }
}
