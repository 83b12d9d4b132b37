//! How long calls took, as counts on a logarithmic scale: small, exact to merge, and precise enough for percentiles.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bins for each doubling of the duration.
const BINS_PER_OCTAVE: usize = 4;
/// From 0.25 ms to 65 s, which no call takes: it times out before. The first and the last bin are open.
const OCTAVES: usize = 18;
const BINS: usize = BINS_PER_OCTAVE * OCTAVES;
/// Where the first bin begins, in milliseconds.
const FIRST_MILLISECONDS: f64 = 0.25;

/// The number of calls by duration. A percentile is within 9 % of the true duration.
///
/// Its JSON is a list: the number of the first bin that has calls, then the calls of each bin up to the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub struct LatencyHistogram([u64; BINS]);

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self([0; BINS])
    }
}

impl LatencyHistogram {
    /// A call ended after this time.
    pub(super) fn add(&mut self, took: Duration) {
        self.0[bin_of(took)] += 1;
    }

    /// Whether no call ended.
    pub fn is_empty(&self) -> bool {
        self.calls() == 0
    }

    /// The number of calls that ended.
    pub fn calls(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The duration in milliseconds that this number of per cent of the calls did not exceed; none without a call.
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = (self.calls() * percent).div_ceil(100);
        let mut calls = 0;
        let reaches = |of_bin: &u64| {
            calls += of_bin;
            calls > 0 && calls >= rank
        };
        self.0.iter().position(reaches).map(middle_of)
    }
}

impl AddAssign<&Self> for LatencyHistogram {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(calls, more)| *calls += more);
    }
}

impl From<LatencyHistogram> for Vec<u64> {
    fn from(LatencyHistogram(bins): LatencyHistogram) -> Self {
        let Some(first) = bins.iter().position(|calls| *calls > 0) else { return Self::new() };
        let end = bins.iter().rposition(|calls| *calls > 0).map_or(0, |last| last + 1);
        std::iter::once(first as u64).chain(bins[first..end].iter().copied()).collect()
    }
}

impl From<Vec<u64>> for LatencyHistogram {
    fn from(list: Vec<u64>) -> Self {
        let mut histogram = Self::default();
        if let Some((first, calls)) = list.split_first() {
            let bins = histogram.0.iter_mut().skip(usize::try_from(*first).unwrap_or(BINS));
            bins.zip(calls).for_each(|(bin, calls)| *bin = *calls);
        }
        histogram
    }
}

fn bin_of(took: Duration) -> usize {
    let octaves = (took.as_secs_f64() * 1_000.0 / FIRST_MILLISECONDS).max(1.0).log2();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "small numbers that are not negative, and `as` saturates"
    )]
    let bin = (octaves * BINS_PER_OCTAVE as f64) as usize;
    bin.min(BINS - 1)
}

/// The middle of a bin in milliseconds, on the logarithmic scale.
fn middle_of(bin: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let octaves = (bin as f64 + 0.5) / BINS_PER_OCTAVE as f64;
    FIRST_MILLISECONDS * octaves.exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = f64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        milliseconds.into_iter().for_each(|took| histogram.add(Duration::from_secs_f64(took / 1_000.0)));
        histogram
    }

    #[test]
    fn percentiles_are_those_of_the_calls() {
        assert_eq!((of([]).percentile(50), of([]).is_empty()), (None, true));
        let calls = of([10.0; 98].into_iter().chain([1_000.0, 4_000.0]));
        let near = |percent, expected: f64| {
            let found = calls.percentile(percent).unwrap_or_default();
            assert!((found / expected - 1.0).abs() < 0.1, "p{percent} is {found}, not {expected}");
        };
        near(50, 10.0);
        near(98, 10.0);
        near(99, 1_000.0);
        near(100, 4_000.0);
    }

    #[test]
    fn durations_beyond_the_scale_are_counted() {
        let calls = of([0.0, 0.01, 3_600_000.0]);
        assert_eq!(calls.calls(), 3);
        assert!(calls.percentile(100).unwrap_or_default() > 50_000.0);
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_9_per_cent_and_the_json_reads_back(
            mut durations in proptest::collection::vec(0.25_f64..60_000.0, 1..50),
            percent in 1_u64..=100,
        ) {
            let histogram = of(durations.iter().copied());
            durations.sort_by(f64::total_cmp);
            let rank = (durations.len() * usize::try_from(percent).unwrap()).div_ceil(100);
            let found = histogram.percentile(percent).unwrap();
            let exact = durations[rank - 1];
            prop_assert!((found / exact).ln().abs() < 0.091, "{found} for {exact}");
            let json = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<LatencyHistogram>(&json).unwrap(), histogram);
        }
    }
}
