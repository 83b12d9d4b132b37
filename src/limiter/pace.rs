//! Pace: spreads the sends over the second, so that slots do not leave in bursts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::domain::limit::Moment;

/// A rate this close to the one in force is not worth a swap.
const SAME: f64 = 0.02;

/// The sends of one command, or of the app. Any second holds at most rate + burst of them: governor allows rate +
/// burst − 1, and a cell may have been drawn and kept from before.
#[derive(Debug)]
pub(super) struct Pace {
    governor: RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Nanos>>,
    clock: Told,
    rate: f64,
    /// A cell was drawn from governor and not used yet, because something else was in the way.
    drawn: bool,
    last: Moment,
}

impl Pace {
    pub(super) fn new(rate: f64, now: Moment) -> Self {
        let clock = Told::default();
        clock.set(now);
        let governor = RateLimiter::direct_with_clock(quota(rate), clock.clone());
        Self { governor, clock, rate, drawn: false, last: now }
    }

    /// May a call leave now? Draws a cell, which is kept until [`Pace::spend`]; or says when to ask again.
    pub(super) fn draw(&mut self, rate: f64, now: Moment) -> Result<(), Moment> {
        if (rate / self.rate - 1.0).abs() > SAME {
            self.swap(rate);
        }
        self.clock.set(now);
        if !self.drawn {
            let refused = |no: governor::NotUntil<Nanos>| Moment::from_nanos(no.earliest_possible().as_u64());
            self.governor.check().map_err(refused)?;
            self.drawn = true;
        }
        Ok(())
    }

    /// The call left.
    pub(super) fn spend(&mut self, now: Moment) {
        self.drawn = false;
        self.last = now;
    }

    /// Nothing leaves before `end`, and no credit grows until then.
    pub(super) fn pause(&mut self, end: Moment) {
        self.last = end;
        self.drawn = false;
        self.swap(self.rate);
    }

    /// governor can't change a quota. The new one starts at the last send with its burst used up: a change of rate,
    /// and many of them in a row, must not be worth extra calls.
    fn swap(&mut self, rate: f64) {
        let quota = quota(rate);
        self.clock.set(self.last);
        self.governor = RateLimiter::direct_with_clock(quota, self.clock.clone());
        let used_up = self.governor.check_n(quota.burst_size());
        debug_assert!(matches!(used_up, Ok(Ok(()))), "a fresh limiter holds its burst");
        self.rate = rate;
    }
}

/// The burst is 10 ms worth of calls, since timers fire 1 to 2 ms late and lost moments would be lost throughput.
/// Below 10 calls a second that is nothing.
fn quota(rate: f64) -> Quota {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are above 0 and at most 65,536")]
    let burst = if rate < 10.0 { 1 } else { 1 + (rate / 100.0).ceil() as u32 };
    let period = Duration::from_secs_f64(1.0 / rate.max(0.001));
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

/// A clock that shows what it was last told: time is a parameter here, too.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn set(&self, now: Moment) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }
}

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// Calls that leave when every millisecond is tried, until `end`.
    fn sends(pace: &mut Pace, rate: impl Fn(u64) -> f64, end: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        for at in 0..end {
            while pace.draw(rate(at), ms(at)).is_ok() {
                pace.spend(ms(at));
                sent.push(at);
            }
        }
        sent
    }

    #[test]
    fn sends_are_spread_at_the_rate_after_a_small_burst() {
        let sent = sends(&mut Pace::new(200.0, ms(0)), |_| 200.0, 2000);
        assert_eq!(sent[..5], [0, 0, 0, 5, 10]);
        assert!((400..=402).contains(&sent.len()), "{}", sent.len());
    }

    #[test]
    fn a_refusal_names_the_moment_from_which_it_is_none() {
        let mut pace = Pace::new(5.0, ms(0));
        assert_eq!(pace.draw(5.0, ms(0)), Ok(()));
        pace.spend(ms(0));
        assert_eq!(pace.draw(5.0, ms(10)), Err(ms(200)));
        assert_eq!(pace.draw(5.0, ms(200)), Ok(()));
    }

    #[test]
    fn a_drawn_cell_is_kept_until_it_is_spent() {
        let mut pace = Pace::new(5.0, ms(0));
        assert_eq!(pace.draw(5.0, ms(0)), Ok(()));
        assert_eq!(pace.draw(5.0, ms(1)), Ok(()));
        pace.spend(ms(1));
        assert!(pace.draw(5.0, ms(2)).is_err());
    }

    #[test]
    fn changing_the_rate_often_gives_no_extra_calls() {
        let wobbling = |at: u64| if (at / 10).is_multiple_of(2) { 100.0 } else { 110.0 };
        let sent = sends(&mut Pace::new(100.0, ms(0)), wobbling, 10_000);
        assert!((990..=1060).contains(&sent.len()), "{}", sent.len());
    }

    #[test]
    fn nothing_leaves_during_a_pause_nor_in_a_burst_after_it() {
        let mut pace = Pace::new(100.0, ms(0));
        pace.pause(ms(1000));
        let sent = sends(&mut pace, |_| 100.0, 1050);
        assert_eq!(sent, [1010, 1020, 1030, 1040]);
    }
}
