//! How a run went over time: a bounded number of buckets, for the report.
//!
//! A bucket covers a number of seconds. When there are too many, the width doubles and each bucket is merged with its
//! neighbour. All numbers are sums or maxima, so that merging loses nothing but resolution. Times without a session
//! have no bucket.

mod latency_histogram;
mod recorder;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bottleneck::BottleneckKind;
use super::response::tally::Tally;
pub use latency_histogram::LatencyHistogram;
pub use recorder::{Observation, SeriesRecorder};

/// Buckets of a run at most.
pub const MAX_BUCKETS: usize = 360;
/// Bytes of a stored series at most.
pub const MAX_BYTES: usize = 200_000;
/// Sessions that a series has at most.
const MAX_SESSIONS: usize = 60;

/// A second in milliseconds.
const SECOND: i64 = 1_000;

/// How a run went over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSeries {
    /// The seconds of each bucket: a power of two.
    width: i64,
    /// In the order of time.
    buckets: Vec<TimeBucket>,
    /// In the order of time; those before the last [`MAX_SESSIONS`] are only counted.
    sessions: Vec<SessionSpan>,
    sessions_left_out: u64,
    fullest: Option<FullestSecond>,
}

/// What happened within a bucket. The short keys keep the stored text small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeBucket {
    /// When it begins, in seconds since 1970: a multiple of its width.
    #[serde(rename = "t")]
    pub begin: i64,
    /// Calls begun that make the change.
    #[serde(rename = "c", default, skip_serializing_if = "is_zero")]
    pub calls: u64,
    /// Calls begun that only read: lookups and preparations. Each of their commands has a cap of its own.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub reads: u64,
    /// The most calls that make the change and began within one second, which ended in this bucket.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub fullest_second: u64,
    /// The highest cap of the command that makes the change.
    #[serde(rename = "m", default)]
    pub cap: u32,
    /// Rows that got their outcome.
    #[serde(rename = "o", default, skip_serializing_if = "has_no_rows")]
    pub rows: Tally,
    /// How long the calls took that ended.
    #[serde(rename = "l", default, skip_serializing_if = "LatencyHistogram::is_empty")]
    pub latencies: LatencyHistogram,
    /// The milliseconds for which the speed was limited by each kind.
    #[serde(rename = "b", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limited_by: BTreeMap<BottleneckKind, u64>,
}

/// A session of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpan {
    /// When it began to send, in milliseconds since 1970.
    pub began_at: i64,
    /// When it was last seen to send, in milliseconds since 1970.
    pub seen_at: i64,
    /// How it ended.
    pub end: SpanEnd,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanEnd {
    /// It stored no end: it is sending, or it was killed.
    Open,
    /// Every row has its outcome.
    Finished,
    /// It was stopped for the reason with this name.
    Stopped(String),
}

/// The second in which the most calls began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullestSecond {
    /// The calls.
    pub calls: u64,
    /// When the last of them began, in milliseconds since 1970.
    pub at: i64,
}

impl Default for TimeSeries {
    fn default() -> Self {
        Self { width: 1, buckets: Vec::new(), sessions: Vec::new(), sessions_left_out: 0, fullest: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn has_no_rows(rows: &Tally) -> bool {
    rows.total() == 0
}

impl TimeBucket {
    /// The milliseconds of this bucket in which a session was sending.
    pub fn observed(&self) -> u64 {
        self.limited_by.values().sum()
    }

    /// Takes in a later one of the same time.
    fn merge(&mut self, later: &Self) {
        self.calls += later.calls;
        self.reads += later.reads;
        self.fullest_second = self.fullest_second.max(later.fullest_second);
        self.cap = self.cap.max(later.cap);
        self.rows += later.rows;
        self.latencies += &later.latencies;
        for (kind, milliseconds) in &later.limited_by {
            *self.limited_by.entry(*kind).or_default() += milliseconds;
        }
    }
}

impl TimeSeries {
    /// The seconds of each bucket.
    pub const fn width(&self) -> i64 {
        self.width
    }

    /// The buckets, in the order of time. Their times may have gaps.
    pub fn buckets(&self) -> &[TimeBucket] {
        &self.buckets
    }

    /// The last sessions, in the order of time.
    pub fn sessions(&self) -> &[SessionSpan] {
        &self.sessions
    }

    /// The number of sessions before these.
    pub const fn sessions_left_out(&self) -> u64 {
        self.sessions_left_out
    }

    /// The second in which the most calls began; none before the first call.
    pub const fn fullest(&self) -> Option<FullestSecond> {
        self.fullest
    }

    /// The sum of all buckets.
    pub fn total(&self) -> TimeBucket {
        let mut total = TimeBucket::default();
        self.buckets.iter().for_each(|bucket| total.merge(bucket));
        total
    }

    /// The text that the queue stores. If it would be too long, the buckets become wider.
    pub fn to_json(&mut self) -> String {
        loop {
            let json = serde_json::to_string(self).expect("texts and numbers are JSON");
            if json.len() <= MAX_BYTES || self.buckets.len() < 2 {
                return json;
            }
            self.widen();
        }
    }

    /// The bucket of a moment in milliseconds since 1970.
    fn bucket(&mut self, at: i64) -> &mut TimeBucket {
        let position = loop {
            let begin = self.begin_of(at);
            match self.buckets.binary_search_by_key(&begin, |bucket| bucket.begin) {
                Ok(found) => break found,
                Err(_) if self.buckets.len() >= MAX_BUCKETS => self.widen(),
                Err(place) => {
                    self.buckets.insert(place, TimeBucket { begin, ..TimeBucket::default() });
                    break place;
                }
            }
        };
        &mut self.buckets[position]
    }

    /// When the bucket of a moment begins.
    const fn begin_of(&self, at: i64) -> i64 {
        at.div_euclid(SECOND * self.width) * self.width
    }

    /// Doubles the width.
    fn widen(&mut self) {
        self.width *= 2;
        let mut merged: Vec<TimeBucket> = Vec::with_capacity(self.buckets.len());
        for mut bucket in std::mem::take(&mut self.buckets) {
            bucket.begin = bucket.begin.div_euclid(self.width) * self.width;
            match merged.last_mut() {
                Some(last) if last.begin == bucket.begin => last.merge(&bucket),
                Some(_) | None => merged.push(bucket),
            }
        }
        self.buckets = merged;
    }

    /// Adds to each bucket from one moment to another how long it was limited, and by which cap.
    fn add_time(&mut self, (from, to): (i64, i64), limited_by: BottleneckKind, cap: u32) {
        let mut at = from;
        while at < to {
            let begin = self.bucket(at).begin;
            let end = to.min((begin + self.width) * SECOND);
            let bucket = self.bucket(at);
            *bucket.limited_by.entry(limited_by).or_default() += end.abs_diff(at);
            bucket.cap = bucket.cap.max(cap);
            at = end;
        }
    }

    fn begin_session(&mut self, at: i64) {
        self.sessions.push(SessionSpan { began_at: at, seen_at: at, end: SpanEnd::Open });
        if self.sessions.len() > MAX_SESSIONS {
            self.sessions.remove(0);
            self.sessions_left_out += 1;
        }
    }
}
