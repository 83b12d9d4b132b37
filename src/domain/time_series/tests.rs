//! Merging keeps every sum, and the size is bounded.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::request::CallKind;
use crate::domain::response::outcome::Outcome;
use crate::domain::schedule::{DeadlineKey, StopReason};

/// 2026-11-30, in milliseconds since 1970.
const BEGAN_AT: i64 = 1_795_996_800_000;

fn pending(rows: u64) -> Tally {
    [(Outcome::Pending, rows)].into_iter().collect()
}

fn observation(elapsed: Duration, limited_by: BottleneckKind, rows: Tally) -> Observation {
    Observation { elapsed, limited_by, is_over: false, cap: 100, rows }
}

/// What a session does next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Change,
    Read,
    Ended(u64),
    Observe(BottleneckKind, u64),
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let kind = prop::sample::select(vec![BottleneckKind::Cap, BottleneckKind::Throttle, BottleneckKind::Nothing]);
    let steps = prop_oneof![
        Just(Step::Change),
        Just(Step::Read),
        (0..100_000_u64).prop_map(Step::Ended),
        (kind, 0..50_u64).prop_map(|(kind, rows)| Step::Observe(kind, rows)),
    ];
    // From nearly together to hours apart, so that widths grow in any sequence.
    let gap = prop_oneof![8 => 0..1_500_u64, 2 => 0..60_000_u64, 1 => 0..5_000_000_u64];
    (gap, steps)
}

/// What a session did, counted without buckets.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    calls: u64,
    reads: u64,
    ended: u64,
    rows: u64,
    limited: BTreeMap<BottleneckKind, u64>,
}

fn drive(earlier: Option<TimeSeries>, began_at: i64, steps: &[(u64, Step)], counted: &mut Counted) -> TimeSeries {
    let mut left = pending(1_000_000);
    let mut recorder = SeriesRecorder::begin(earlier, began_at, left);
    let (mut elapsed, mut observed) = (0, 0);
    for (gap, step) in steps {
        elapsed += gap;
        let at = Duration::from_millis(elapsed);
        match *step {
            Step::Change => {
                recorder.call_begun(at, CallKind::Change);
                counted.calls += 1;
            }
            Step::Read => {
                recorder.call_begun(at, CallKind::Lookup);
                counted.reads += 1;
            }
            Step::Ended(took) => {
                recorder.call_ended(at, Duration::from_millis(took));
                counted.ended += 1;
            }
            Step::Observe(kind, rows) => {
                left.finish(Outcome::Succeeded, rows);
                recorder.observe(observation(at, kind, left));
                counted.rows += rows;
                if elapsed > observed {
                    *counted.limited.entry(kind).or_default() += elapsed - observed;
                }
                observed = elapsed;
            }
        }
        assert!(recorder.series.buckets.len() <= MAX_BUCKETS);
    }
    recorder.series
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_sum_changes_when_buckets_are_merged(
        first in prop::collection::vec(step(), 0..1_200),
        second in prop::collection::vec(step(), 0..200),
        // A clock that was set back, or sessions days apart.
        later in -5_000_000_i64..400_000_000,
    ) {
        let mut counted = Counted::default();
        let series = drive(None, BEGAN_AT, &first, &mut counted);
        let json = series.clone().to_json();
        let stored: TimeSeries = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&stored, &series);
        let mut series = drive(Some(stored), BEGAN_AT + later, &second, &mut counted);
        for _ in 0..3 {
            let total = series.total();
            let sums = Counted {
                calls: total.calls,
                reads: total.reads,
                ended: total.latencies.calls(),
                rows: total.rows.total(),
                limited: total.limited_by.clone(),
            };
            prop_assert_eq!(&sums, &counted);
            prop_assert_eq!(total.fullest_second, series.fullest.map_or(0, |fullest| fullest.calls));
            let in_order = series.buckets.windows(2).all(|pair| pair[0].begin + series.width <= pair[1].begin);
            prop_assert!(in_order && series.buckets.iter().all(|bucket| bucket.begin % series.width == 0));
            prop_assert!(series.width.count_ones() == 1);
            let observed = |bucket: &TimeBucket| bucket.observed() <= series.width.unsigned_abs() * 2_000;
            prop_assert!(series.buckets.iter().all(observed), "at most the time of a bucket, of two sessions");
            series.widen();
        }
    }
}

#[test]
fn a_time_that_covers_several_buckets_is_divided_among_them() {
    let mut recorder = SeriesRecorder::begin(None, BEGAN_AT + 300, pending(5));
    let mut rows = pending(5);
    rows.finish(Outcome::Failed, 2);
    recorder.observe(observation(Duration::from_secs(2), BottleneckKind::Outage, rows));
    let of_buckets: Vec<_> = recorder.series.buckets.iter().map(TimeBucket::observed).collect();
    assert_eq!(of_buckets, [700, 1_000, 300]);
    assert_eq!(recorder.series.buckets[2].rows[Outcome::Failed], 2, "the rows are those of the last one");
    assert_eq!((recorder.series.buckets[2].cap, recorder.series.sessions[0].seen_at), (100, BEGAN_AT + 2_300));
}

