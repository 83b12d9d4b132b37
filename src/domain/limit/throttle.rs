//! Told to slow down: how fast then, and how the rate finds its way up again.
//!
//! A [`Cut`] is what is known of a lower limit: when it was touched, and by how many calls. All processes that send
//! to the app share the last one, and since the rate is also the number of slots that they may use, together they
//! send no more than one of them alone would.
//!
//! After a cut nothing is sent for [`PAUSE`], so that the server's window runs empty. Then the rate starts at 0.7 ×
//! the calls that were too many, rises to just below them within [`RECOVERY`], stays there for [`PLATEAU`]
//! (the limit is most likely where it was), and at last grows by the cube of the time, slowly near the plateau
//! and to the whole cap within [`GROWTH`]:
//!
//! ```text
//! cap ─────────┐                                  ╭──
//!              │                                 ╱
//! calls ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ╱ ─
//! plateau      │     ╭─────────────────────────╯
//! 0.7 × calls  │    ╱
//! 0            └───┘ pause  recovery  plateau   growth
//! ```
//!
//! A limit that stays lower is so touched about twice a minute; one that rises again is used in full within a minute.

use std::time::Duration;

use super::slots::WINDOW;
use super::speed::{Pressure, Speed};
use super::{Cap, Moment};

/// Nothing is sent for so long after a cut: longer than the server's window.
pub const PAUSE: Duration = Duration::from_millis(1100);
/// Rejections this soon after a cut may be about calls sent before it, so they cut no further. They may as well be about
/// calls sent since, to a limit that fell deep: so the rest of this time is quiet, too.
pub const BETWEEN_CUTS: Duration = Duration::from_secs(2);
/// From the pause to the plateau.
pub const RECOVERY: Duration = Duration::from_secs(2);
/// How long the rate rests just below the last bad one.
pub const PLATEAU: Duration = Duration::from_secs(25);
/// From the plateau to the cap, at the longest. The four together stay below a minute.
pub const GROWTH: Duration = Duration::from_secs(30);
/// The time between two probes of a server that rejects nearly everything.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The share of the calls that were too many with which sending begins again.
const START: f64 = 0.7;
/// The plateau, as a share of the calls that were too many. It is at least one call below them.
const REST: f64 = 0.99;
/// The lowest rate short of probing, in calls a second.
const SLOWEST: f64 = 1.0;
/// Three of these in a row with most answers rejected: only probes from then on.
const SPAN: Duration = Duration::from_secs(10);
const BAD_SPANS: u32 = 3;

/// The rate of one command, or of the app, under the server's rejections.
#[derive(Debug)]
pub struct Throttle {
    cap: Cap,
    state: State,
    /// Rejected again so soon after this cut that it was not cut again.
    hushed: Option<Cut>,
    answers: Answers,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    Recovering(Cut),
    Probing,
}

/// A limit below ours was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// When.
    pub at: Moment,
    /// The calls of about a second that were too many, over all processes.
    pub calls: u32,
}

/// The answers of the current span.
#[derive(Debug)]
struct Answers {
    since: Moment,
    all: u32,
    rejected: u32,
    bad_spans: u32,
}

impl Throttle {
    /// Nothing was rejected yet.
    pub fn new(cap: Cap, now: Moment) -> Self {
        let answers = Answers { since: now, all: 0, rejected: 0, bad_spans: 0 };
        Self { cap, state: State::Open, hushed: None, answers }
    }

    /// From now on, this is the highest rate.
    pub fn set_cap(&mut self, cap: Cap) {
        self.cap = cap;
    }

    /// An answer was read, of whatever kind.
    pub fn answered(&mut self, now: Moment) {
        self.close_span(now);
        self.answers.all = self.answers.all.saturating_add(1);
    }

