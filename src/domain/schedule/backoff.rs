//! How long to wait before sending again.

use std::time::Duration;

use crate::domain::job::Retry;

/// The server gives up on a call after 3 s (overview page); what the network adds on top is not worth more.
///
/// As long as this after the end of an exchange without an answer, the server may still be writing. Counted from the
/// end, because the first byte leaves only after connecting, which takes as long as it takes.
pub const SERVER_MAY_BE_WRITING: Duration = Duration::from_millis(3_200);

/// The delay before an item is sent again after `charged` attempts that count: "full jitter", a random share of a
/// bound that doubles with every attempt. `draw` is from 0 to 1.
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
