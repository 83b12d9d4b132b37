//! The delay before an item is sent again.

use std::time::Duration;

use crate::domain::job::Retry;

/// The delay before an item is sent again after `charged` attempts: a random share of a bound that doubles with every
/// attempt ("full jitter"). `draw` is a random number from 0 to 1.
pub fn delay(retry: &Retry, charged: u32, draw: f64) -> Duration {
    let doublings = charged.saturating_sub(1).min(20);
    let bound = retry.base_delay.saturating_mul(1 << doublings).min(retry.max_delay);
    bound.mul_f64(draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn the_bound_doubles_up_to_the_longest_delay() {
        let retry = Retry {
            max_attempts: NonZeroU32::MIN,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_mins(1),
        };
        let bounds: Vec<u128> = (1..=9).map(|charged| delay(&retry, charged, 1.0).as_millis()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(delay(&retry, u32::MAX, 0.5), Duration::from_secs(30));
        assert_eq!(delay(&retry, 3, 0.0), Duration::ZERO);
    }
}