    /// An answer said: too fast, while so many calls held slots. Returns the cut, if this is one.
    pub fn rejected(&mut self, now: Moment, calls: u32) -> Option<Cut> {
        self.close_span(now);
        self.answers.rejected = self.answers.rejected.saturating_add(1);
        match self.state {
            State::Recovering(cut) if now.since(cut.at) < BETWEEN_CUTS => {
                self.hushed = Some(cut).filter(|cut| now.since(cut.at) >= PAUSE).or(self.hushed);
                return None;
            }
            State::Probing => return None,
            State::Open | State::Recovering(_) => {}
        }
        // Slots of unanswered calls are held far longer than a second, and more than allowed were hardly sent.
        let cut = Cut { at: now, calls: calls.clamp(1, whole(self.rate(now))) };
        self.state = State::Recovering(cut);
        Some(cut)
    }

    /// Another process was told to slow down. Returns whether that is news.
    pub fn heed(&mut self, cut: Cut, now: Moment) -> bool {
        let news = match self.state {
            State::Open => cut.at.plus(PAUSE + RECOVERY + PLATEAU + GROWTH) > now,
            State::Recovering(own) => cut.at > own.at,
            State::Probing => false,
        };
        // A moment to come is from before a reboot.
        let news = news && cut.at <= now;
        if news {
            self.state = State::Recovering(cut);
        }
        news
    }

    /// Calls a second that may be sent now; above zero and never above the cap. A pause goes before.
    pub fn rate(&self, now: Moment) -> f64 {
        let cap = f64::from(self.cap.get());
        match self.state {
            State::Open => cap,
            State::Recovering(cut) => cut.rate(now, cap),
            State::Probing => 1.0 / PROBE_EVERY.as_secs_f64(),
        }
    }

    /// The slots that may be used now: as many as whole calls of the rate. After a pause they are all free, so they
    /// come one by one over a window: each process has a pace of its own, and many would use them up at once.
    pub fn slots(&self, now: Moment) -> u32 {
        let share = match self.state {
            State::Recovering(cut) => now.since(self.end_of_pause(cut)).div_duration_f64(WINDOW).min(1.0),
            State::Open | State::Probing => 1.0,
        };
        whole(self.rate(now) * share)
    }

    /// The end of the pause, if there is one.
    pub fn paused_until(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Recovering(cut) => Some(self.end_of_pause(cut)).filter(|end| *end > now),
            State::Open | State::Probing => None,
        }
    }

    fn end_of_pause(&self, cut: Cut) -> Moment {
        let pause = if self.hushed == Some(cut) { BETWEEN_CUTS } else { PAUSE };
        cut.at.plus(pause)
    }

    /// What there is to tell about it.
    pub fn speed(&self, now: Moment) -> Speed {
        let allowed = self.rate(now);
        let pressure = match (self.paused_until(now), self.state) {
            (Some(end), _) => Pressure::Paused { remaining: end.since(now) },
            (None, State::Probing) => Pressure::Probing,
            (None, State::Recovering(_)) if allowed < f64::from(self.cap.get()) => Pressure::Recovering,
            (None, State::Recovering(_) | State::Open) => Pressure::None,
        };
        Speed { cap: self.cap, allowed, pressure }
    }

    /// Looks at the answers of a span once it is over. A span without answers says nothing.
    fn close_span(&mut self, now: Moment) {
        let span = match self.state {
            State::Probing => PROBE_EVERY,
            State::Open | State::Recovering(_) => SPAN,
        };
        if now.since(self.answers.since) < span || self.answers.all == 0 {
            return;
        }
        let bad = self.answers.rejected > self.answers.all / 2;
        let bad_spans = if bad { self.answers.bad_spans + 1 } else { 0 };
        self.answers = Answers { since: now, all: 0, rejected: 0, bad_spans };
        match self.state {
            State::Probing if !bad => self.state = grown_from_nothing(now),
            State::Open | State::Recovering(_) if bad_spans >= BAD_SPANS => self.state = State::Probing,
            State::Probing | State::Open | State::Recovering(_) => {}
        }
    }
}

/// Probes say that calls pass again, not how many: growth begins at once, at the bottom.
fn grown_from_nothing(now: Moment) -> State {
    State::Recovering(Cut { at: now.minus(PAUSE + RECOVERY + PLATEAU), calls: 1 })
}

