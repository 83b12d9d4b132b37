//! Where each bucket is in a chart. Times without a session are shortened, so that sessions that are days apart can be
//! seen.

use super::{BucketFigures, Timeline};

/// The width of every chart.
pub(super) const WIDTH: f64 = 1_000.0;
/// The share of the buckets that a time without a session takes at most.
const GAP_DIVISOR: usize = 12;

/// The places of the buckets.
#[derive(Debug)]
pub(super) struct ChartLayout<'a> {
    pub(super) places: Vec<Place<'a>>,
    pub(super) gaps: Vec<Gap>,
    seconds_per_bucket: i64,
}

/// A bucket with its place.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) bucket: &'a BucketFigures,
    pub(super) from: f64,
    pub(super) to: f64,
    /// Whether the bucket before it touches it.
    pub(super) follows: bool,
}

/// A time without a session.
#[derive(Debug)]
pub(super) struct Gap {
    /// When it begins at the earliest, in milliseconds since 1970.
    pub(super) begin: i64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl<'a> ChartLayout<'a> {
    pub(super) fn new(timeline: &'a Timeline) -> Self {
        let width = timeline.seconds_per_bucket.saturating_mul(1_000).max(1);
        let longest = i64::try_from(timeline.buckets.len() / GAP_DIVISOR).unwrap_or(i64::MAX).saturating_add(1);
        let missing = |pair: &[BucketFigures]| ((pair[1].begin - pair[0].begin) / width - 1).clamp(0, longest);
        let before: Vec<f64> = std::iter::once(0).chain(timeline.buckets.windows(2).map(missing)).map(slots).collect();
        let unit = WIDTH / (slots(i64::try_from(timeline.buckets.len()).unwrap_or(1)) + before.iter().sum::<f64>());
        let (mut at, mut places, mut gaps) = (0.0, Vec::new(), Vec::new());
        let mut end = 0;
        for (bucket, gap) in timeline.buckets.iter().zip(before) {
            let from = at + gap * unit;
            if gap > 0.0 {
                gaps.push(Gap { begin: end, from: at, to: from });
            }
            at = from + unit;
            end = bucket.begin.saturating_add(width);
            places.push(Place { bucket, from, to: at, follows: gap <= 0.0 && !places.is_empty() });
        }
        Self { places, gaps, seconds_per_bucket: timeline.seconds_per_bucket }
    }

    /// Where a moment is, given in milliseconds since 1970.
    pub(super) fn x_of(&self, moment: i64) -> f64 {
        let Some(place) = self.places.iter().rev().find(|place| place.bucket.begin <= moment) else { return 0.0 };
        let passed = slots(moment - place.bucket.begin) / (slots(self.seconds_per_bucket) * 1_000.0);
        place.from + (place.to - place.from) * passed.min(1.0)
    }
}

/// A number of slots or of milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a place in a chart")]
const fn slots(number: i64) -> f64 {
    number as f64
}
