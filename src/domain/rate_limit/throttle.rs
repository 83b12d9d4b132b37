//! The rate after the server throttled a call, and how it rises again.
//!
//! A [`RateCut`] is what is known of a limit below the cap: when a call was throttled, and at which rate. All processes
//! that send to the app share the last cut and one pace, so together they send no more than a single process would.
//!
//! After a cut nothing is sent for a short pause. Then the rate stays a little below the one that was throttled. Then
//! it grows, slowly at first and faster later, from 1 call a second to 200 within nine seconds:
//!
//! ```text
//! cap ─────────┐                            │
//!              │                            │
//! limit ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ╱ ─
//! plateau      │     ╭────────────────────╯
//! 0            └─────┘ pause   plateau      growth
//! ```
//!
//! The plateau depends on how steady the limit is. Each time the limit is found unchanged, the plateau doubles. If the
//! limit rose or fell, or is found for the first time, the plateau is the shortest. So a steady limit is exceeded four
//! times a minute, and a moving one is followed. At the lowest rate one call is sent every
//! [`PROBE_EVERY`](super::speed::PROBE_EVERY).

use std::time::Duration;

use super::speed::{Pressure, Speed};
use super::{Cap, Moment};

/// The pause after a limit that is new or fell. It is longer than the server's window, which therefore becomes empty,
/// so that the number of calls until the next rejection is the limit.
pub const PAUSE: Duration = Duration::from_millis(1100);
/// The pause after a limit that was exceeded from just below, because the few calls above it leave the window sooner.
/// It is at least the time of one call.
pub const SHORT_PAUSE: Duration = Duration::from_millis(120);
/// The pause after a security policy refused calls. It is shorter than the usual `stop.outage`, so that a call after
/// the pause can show whether the policy still refuses before the run ends.
pub const LONG_PAUSE: Duration = Duration::from_secs(90);
/// The shortest plateau.
pub const PLATEAU: Duration = Duration::from_millis(1500);
/// How often the plateau doubles at most.
const MAX_DOUBLINGS: u8 = 3;
/// The longest plateau lasts for this number of calls at least. At a few calls a second each rejection is a large
/// share.
const MIN_PLATEAU_CALLS: f64 = 40.0;
/// The maximum plateau, so that a limit that rose is found within a minute.
const MAX_PLATEAU: Duration = Duration::from_secs(40);
/// After this time of growth the rate is e times the plateau, after twice this time e^8 times.
pub const GROWTH: Duration = Duration::from_secs(5);
/// One call every [`PROBE_EVERY`](super::speed::PROBE_EVERY), in calls per second.
const MIN_RATE: f64 = 0.2;

/// How far below a limit the plateau is, as a share. Network delays vary, so evenly sent calls arrive unevenly.
const REST_SHARE: f64 = 0.03;
/// The minimum distance in calls per second, up to the share [`MAX_REST_SHARE`]. At a limit of 8, a delay that varies
/// by 50 ms needs half a call.
const REST_CALLS: f64 = 0.4;
const MAX_REST_SHARE: f64 = 0.1;
/// A limit found at less than this share of the last one fell.
const FALLEN_BELOW: f64 = 0.9;
/// A limit found at more than this share of the last one rose.
const RISEN_ABOVE: f64 = 1.15;
/// A limit is stored in thousandths of a call per second.
const THOUSANDTHS: f64 = 1000.0;

/// The rate of one command, or of the app, after the rejections of the server.
#[derive(Debug)]
pub struct Throttle {
    cap: Cap,
    cut: Option<RateCut>,
    /// The end of the last long pause. It is not shared: each process meets the security policy itself.
    long_pause_until: Option<Moment>,
}

/// A rate at which the server throttled a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateCut {
    /// When the answer was read.
    pub at: Moment,
    /// The rate of all processes that was throttled, in thousandths of a call per second.
    pub limit: u32,
    /// How well the limit is known: 0 if nothing else is known, 1 if it was exceeded from just below, and one more each
    /// time it is found unchanged.
    pub confidence: u8,
}

impl Throttle {
    /// A throttle without any rejection.
    pub fn new(cap: Cap) -> Self {
        Self { cap, cut: None, long_pause_until: None }
    }

    /// Sets the highest rate.
    pub fn set_cap(&mut self, cap: Cap) {
        self.cap = cap;
    }

    /// Whether the rejection of a call that was sent at this moment is new information. Calls that were sent before the
    /// end of the pause belong to the same cut.
    pub fn is_news(&self, sent: Moment) -> bool {
        self.cut.is_none_or(|cut| cut.end_of_pause() <= sent)
    }

    /// A call that was sent at `sent` was throttled. `calls` were sent in the second that ended at `sent`, including
    /// this one. Returns the cut if it is new.
    pub fn rejected(&mut self, now: Moment, sent: Moment, calls: u32) -> Option<RateCut> {
        if !self.is_news(sent) {
            return None;
        }
        let limit = self.rate(sent).min(f64::from(calls.max(1)));
        let confidence = self.cut.map_or(0, |last| last.confidence_in(limit, sent));
        let cut = RateCut { at: now, limit: thousandths(limit), confidence };
        self.cut = Some(cut);
        Some(cut)
    }

