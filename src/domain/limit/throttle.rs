//! Told to slow down: how fast then, and how the rate finds its way up again.
//!
//! After a cut nothing is sent for [`PAUSE`], so that the server's window runs empty. Then the rate starts at 0.7 ×
//! what was really sent in the last second, rises to just below that within [`RECOVERY`], stays there for [`PLATEAU`]
//! (the limit is most likely where it was), and at last grows by the cube of the time, slowly near the plateau
//! and to the whole cap within [`GROWTH`]:
//!
//! ```text
//! cap ─────────┐                                  ╭──
//!              │                                 ╱
//! sent ─ ─ ─ ─ │─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ╱ ─
//! plateau      │     ╭─────────────────────────╯
//! 0.7 × sent   │    ╱
//! 0            └───┘ pause  recovery  plateau   growth
//! ```
//!
//! A limit that stays lower is so touched about twice a minute; one that rises again is used in full within a minute.

use std::collections::VecDeque;
use std::time::Duration;

use super::slots::WINDOW;
use super::speed::{Pressure, Speed};
use super::{Cap, Moment};

/// Nothing is sent for so long after a cut: longer than the server's window.
pub const PAUSE: Duration = Duration::from_millis(1100);
/// Rejections this soon after a cut are about calls sent before it, so they cut no further.
pub const BETWEEN_CUTS: Duration = Duration::from_secs(2);
/// From the pause to the plateau.
pub const RECOVERY: Duration = Duration::from_secs(2);
/// How long the rate rests just below the last bad one.
pub const PLATEAU: Duration = Duration::from_secs(25);
/// From the plateau to the cap, at the longest. The four together stay below a minute.
pub const GROWTH: Duration = Duration::from_secs(30);
/// The time between two probes of a server that rejects nearly everything.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The share of what was really sent with which sending begins again.
const CUT: f64 = 0.7;
/// The plateau, as a share of what was really sent.
const REST: f64 = 0.98;
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
    /// When the calls of the last second were sent.
    sent: VecDeque<Moment>,
    answers: Answers,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    Recovering { cut: Moment, start: f64, plateau: f64 },
    Probing,
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
        Self { cap, state: State::Open, sent: VecDeque::new(), answers }
    }

    /// From now on, this is the highest rate.
    pub fn set_cap(&mut self, cap: Cap) {
        self.cap = cap;
    }

    /// A call was sent.
    pub fn sent(&mut self, now: Moment) {
        self.forget_before(now);
        self.sent.push_back(now);
    }

    /// An answer was read, of whatever kind.
    pub fn answered(&mut self, now: Moment) {
        self.close_span(now);
        self.answers.all = self.answers.all.saturating_add(1);
    }

    /// An answer said: too fast.
    pub fn rejected(&mut self, now: Moment) {
        self.close_span(now);
        self.answers.rejected = self.answers.rejected.saturating_add(1);
        match self.state {
            State::Open => self.cut(now),
            State::Recovering { cut, .. } if now.since(cut) >= BETWEEN_CUTS => self.cut(now),
            State::Recovering { .. } | State::Probing => {}
        }
    }

    /// Calls a second that may be sent now; above zero and never above the cap. A pause goes before.
    pub fn rate(&self, now: Moment) -> f64 {
        let cap = f64::from(self.cap.get());
        match self.state {
            State::Open => cap,
            State::Recovering { cut, start, plateau } => curve(now.since(cut), start, plateau, cap).min(cap),
            State::Probing => 1.0 / PROBE_EVERY.as_secs_f64(),
        }
    }

    /// The end of the pause, if there is one.
    pub fn paused_until(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Recovering { cut, .. } => Some(cut.plus(PAUSE)).filter(|end| *end > now),
            State::Open | State::Probing => None,
        }
    }

    /// What there is to tell about it.
    pub fn speed(&self, now: Moment) -> Speed {
        let allowed = self.rate(now);
        let pressure = match (self.paused_until(now), self.state) {
            (Some(end), _) => Pressure::Paused { remaining: end.since(now) },
            (None, State::Probing) => Pressure::Probing,
            (None, State::Recovering { .. }) if allowed < f64::from(self.cap.get()) => Pressure::Recovering,
            (None, State::Recovering { .. } | State::Open) => Pressure::None,
        };
        Speed { cap: self.cap, allowed, pressure }
    }

    fn cut(&mut self, now: Moment) {
        self.forget_before(now);
        let sent = f64::from(u32::try_from(self.sent.len()).unwrap_or(u32::MAX));
        // Limits are whole calls: below 25 a second, 2 % would be less than half of one, and no step down.
        let plateau = (sent * REST).min(sent - 0.5).max(SLOWEST);
        let start = (sent * CUT).clamp(SLOWEST, plateau);
        self.state = State::Recovering { cut: now, start, plateau };
    }

    fn forget_before(&mut self, now: Moment) {
        while self.sent.front().is_some_and(|sent| now.since(*sent) >= WINDOW) {
            self.sent.pop_front();
        }
    }

    /// Looks at the answers of a span once it is over. A span without answers says nothing.
    fn close_span(&mut self, now: Moment) {
        let span = match self.state {
            State::Probing => PROBE_EVERY,
            State::Open | State::Recovering { .. } => SPAN,
        };
        if now.since(self.answers.since) < span || self.answers.all == 0 {
            return;
        }
        let bad = self.answers.rejected > self.answers.all / 2;
        let bad_spans = if bad { self.answers.bad_spans + 1 } else { 0 };
        self.answers = Answers { since: now, all: 0, rejected: 0, bad_spans };
        match self.state {
            State::Probing if !bad => self.state = grown_from_nothing(now),
            State::Open | State::Recovering { .. } if bad_spans >= BAD_SPANS => self.state = State::Probing,
            State::Probing | State::Open | State::Recovering { .. } => {}
        }
    }
}