/// Whole calls of a rate, at least one.
fn whole(rate: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are from 0 to the cap")]
    let calls = rate as u32;
    calls.max(1)
}

impl Cut {
    fn rate(self, now: Moment, cap: f64) -> f64 {
        let calls = f64::from(self.calls);
        let plateau = (calls * REST).min(calls - 1.0).max(SLOWEST);
        let start = (calls * START).clamp(SLOWEST, plateau);
        let recovering = now.since(self.at).saturating_sub(PAUSE);
        if recovering < RECOVERY {
            let left = 1.0 - recovering.div_duration_f64(RECOVERY);
            return (plateau - (plateau - start) * left.powi(3)).min(cap);
        }
        let growing = recovering.saturating_sub(RECOVERY + PLATEAU);
        (plateau + cap * growing.div_duration_f64(GROWTH).powi(3)).min(cap)
    }
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

    /// Rejected at `at`, while `calls` held slots.
    fn rejected(calls: u32, at: u64) -> Throttle {
        let mut throttle = Throttle::new(cap(200), ms(0));
        assert_eq!(throttle.rejected(ms(at), calls), Some(Cut { at: ms(at), calls }));
        throttle
    }

    fn rate(throttle: &Throttle, at: u64) -> f64 {
        (throttle.rate(ms(at)) * 10.0).round() / 10.0
    }

