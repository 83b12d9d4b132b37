//! Pace: spreads the sends of a process over the second, so that slots that fall free together do not leave in a burst.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::domain::rate_limit::slots::WINDOW;
use crate::domain::rate_limit::{Cap, Moment};

/// The pace is this much faster than the cap, which the slots keep: one as fast as the cap could never make up for a
/// stall of the network, after which many slots fall free together.
const HEADROOM: f64 = 2.0;
/// The same in the first second, when all slots are free: calls that left in half of it would do so in every second from
/// then on, in step with their slots, and queue up at the server.
const OPENING_HEADROOM: f64 = 1.0;

type Governor = RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Nanos>>;

/// The sends of one command, or of the app, in this process.
#[derive(Debug)]
pub(super) struct Pace {
    opening: Governor,
    cruising: Governor,
    clock: Told,
    /// When the first call after a second without one left; none before the first.
    opened: Option<Moment>,
    /// When the last call left.
    last: Moment,
    /// A cell was drawn from governor and not used yet, because something else was in the way.
    drawn: bool,
}

impl Pace {
    pub(super) fn new(cap: Cap) -> Self {
        let clock = Told::default();
        let governor = |headroom| RateLimiter::direct_with_clock(quota(f64::from(cap.get()) * headroom), clock.clone());
        Self {
            opening: governor(OPENING_HEADROOM),
            cruising: governor(HEADROOM),
            clock: clock.clone(),
            opened: None,
            last: Moment::from_nanos(0),
            drawn: false,
        }
    }

    /// May a call leave now? Draws a cell, which is kept until [`Pace::spend`]; or says when to ask again.
    pub(super) fn draw(&mut self, now: Moment) -> Result<(), Moment> {
        self.clock.set(now);
        if !self.drawn {
            let opens = self.opened.is_none_or(|opened| now.since(opened) < WINDOW) || self.rested(now);
            let governor = if opens { &self.opening } else { &self.cruising };
            let refused = |no: governor::NotUntil<Nanos>| Moment::from_nanos(no.earliest_possible().as_u64());
            governor.check().map_err(refused)?;
            self.drawn = true;
        }
        Ok(())
    }

    /// The call left.
    pub(super) fn spend(&mut self, now: Moment) {
        if self.opened.is_none() || self.rested(now) {
            self.opened = Some(now);
        }
        self.last = now;
        self.drawn = false;
    }

    /// Whether all slots are free again.
    fn rested(&self, now: Moment) -> bool {
        now.since(self.last) >= WINDOW
    }
}

/// The burst is 10 ms worth of calls, since timers fire 1 to 2 ms late and lost moments would be lost throughput.
/// Below 10 calls a second that is nothing.
fn quota(rate: f64) -> Quota {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are from 1 to 131,072")]
    let burst = if rate < 10.0 { 1 } else { 1 + (rate / 100.0).ceil() as u32 };
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(Duration::from_secs_f64(1.0 / rate));
    quota.unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
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
    use std::ops::Range;

    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    fn pace(cap: u32) -> Pace {
        Pace::new(NonZeroU32::new(cap).expect("not zero").try_into().expect("low enough"))
    }

    /// The milliseconds of these at which calls leave that leave as soon as they may.
    fn sent(pace: &mut Pace, during: Range<u64>) -> Vec<u64> {
        let mut sent = Vec::new();
        for at in during {
            while pace.draw(ms(at)).is_ok() {
                pace.spend(ms(at));
                sent.push(at);
            }
        }
        sent
    }

    #[test]
    fn sends_are_spread_at_twice_the_cap_and_in_the_first_second_after_none_at_the_cap() {
        let mut pace = pace(100);
        for start in [0, 3000] {
            let first = sent(&mut pace, start..start + 1000);
            assert_eq!(first[..5], [0, 0, 10, 20, 30].map(|at| start + at));
            assert!((100..=102).contains(&first.len()), "{}", first.len());
            let second = sent(&mut pace, start + 1000..start + 2000);
            assert!((200..=203).contains(&second.len()), "{}", second.len());
        }
    }

    #[test]
    fn a_refusal_names_the_moment_from_which_it_is_none_and_a_drawn_cell_is_kept_until_it_is_spent() {
        let mut pace = pace(2);
        assert_eq!(pace.draw(ms(0)), Ok(()));
        assert_eq!(pace.draw(ms(1)), Ok(()), "the same cell");
        pace.spend(ms(1));
        assert_eq!(pace.draw(ms(10)), Err(ms(500)));
        assert_eq!(pace.draw(ms(500)), Ok(()));
    }
}