    /// Sends nothing for [`LONG_PAUSE`], because a security policy refused a call.
    pub fn pause_long(&mut self, now: Moment) {
        self.long_pause_until = Some(now.plus(LONG_PAUSE));
    }

    /// Adopts the cut of another process. Returns whether it is new.
    pub fn adopt(&mut self, cut: RateCut, now: Moment) -> bool {
        // A moment in the future is from before a reboot.
        let news = cut.at <= now && self.cut.is_none_or(|own| cut.at > own.at);
        if news {
            self.cut = Some(cut);
        }
        news
    }

    /// The calls per second that may be sent once no pause is left; above zero and never above the cap.
    pub fn rate(&self, now: Moment) -> f64 {
        let cap = f64::from(self.cap.get());
        self.cut.map_or(cap, |cut| cut.after(self.long_pause_until).rate(now).min(cap))
    }

    /// The end of the current pause.
    pub fn paused_until(&self, now: Moment) -> Option<Moment> {
        self.cut.map(RateCut::end_of_pause).max(self.long_pause_until).filter(|end| *end > now)
    }

    /// The time since the end of the last pause.
    pub fn unpaused(&self, now: Moment) -> Duration {
        self.cut.map_or(Duration::ZERO, |cut| now.since(cut.after(self.long_pause_until).end_of_pause()))
    }

    /// The rate, and what keeps it below the cap.
    pub fn speed(&self, now: Moment) -> Speed {
        let allowed = self.rate(now);
        let pressure = match self.paused_until(now) {
            Some(end) => Pressure::Paused { remaining: end.since(now) },
            None if allowed < 2.0 * MIN_RATE => Pressure::Probing,
            None if allowed < f64::from(self.cap.get()) => Pressure::Recovering,
            None => Pressure::None,
        };
        Speed { cap: self.cap, allowed, pressure }
    }
}

impl RateCut {
    /// Moves a cut within a long pause to the end of that pause, so that the rate starts low afterwards.
    fn after(self, long_pause_until: Option<Moment>) -> Self {
        Self { at: self.at.max(long_pause_until.unwrap_or(self.at)), ..self }
    }

    /// The calls per second after the pause; it grows without a limit.
    fn rate(self, now: Moment) -> f64 {
        let growing = now.since(self.end_of_plateau()).div_duration_f64(GROWTH);
        self.plateau() * growing.powi(3).exp()
    }

    fn plateau(self) -> f64 {
        let limit = self.limit();
        let rest = (REST_CALLS / limit).clamp(REST_SHARE, MAX_REST_SHARE);
        (limit * (1.0 - rest)).max(MIN_RATE)
    }

    /// The confidence in a limit that was found after this one.
    fn confidence_in(self, limit: f64, sent: Moment) -> u8 {
        let share = limit / self.limit();
        if share < FALLEN_BELOW {
            0
        } else if share > RISEN_ABOVE {
            1
        } else if sent < self.end_of_plateau() {
            self.confidence.max(1)
        } else {
            self.confidence.saturating_add(1).min(MAX_DOUBLINGS)
        }
    }

    fn limit(self) -> f64 {
        f64::from(self.limit.max(1)) / THOUSANDTHS
    }

    fn end_of_pause(self) -> Moment {
        let short = Duration::from_secs_f64(1.0 / self.limit()).max(SHORT_PAUSE);
        self.at.plus(if self.confidence == 0 { PAUSE } else { short.min(PAUSE) })
    }