/// Probes say that calls pass again, not how many: growth begins at once, at the bottom.
fn grown_from_nothing(now: Moment) -> State {
    State::Recovering { cut: now.minus(PAUSE + RECOVERY + PLATEAU), start: SLOWEST, plateau: SLOWEST }
}

fn curve(since_cut: Duration, start: f64, plateau: f64, cap: f64) -> f64 {
    let recovering = since_cut.saturating_sub(PAUSE);
    if recovering < RECOVERY {
        let left = 1.0 - recovering.div_duration_f64(RECOVERY);
        return plateau - (plateau - start) * left.powi(3);
    }
    let growing = recovering.saturating_sub(RECOVERY + PLATEAU);
    plateau + cap * growing.div_duration_f64(GROWTH).powi(3)
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

    /// `calls` sent evenly within the second before `end`, the last one rejected then.
    fn rejected_after(calls: u64, end: u64) -> Throttle {
        let mut throttle = Throttle::new(cap(200), ms(0));
        for n in 0..calls {
            throttle.sent(ms(end - 999 + n * 999 / calls));
        }
        throttle.rejected(ms(end));
        throttle
    }

    fn rate(throttle: &Throttle, at: u64) -> f64 {
        (throttle.rate(ms(at)) * 10.0).round() / 10.0
    }

    #[test]
    fn a_rejection_pauses_then_cuts_to_0_7_of_what_was_sent_then_grows_back() {
        let throttle = rejected_after(100, 5000);
        assert_eq!(throttle.paused_until(ms(6099)), Some(ms(6100)));
        assert_eq!(throttle.paused_until(ms(6100)), None);
        assert_eq!(rate(&throttle, 6100).to_string(), "70");
        assert_eq!(rate(&throttle, 8100).to_string(), "98");
        assert_eq!(rate(&throttle, 33_100).to_string(), "98");
        assert!(throttle.rate(ms(45_000)) > 100.0);
        assert_eq!(rate(&throttle, 63_100).to_string(), "200");
    }

    #[test]
    fn within_two_seconds_there_is_one_cut() {
        let mut throttle = rejected_after(100, 5000);
        throttle.rejected(ms(6999));
        assert_eq!(throttle.paused_until(ms(7000)), None);
        throttle.rejected(ms(7000));
        assert_eq!(throttle.paused_until(ms(7000)), Some(ms(8100)));
    }

    #[test]
    fn a_server_that_rejects_everything_is_probed_until_it_answers() {
        let mut throttle = Throttle::new(cap(200), ms(0));
        let mut now = 0;
        while now <= 32_000 {
            throttle.answered(ms(now));
            throttle.rejected(ms(now));
            now += 1000;
        }
        assert_eq!(throttle.speed(ms(now)).pressure, Pressure::Probing);
        assert_eq!(rate(&throttle, now).to_string(), "0.2");
        throttle.answered(ms(now + 5000));
        throttle.rejected(ms(now + 5000));
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
            throttle.rejected(ms(second * 1000));
        }
        assert_ne!(throttle.speed(ms(100_000)).pressure, Pressure::Probing);
    }

    #[test]
    fn the_speed_says_why() {
        let throttle = rejected_after(100, 5000);
        assert_eq!(throttle.speed(ms(5300)).to_string(), "told to slow down: paused for 0.8 s");
        assert_eq!(throttle.speed(ms(9100)).to_string(), "told to slow down: 98 of 200 calls/s, growing back");
        assert_eq!(throttle.speed(ms(70_000)).to_string(), "200 calls/s, the cap");
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Sent,
        Answered,
        Rejected,
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rate_stays_in_bounds_cuts_stay_apart_and_a_quiet_minute_heals(
            limit in 1_u32..1000,
            steps in prop::collection::vec(
                (0_u64..3000, prop::sample::select(vec![Step::Sent, Step::Answered, Step::Rejected])), 1..300),
        ) {
            let mut throttle = Throttle::new(cap(limit), ms(0));
            let (mut now, mut pauses) = (0, Vec::new());
            for (wait, step) in steps {
                let before = throttle.rate(ms(now));
                now += wait;
                let grown = throttle.rate(ms(now));
                prop_assert!(grown >= before, "{grown} after {before} without a rejection");
                prop_assert!(grown > 0.0 && grown <= f64::from(limit));
                match step {
                    Step::Sent => throttle.sent(ms(now)),
                    Step::Answered => throttle.answered(ms(now)),
                    Step::Rejected => throttle.rejected(ms(now)),
                }
                if let Some(end) = throttle.paused_until(ms(now)) && pauses.last() != Some(&end) {
                    pauses.push(end);
                }
            }
            prop_assert!(pauses.windows(2).all(|pair| pair[1].since(pair[0]) >= BETWEEN_CUTS));
            if throttle.speed(ms(now)).pressure != Pressure::Probing {
                prop_assert_eq!(throttle.speed(ms(now + 60_000)).pressure, Pressure::None);
            }
        }
    }
}
