//! The shared pace spaces the calls of all processes, which share the moment at which the last call was due.
//!
//! This is the generic cell rate algorithm with its one number in the ledger. Only send times go into it. Unlike the
//! slots, it therefore loses no throughput to long or varying round trips.

use std::time::Duration;

use super::Moment;

/// How late a call may be so that the next calls still make up for it. Timers fire on whole milliseconds or later, and
/// the lost time would be lost throughput. A larger value would allow bursts.
pub const SLACK: Duration = Duration::from_millis(10);

/// Decides whether a call may be sent now if calls are `interval` apart and the last one was due at `last`. Returns the
/// moment at which this call was due, at most `slack` ago.
///
/// # Errors
/// The call is too early. The error is the moment at which to ask again.
pub fn next(last: Moment, interval: Duration, slack: Duration, now: Moment) -> Result<Moment, Moment> {
    // A moment in the future is from before a reboot.
    let due = if last > now { now } else { last.plus(interval) };
    if due > now { Err(due) } else { Ok(due.max(now.minus(slack))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn calls_keep_the_pace_after_a_burst_of_the_slack() {
        let (mut last, mut sent) = (ms(0), Vec::new());
        for at in 1000..1100 {
            while let Ok(due) = next(last, Duration::from_millis(5), SLACK, ms(at)) {
                last = due;
                sent.push(at);
            }
        }
        assert_eq!(sent[..5], [1000, 1000, 1000, 1005, 1010]);
        assert_eq!(sent.len(), 22);
    }

    #[test]
    fn a_call_that_is_too_early_gets_the_moment_to_ask_again() {
        assert_eq!(next(ms(0), Duration::from_millis(200), SLACK, ms(10)), Err(ms(200)));
        assert_eq!(next(ms(0), Duration::from_millis(200), SLACK, ms(200)), Ok(ms(200)));
    }

    #[test]
    fn a_last_call_in_the_future_delays_nothing() {
        assert_eq!(next(ms(9000), Duration::from_secs(5), SLACK, ms(10)), Ok(ms(10)));
    }

    proptest! {
        #[test]
        fn no_span_contains_more_calls_than_the_pace_and_the_slack_allow(
            interval in 1_u64..300,
            waits in prop::collection::vec(0_u64..100, 2..200),
        ) {
            let (mut last, mut now, mut sent) = (ms(0), 0, Vec::new());
            for wait in waits {
                now += wait;
                if let Ok(due) = next(last, Duration::from_millis(interval), SLACK, ms(now)) {
                    prop_assert!(due <= ms(now) && due >= last.plus(Duration::from_millis(interval)).min(ms(now)));
                    last = due;
                    sent.push(now);
                }
            }
            for (n, first) in sent.iter().enumerate() {
                for (more, later) in sent[n..].iter().enumerate() {
                    prop_assert!(later - first + 10 >= interval * u64::try_from(more).expect("few"));
                }
            }
        }
    }
}