    fn end_of_plateau(self) -> Moment {
        let doubled = PLATEAU * (1 << self.confidence.min(MAX_DOUBLINGS));
        let longest = Duration::from_secs_f64(MIN_PLATEAU_CALLS / self.limit()).min(MAX_PLATEAU);
        let plateau = if self.confidence < MAX_DOUBLINGS { doubled } else { doubled.max(longest) };
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

    /// A throttle whose first call was rejected at `at`, after `calls` calls in one second.
    fn rejected(calls: u32, at: u64) -> Throttle {
        let mut throttle = Throttle::new(cap(200));
        let cut = RateCut { at: ms(at), limit: calls * 1000, confidence: 0 };
        assert_eq!(throttle.rejected(ms(at), ms(at - 50), calls), Some(cut));
        throttle
    }

    /// The limit and the confidence after each further rejection. A rejection is a wait in milliseconds and a number of
    /// calls.
    fn found(first: u32, then: &[(u64, u32)]) -> Vec<(u32, u8)> {
        let (mut throttle, mut now) = (rejected(first, 5000), 5000);
        let mut next = |(wait, calls): &(u64, u32)| {
            now += wait;
            throttle.rejected(ms(now), ms(now), *calls).map_or((0, 0), |cut| (cut.limit / 1000, cut.confidence))
        };
        then.iter().map(&mut next).collect()
    }

    fn rate(throttle: &Throttle, at: u64) -> f64 {
        (throttle.rate(ms(at)) * 10.0).round() / 10.0
    }

    #[test]
    fn after_a_rejection_the_rate_pauses_stays_below_the_limit_and_then_grows_to_the_cap() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.paused_until(ms(6099)), Some(ms(6100)));
        assert_eq!(throttle.paused_until(ms(6100)), None);
        let rates = [6100, 7600, 8600, 10_600, 12_600].map(|at| rate(&throttle, at).to_string());
        assert_eq!(rates, ["97", "97", "97.8", "120.4", "200"]);
    }

    #[test]
    fn a_rate_of_one_call_grows_to_the_cap_within_seconds() {
        let throttle = rejected(1, 5000);
        assert_eq!([7600, 12_600, 17_000].map(|at| rate(&throttle, at).to_string()), ["0.9", "2.4", "200"]);
    }

    #[test]
    fn only_calls_sent_after_the_pause_lead_to_a_new_cut() {
        let mut throttle = rejected(100, 5000);
        assert_eq!(throttle.rejected(ms(6300), ms(6099), 100), None);
        assert_eq!(throttle.rejected(ms(6300), ms(6100), 60).map(|cut| cut.limit), Some(60_000));
    }

    #[test]
    fn the_confidence_grows_each_time_the_limit_is_found_again_and_falls_when_it_moves() {
        assert_eq!(found(100, &[(4000, 98), (8000, 98), (9000, 97)]), [(98, 1), (98, 2), (97, 3)]);
        assert_eq!(found(100, &[(6000, 98), (8000, 98), (20_000, 180)]), [(98, 1), (98, 2), (180, 1)]);
        assert_eq!(found(100, &[(6000, 98), (8000, 50)]), [(98, 1), (50, 0)]);
    }

    #[test]
    fn a_limit_exceeded_again_on_the_plateau_gains_no_confidence() {
        assert_eq!(found(100, &[(1200, 97), (300, 97), (300, 97)]), [(97, 1), (94, 1), (91, 1)]);
    }

    #[test]
    fn a_known_limit_has_a_short_pause_and_a_long_plateau() {
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
    fn a_low_limit_keeps_a_larger_share_in_reserve() {
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
    fn the_speed_names_its_cause() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.speed(ms(5300)).to_string(), "throttled by the API: paused for 0.8 s");
        assert_eq!(throttle.speed(ms(7100)).to_string(), "throttled by the API: 97 of 200 calls/s, increasing");
        assert_eq!(throttle.speed(ms(70_000)).to_string(), "200 calls/s, the cap");
    }

    #[test]
    fn the_cut_of_another_process_counts_like_an_own_one() {
        let (mut other, published) = (Throttle::new(cap(200)), RateCut { at: ms(5000), limit: 100_000, confidence: 0 });
        assert!(other.adopt(published, ms(5200)));
        assert_eq!(other.paused_until(ms(5200)), Some(ms(6100)));
        assert_eq!(other.speed(ms(8100)), rejected(100, 5000).speed(ms(8100)));
        assert!(!other.is_news(ms(5100)), "a second cut for the same calls");
        assert!(!other.adopt(published, ms(6500)), "known");
        assert!(!other.adopt(RateCut { at: ms(4000), ..published }, ms(6500)), "older");
        assert!(!other.adopt(RateCut { at: ms(9000), ..published }, ms(6500)), "from before a reboot");
        assert!(other.adopt(RateCut { at: ms(8000), ..published }, ms(8000)), "newer");
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Published,
        Rejected,
    }

    proptest! {
        #[test]
        fn the_rate_stays_in_bounds_grows_until_a_rejection_and_returns_to_the_cap_within_a_minute(
            limit in 1_u32..1000,
            steps in prop::collection::vec(
                (0_u64..3000, prop::sample::select(vec![Step::Published, Step::Rejected]), 0_u32..300, 0_u8..=255),
                1..300,
            ),
        ) {
            let (mut throttle, mut now) = (Throttle::new(cap(limit)), 0);
            for (wait, step, calls, confidence) in steps {
                let before = throttle.rate(ms(now));
                now += wait;
                let grown = throttle.rate(ms(now));
                prop_assert!(grown >= before, "{grown} after {before} without a rejection");
                prop_assert!(grown > 0.0 && grown <= f64::from(limit));
                match step {
                    Step::Published => {
                        throttle.adopt(RateCut { at: ms(now), limit: calls, confidence }, ms(now));
                    }
                    Step::Rejected => {
                        let paused = throttle.paused_until(ms(now)).is_some();
                        let cut = throttle.rejected(ms(now), ms(now), calls);
                        prop_assert_eq!(cut.is_none(), paused, "one cut for all calls before the end of a pause");
                        prop_assert!(cut.is_none() || throttle.rate(ms(now)) <= grown.max(MIN_RATE));
                    }
                }
            }
            prop_assert_eq!(throttle.speed(ms(now + 60_000)).pressure, Pressure::None);
        }
    }
}
