//! Spreads the sends of a process over the second, so that calls do not leave in a burst when many slots become free.

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

/// The pace is this much faster than the cap, which the slots guarantee. A pace equal to the cap could never catch up
/// after a stall of the network.
const HEADROOM: f64 = 2.0;
/// The headroom of the first second, when all slots are free. Calls that left in half of that second would do so in
/// every later second, because their slots become free together, and would queue at the server.
const OPENING_HEADROOM: f64 = 1.0;

type Governor = RateLimiter<NotKeyed, InMemoryState, ManualClock, NoOpMiddleware<Nanos>>;

/// The sends of one command, or of the app, in this process.
#[derive(Debug)]
pub(super) struct ProcessPace {
    opening: Governor,
    cruising: Governor,
    clock: ManualClock,
    /// When the first call left after a second without calls; `None` before the first call.
    opened: Option<Moment>,
    /// When the last call left.
    last: Moment,
    /// Whether a cell of the governor was reserved and is not used yet, because the call had to wait for something
    /// else.
    reserved: bool,
}

impl ProcessPace {
    pub(super) fn new(cap: Cap) -> Self {
        let clock = ManualClock::default();
        let governor = |headroom| RateLimiter::direct_with_clock(quota(f64::from(cap.get()) * headroom), clock.clone());
        Self {
            opening: governor(OPENING_HEADROOM),
            cruising: governor(HEADROOM),
            clock: clock.clone(),
            opened: None,
            last: Moment::from_nanos(0),
            reserved: false,
        }
    }

    /// Reserves a cell for a call that may leave now, until [`ProcessPace::spend`].
    ///
    /// # Errors
    /// The call is too early. The error is the moment at which to ask again.
    pub(super) fn draw(&mut self, now: Moment) -> Result<(), Moment> {
        self.clock.set(now);
        if !self.reserved {
            let opens = self.opened.is_none_or(|opened| now.since(opened) < WINDOW) || self.rested(now);
            let governor = if opens { &self.opening } else { &self.cruising };
            let refused = |no: governor::NotUntil<Nanos>| Moment::from_nanos(no.earliest_possible().as_u64());
            governor.check().map_err(refused)?;
            self.reserved = true;
        }
        Ok(())
    }

    /// The call left.
    pub(super) fn spend(&mut self, now: Moment) {
        if self.opened.is_none() || self.rested(now) {
            self.opened = Some(now);
        }
        self.last = now;
        self.reserved = false;
    }

    /// Whether all slots are free again.
    fn rested(&self, now: Moment) -> bool {
        now.since(self.last) >= WINDOW
    }
}

/// The burst is the calls of 10 ms, because timers fire 1 to 2 ms late and the lost time would be lost throughput.
/// Below 10 calls a second there is no burst.
fn quota(rate: f64) -> Quota {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are from 1 to 131,072")]
    let burst = if rate < 10.0 { 1 } else { 1 + (rate / 100.0).ceil() as u32 };
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(Duration::from_secs_f64(1.0 / rate));
    quota.unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

/// A clock that shows the moment that was set, because time is an argument here as well.
#[derive(Debug, Clone, Default)]
struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    fn set(&self, now: Moment) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
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

    fn pace(cap: u32) -> ProcessPace {
        ProcessPace::new(NonZeroU32::new(cap).expect("not zero").try_into().expect("low enough"))
    }

    /// The milliseconds at which calls are sent if each is sent as soon as possible.
    fn sent(pace: &mut ProcessPace, during: Range<u64>) -> Vec<u64> {
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
    fn calls_are_spaced_at_twice_the_cap_and_in_the_first_second_at_the_cap() {
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
    fn a_call_that_is_too_early_gets_the_moment_to_ask_again_and_a_reserved_cell_is_kept() {
        let mut pace = pace(2);
        assert_eq!(pace.draw(ms(0)), Ok(()));
        assert_eq!(pace.draw(ms(1)), Ok(()), "the same cell");
        pace.spend(ms(1));
        assert_eq!(pace.draw(ms(10)), Err(ms(500)));
        assert_eq!(pace.draw(ms(500)), Ok(()));
    }
}