#[test]
fn the_fullest_second_may_begin_at_any_time_and_has_its_moment() {
    let mut recorder = SeriesRecorder::begin(None, BEGAN_AT, pending(5));
    for at in [0, 600, 900, 1_300, 1_500, 1_550, 9_000] {
        recorder.call_begun(Duration::from_millis(at), CallKind::Change);
    }
    let of_buckets: Vec<_> = recorder.series.buckets.iter().map(|bucket| bucket.fullest_second).collect();
    assert_eq!(of_buckets, [3, 5, 1]);
    assert_eq!(recorder.series.fullest, Some(FullestSecond { calls: 5, at: BEGAN_AT + 1_550 }));
}

#[test]
fn a_session_has_its_end_and_one_without_was_killed() {
    let ended = |rows, reason: Option<StopReason>| {
        let mut recorder = SeriesRecorder::begin(None, BEGAN_AT, pending(rows));
        recorder.end(reason.as_ref());
        recorder.series.sessions.remove(0).end
    };
    assert_eq!(ended(0, None), SpanEnd::Finished);
    assert_eq!(ended(3, None), SpanEnd::Open);
    assert_eq!(ended(3, Some(StopReason::ItemLimit)), SpanEnd::Stopped("limit".to_owned()));
    let window = StopReason::Deadline(DeadlineKey::Window);
    assert_eq!(ended(3, Some(window)), SpanEnd::Stopped("window".to_owned()));
}

#[test]
fn only_the_last_sessions_are_kept_and_the_others_are_counted() {
    let mut series = None;
    for number in 0..70 {
        series = Some(SeriesRecorder::begin(series, BEGAN_AT + number, pending(1)).series);
    }
    let series = series.unwrap_or_default();
    assert_eq!((series.sessions.len(), series.sessions_left_out), (MAX_SESSIONS, 10));
    assert_eq!(series.sessions.last().map(|session| session.began_at), Some(BEGAN_AT + 69));
}

#[test]
fn the_time_after_the_end_does_not_count_but_its_rows_do() {
    let mut recorder = SeriesRecorder::begin(None, BEGAN_AT, pending(2));
    let mut rows = pending(2);
    for second in 1..=3 {
        let now = observation(Duration::from_secs(second), BottleneckKind::LastCalls, rows);
        recorder.observe(Observation { is_over: second > 1, ..now });
        rows = [(Outcome::Succeeded, 2)].into_iter().collect();
    }
    let total = recorder.series.total();
    assert_eq!((total.rows[Outcome::Succeeded], total.observed()), (2, 2_000));
    assert_eq!(recorder.series.sessions[0].seen_at, BEGAN_AT + 2_000);
}

const KINDS: [BottleneckKind; 14] = [
    BottleneckKind::Cap,
    BottleneckKind::Throttle,
    BottleneckKind::Slots,
    BottleneckKind::Latency,
    BottleneckKind::HotAccounts,
    BottleneckKind::Retries,
    BottleneckKind::Quarantine,
    BottleneckKind::Canary,
    BottleneckKind::Outage,
    BottleneckKind::RetryBudget,
    BottleneckKind::Pause,
    BottleneckKind::Draining,
    BottleneckKind::LastCalls,
    BottleneckKind::Nothing,
];

/// A series in which every bucket has every kind of number, with as many digits as in a year at 10,000 calls per
/// second.
#[test]
fn the_stored_text_is_bounded_also_if_every_bucket_is_full() {
    let full: LatencyHistogram = std::iter::once(0).chain([9_100_000; 72]).collect::<Vec<u64>>().into();
    let mut series = TimeSeries { width: 65_536, ..TimeSeries::default() };
    for number in 0..i64::try_from(MAX_BUCKETS).unwrap() {
        let bucket = TimeBucket {
            begin: number * 65_536,
            calls: 655_360_000,
            reads: 655_360_000,
            fullest_second: 10_000,
            cap: 10_000,
            rows: Outcome::ALL.into_iter().map(|outcome| (outcome, 655_360_000)).collect(),
            latencies: full.clone(),
            limited_by: KINDS.into_iter().map(|kind| (kind, 65_536_000)).collect(),
        };
        series.buckets.push(bucket);
    }
    let before = series.total();
    let json = series.to_json();
    assert!(json.len() <= MAX_BYTES && json.len() > MAX_BYTES / 3, "{} bytes", json.len());
    assert_eq!(series.total(), before);
}

#[test]
fn a_run_of_thirty_days_keeps_hundreds_of_buckets_and_stays_small() {
    let mut rows = pending(1_000_000_000);
    let mut recorder = SeriesRecorder::begin(None, BEGAN_AT, rows);
    for minute in 0..30 * 24 * 60_u64 {
        let elapsed = Duration::from_mins(minute);
        for call in 0..20 {
            recorder.call_begun(elapsed + Duration::from_millis(call * 10), CallKind::Change);
            recorder.call_ended(elapsed, Duration::from_millis(20 + (minute * 7 + call * 13) % 900));
        }
        rows.finish(Outcome::Succeeded, 5_000);
        rows.finish(Outcome::Failed, 7);
        let kind = if minute % 100 < 90 { BottleneckKind::Cap } else { BottleneckKind::Throttle };
        recorder.observe(observation(elapsed, kind, rows));
    }
    let json = recorder.to_json();
    let buckets = recorder.series.buckets.len();
    assert!((MAX_BUCKETS / 2..=MAX_BUCKETS).contains(&buckets), "{buckets} buckets");
    assert!(json.len() < 80_000, "{} bytes", json.len());
}
