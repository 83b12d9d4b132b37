//! Counts the calls of a job in a session.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

/// The calls of a job in a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallCounts {
    /// Calls begun.
    pub calls: u64,
    /// Answers that said "too many calls".
    pub throttles: u64,
    /// The most calls that began within one second.
    pub fullest_second: u64,
}

impl CallCounts {
    /// The counts of two sessions, one after the other.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            calls: self.calls + later.calls,
            throttles: self.throttles + later.throttles,
            fullest_second: self.fullest_second.max(later.fullest_second),
        }
    }
}

/// Counts calls as they begin.
#[derive(Debug, Default)]
pub struct CallCounter {
    counts: CallCounts,
    /// When the calls of the last second began, in the order of time.
    last_second: VecDeque<Duration>,
}

impl CallCounter {
    /// The counts up to now.
    pub const fn counts(&self) -> CallCounts {
        self.counts
    }

    /// A call began at this time. Calls that began nearly together may be reported in any order.
    pub fn begun(&mut self, at: Duration) {
        self.counts.calls += 1;
        let later = self.last_second.iter().rev().take_while(|other| **other > at).count();
        self.last_second.insert(self.last_second.len() - later, at);
        let latest = self.last_second.back().copied().unwrap_or(at);
        while self.last_second.front().is_some_and(|first| *first + SECOND <= latest) {
            self.last_second.pop_front();
        }
        self.counts.fullest_second = self.counts.fullest_second.max(self.last_second.len() as u64);
    }

    /// The calls that began in the second up to the latest one.
    pub fn in_last_second(&self) -> u64 {
        self.last_second.len() as u64
    }

    /// An answer said "too many calls".
    pub const fn throttled(&mut self) {
        self.counts.throttles += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fullest(milliseconds: &[u64]) -> u64 {
        let mut counter = CallCounter::default();
        milliseconds.iter().for_each(|at| counter.begun(Duration::from_millis(*at)));
        assert_eq!(counter.counts().calls, milliseconds.len() as u64);
        counter.counts().fullest_second
    }

    #[test]
    fn the_fullest_second_may_begin_at_any_time() {
        assert_eq!(fullest(&[]), 0);
        assert_eq!(fullest(&[0, 1_000, 2_000]), 1, "a second later is another second");
        assert_eq!(fullest(&[0, 900, 1_100, 1_200, 1_899, 2_500]), 4, "from 900 to 1,899");
        assert_eq!(fullest(&[0, 500, 400, 999, 998]), 5, "in any order");
        assert_eq!(fullest(&[5_000, 5_001, 100]), 2, "a call that is reported late is not of this second");
    }
}
