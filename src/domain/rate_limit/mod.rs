//! The arithmetic of the rate limiter: how many calls may be sent, and when.
//!
//! Three rules work together. [`slots`] guarantee that no one-second window, as the server counts it, contains more
//! calls than the cap. [`throttle`] lowers the rate after the server throttled a call, and raises it again step by
//! step. [`shared_pace`] spreads the calls at that rate. Time is an argument, a [`Moment`]; the module `rate_limiter`
//! applies the decisions.

pub mod calls_per_day;
pub mod shared_pace;
pub mod slots;
pub mod speed;
pub mod throttle;

use std::num::NonZeroU32;
use std::time::Duration;

/// A moment of the machine's monotonic clock, in nanoseconds: the same for all processes until the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment this number of nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `span` later, or the end of the clock if that is out of range.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// The moment `span` earlier, or the clock's zero if that is out of range.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos().into())
}

/// The maximum number of calls in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cap(NonZeroU32);

impl Cap {
    /// The highest cap: the number of slots in a section of the ledger. Far above what the API allows (200)
    /// and what one machine sends, so only benchmarks come near.
    pub const MAX: u32 = 65_536;

    /// The cap of [`Cap::MAX`] calls per second.
    pub const HIGHEST: Self = Self(NonZeroU32::new(Self::MAX).unwrap());

    /// Calls per second.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<NonZeroU32> for Cap {
    type Error = CapTooHigh;

    fn try_from(calls_per_second: NonZeroU32) -> Result<Self, CapTooHigh> {
        if calls_per_second.get() > Self::MAX {
            return Err(CapTooHigh(calls_per_second.get()));
        }
        Ok(Self(calls_per_second))
    }
}

/// A cap above [`Cap::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} calls/s is above the highest cap, {max}", max = Cap::MAX)]
pub struct CapTooHigh(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_above_the_number_of_slots_in_a_section_is_rejected() {
        let cap = |calls| Cap::try_from(NonZeroU32::new(calls).expect("not zero"));
        assert_eq!(cap(65_536).map(Cap::get), Ok(65_536));
        assert_eq!(cap(65_537), Err(CapTooHigh(65_537)));
    }

    #[test]
    fn moments_saturate_at_the_ends_of_the_clock() {
        assert_eq!(Moment::from_nanos(5).minus(Duration::MAX), Moment::from_nanos(0));
        assert_eq!(Moment::from_nanos(5).plus(Duration::MAX), Moment::from_nanos(u64::MAX));
        assert_eq!(Moment::from_nanos(5).since(Moment::from_nanos(9)), Duration::ZERO);
    }
}