    #[test]
    fn a_rejection_pauses_then_cuts_to_0_7_of_the_calls_then_grows_back() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.paused_until(ms(6099)), Some(ms(6100)));
        assert_eq!(throttle.paused_until(ms(6100)), None);
        assert_eq!(rate(&throttle, 6100).to_string(), "70");
        assert_eq!(rate(&throttle, 8100).to_string(), "99");
        assert_eq!(rate(&throttle, 33_100).to_string(), "99");
        assert!(throttle.rate(ms(45_000)) > 100.0);
        assert_eq!(rate(&throttle, 63_100).to_string(), "200");
    }

    #[test]
    fn within_two_seconds_there_is_one_cut_and_after_another_rejection_quiet() {
        let mut throttle = rejected(100, 5000);
        assert_eq!(throttle.rejected(ms(6099), 100), None);
        assert_eq!(throttle.paused_until(ms(6100)), None);
        assert_eq!(throttle.rejected(ms(6100), 100), None);
        assert_eq!(throttle.paused_until(ms(6100)), Some(ms(7000)));
        assert_eq!(throttle.paused_until(ms(7000)), None);
        assert_ne!(throttle.rejected(ms(7000), 100), None);
        assert_eq!(throttle.paused_until(ms(7000)), Some(ms(8100)));
    }

    #[test]
    fn a_server_that_rejects_everything_is_probed_until_it_answers() {
        let mut throttle = Throttle::new(cap(200), ms(0));
        let mut now = 0;
        while now <= 32_000 {
            throttle.answered(ms(now));
            throttle.rejected(ms(now), 200);
            now += 1000;
        }
        assert_eq!(throttle.speed(ms(now)).pressure, Pressure::Probing);
        assert_eq!(rate(&throttle, now).to_string(), "0.2");
        throttle.answered(ms(now + 5000));
        throttle.rejected(ms(now + 5000), 1);
        throttle.answered(ms(now + 10_000));
        assert_eq!(throttle.speed(ms(now + 10_000)).pressure, Pressure::Probing);
        throttle.answered(ms(now + 15_000));
        assert_eq!(throttle.speed(ms(now + 15_000)).pressure, Pressure::Recovering);
        assert_eq!(rate(&throttle, now + 45_000).to_string(), "200");
    }

    #[test]
    fn some_rejections_do_not_lead_to_probing() {
        let mut throttle = Throttle::new(cap(200), ms(0));
        for second in 0..100 {
            throttle.answered(ms(second * 1000));
            throttle.answered(ms(second * 1000));
            throttle.rejected(ms(second * 1000), 200);
        }
        assert_ne!(throttle.speed(ms(100_000)).pressure, Pressure::Probing);
    }

    #[test]
    fn the_speed_says_why() {
        let throttle = rejected(100, 5000);
        assert_eq!(throttle.speed(ms(5300)).to_string(), "told to slow down: paused for 0.8 s");
        assert_eq!(throttle.speed(ms(9100)).to_string(), "told to slow down: 99 of 200 calls/s, growing back");
        assert_eq!(throttle.speed(ms(70_000)).to_string(), "200 calls/s, the cap");
    }

    #[test]
    fn the_plateau_is_a_call_below_those_that_were_too_many_and_never_below_one() {
        assert_eq!(rate(&rejected(9, 5000), 20_000).to_string(), "8");
        assert_eq!(rate(&rejected(1, 5000), 20_000).to_string(), "1");
    }

    #[test]
    fn after_a_pause_slots_come_over_a_window() {
        let throttle = rejected(100, 5000);
        let slots = [6100, 6200, 6600, 7100, 8100].map(|at| throttle.slots(ms(at)));
        assert_eq!(slots, [1, 7, 43, 95, 99]);
        assert_eq!(rejected(9, 5000).slots(ms(20_000)), 8);
    }

    #[test]
    fn no_more_calls_were_too_many_than_could_be_sent() {
        let mut throttle = rejected(100, 5000);
        let cut = throttle.rejected(ms(20_000), 140);
        assert_eq!(cut.map(|cut| cut.calls), Some(99));
    }

    #[test]
    fn what_another_process_was_told_counts_like_ones_own() {
        let (mut other, told) = (Throttle::new(cap(200), ms(0)), Cut { at: ms(5000), calls: 100 });
        assert!(other.heed(told, ms(5200)));
        assert_eq!(other.paused_until(ms(5200)), Some(ms(6100)));
        assert_eq!(other.speed(ms(8100)), rejected(100, 5000).speed(ms(8100)));
        assert_eq!(other.rejected(ms(6500), 100), None, "a second cut for the same calls");
        assert!(!other.heed(told, ms(6500)), "known");
        assert!(!other.heed(Cut { at: ms(4000), calls: 10 }, ms(6500)), "older");
        assert!(!other.heed(Cut { at: ms(9000), calls: 10 }, ms(6500)), "from before a reboot");
        assert!(other.heed(Cut { at: ms(8000), calls: 90 }, ms(8000)), "newer");
        assert!(!Throttle::new(cap(200), ms(0)).heed(told, ms(65_000)), "healed");
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Told,
        Answered,
        Rejected,
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rate_stays_in_bounds_cuts_stay_apart_and_a_quiet_minute_heals(
            limit in 1_u32..1000,
            steps in prop::collection::vec(
                (0_u64..3000, prop::sample::select(vec![Step::Told, Step::Answered, Step::Rejected]), 0_u32..300), 1..300),
        ) {
            let mut throttle = Throttle::new(cap(limit), ms(0));
            let (mut now, mut last_cut) = (0, None);
            for (wait, step, calls) in steps {
                let before = throttle.rate(ms(now));
                now += wait;
                let grown = throttle.rate(ms(now));
                prop_assert!(grown >= before, "{grown} after {before} without a rejection");
                prop_assert!(grown > 0.0 && grown <= f64::from(limit));
                match step {
                    Step::Answered => throttle.answered(ms(now)),
                    Step::Told => {
                        let told = Cut { at: ms(now), calls: calls.max(1) };
                        last_cut = Some(told).filter(|told| throttle.heed(*told, ms(now))).or(last_cut);
                    }
                    Step::Rejected => {
                        let cut = throttle.rejected(ms(now), calls);
                        if let (Some(cut), Some(last)) = (cut, last_cut) {
                            prop_assert!(cut.at.since(last.at) >= BETWEEN_CUTS);
                        }
                        last_cut = cut.or(last_cut);
                    }
                }
            }
            if throttle.speed(ms(now)).pressure != Pressure::Probing {
                prop_assert_eq!(throttle.speed(ms(now + 60_000)).pressure, Pressure::None);
            }
        }
    }
}
