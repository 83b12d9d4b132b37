//! The charts and numbers of a run with a throttle, an outage, a kill and a window.

use std::time::Duration;

use super::*;
use crate::domain::request::CallKind;
use crate::domain::schedule::{DeadlineKey, StopReason};
use crate::domain::time_series::{MAX_BUCKETS, Observation, SeriesRecorder};

/// 2026-11-30T04:00:00Z, in milliseconds since 1970.
const BEGAN_AT: i64 = 1_796_011_200_000;

fn pending(rows: u64) -> Tally {
    [(Outcome::Pending, rows)].into_iter().collect()
}

/// A session of these seconds, limited by one kind in each of them.
fn session(earlier: Option<TimeSeries>, began_at: i64, kinds: &[BottleneckKind], rows: &mut Tally) -> SeriesRecorder {
    let mut recorder = SeriesRecorder::begin(earlier, began_at, *rows);
    for (second, kind) in (0_u64..).zip(kinds) {
        let calls = if *kind == BottleneckKind::Cap { 10 } else { 1 };
        for call in 0..calls {
            let at = Duration::from_millis(second * 1_000 + call * 90);
            recorder.call_begun(at, CallKind::Change);
            recorder.call_ended(at + Duration::from_millis(50), Duration::from_millis(50 + second));
            rows.finish(Outcome::Succeeded, 3);
        }
        if second == 1 {
            rows.finish(Outcome::Failed, 1);
        }
        let elapsed = Duration::from_secs(second + 1);
        recorder.observe(Observation { elapsed, limited_by: *kind, is_over: false, cap: 10, rows: *rows });
    }
    recorder
}

fn read(mut recorder: SeriesRecorder) -> TimeSeries {
    serde_json::from_str(&recorder.to_json()).unwrap()
}

/// Three sessions: one that is killed in an outage, one that its window ends a minute later, and one the next day.
fn series() -> (TimeSeries, Tally) {
    use BottleneckKind::{Cap, LastCalls, Outage, Pause, Throttle};
    let mut rows = pending(500);
    let killed = read(session(None, BEGAN_AT, &[Cap, Cap, Throttle, Throttle, Outage, Outage], &mut rows));
    let mut second = session(Some(killed), BEGAN_AT + 60_000, &[Cap, Pause, Cap], &mut rows);
    second.end(Some(&StopReason::Deadline(DeadlineKey::Window)));
    let mut last = session(Some(read(second)), BEGAN_AT + 86_400_000, &[Cap, LastCalls], &mut rows);
    last.end(None);
    (read(last), rows)
}

fn timeline() -> Timeline {
    let (series, rows) = series();
    Timeline::new(&series, StateName::Finished, &rows, TimeZone::UTC).unwrap()
}

fn row(name: &str) -> Option<ChartRow> {
    timeline().rows(Language::En).into_iter().find(|row| row.name == name)
}

#[test]
fn the_key_numbers_are_those_of_the_series() {
    let numbers = timeline().key_numbers(Language::En);
    insta::assert_debug_snapshot!(numbers);
    let (series, mut rows) = series();
    rows.finish(Outcome::Failed, 4);
    let timeline = Timeline::new(&series, StateName::Finished, &rows, TimeZone::UTC).unwrap();
    assert_eq!(timeline.rows_without_time, 4);
    assert!(timeline.key_numbers(Language::En).iter().any(|(_, text)| text.starts_with("4 rows")));
}

#[test]
fn the_shares_of_the_time_are_complete_and_the_longest_comes_first() {
    let timeline = timeline();
    assert_eq!(timeline.limited_by.iter().map(|limit| limit.ms).sum::<u64>(), timeline.sending_ms);
    let lines = timeline.limit_lines();
    assert_eq!((lines[0].kind, lines[0].share.as_str()), ("cap", "45.5 %"));
    assert!((lines.iter().map(|line| line.percent).sum::<f64>() - 100.0).abs() < 0.001);
}

#[test]
fn a_session_without_an_end_was_killed_unless_it_is_sending() {
    let ends = |state| {
        let (series, rows) = series();
        let timeline = Timeline::new(&series, state, &rows, TimeZone::UTC).unwrap();
        timeline.sessions.iter().map(|span| span.end_text(Language::En)).collect::<Vec<_>>()
    };
    assert_eq!(ends(StateName::Interrupted), ["killed", "stopped: window", "killed"]);
    assert_eq!(ends(StateName::Sending), ["killed", "stopped: window", "sending"]);
    assert_eq!(timeline().unknown(), Some(BEFORE_A_KILL));
}

#[test]
fn restarts_are_marked_with_their_number_and_a_kill_before_them() {
    let marks = timeline().restarts();
    let texts: Vec<&str> = marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(texts, ["×2", "▼3"]);
    // 11 buckets and two gaps that are shortened to one bucket each.
    let places: Vec<String> = marks.iter().map(|mark| format!("{:.1}", mark.percent)).collect();
    assert_eq!(places, ["53.8", "84.6"]);
}

#[test]
fn the_chart_of_calls_has_the_cap_and_the_fullest_second() {
    let row = row("calls per second").unwrap();
    let shape = |class| row.shapes.iter().find(|shape| shape.class == class).map(|shape| shape.path.as_str());
    // The cap is as high as the fullest second, below the headroom.
    let cap = "M0.0 4.8H76.9V4.8H153.8V4.8H230.8V4.8H307.7V4.8H384.6V4.8H461.5\
               M538.5 4.8H615.4V4.8H692.3V4.8H769.2M846.2 4.8H923.1V4.8H1000.0";
    assert_eq!(shape("cap"), Some(cap));
    assert_eq!(shape("fullest"), Some("M62.3 100V4.8"));
    assert_eq!(row.mark.as_ref().map(|mark| mark.text.as_str()), Some("▲ fullest second: 10"));
    assert!(shape("calls").is_some_and(|path| path.starts_with("M0.0 100V4.8H76.9V4.8H153.8V90.5H230.8")), "{row:?}");
}

#[test]
fn every_band_of_the_run_is_a_row_with_its_duration() {
    let scale = |name| row(name).map(|row| row.scale);
    assert_eq!(scale("throttle").as_deref(), Some("2 s"));
    assert_eq!(scale("outage").as_deref(), Some("2 s"));
    assert_eq!(scale("pause").as_deref(), Some("1 s"));
    assert_eq!(scale("no session").as_deref(), Some("54 s"));
    assert_eq!(scale("outside the window").as_deref(), Some("23 h 58 min"));
    let path = |name| row(name).map(|row| row.shapes[0].path.clone());
    assert_eq!(path("no session").as_deref(), Some("M461.5 0H538.5V100H461.5Z"));
    assert_eq!(path("outside the window").as_deref(), Some("M769.2 0H846.2V100H769.2Z"));
}

#[test]
fn a_single_failed_row_can_be_seen() {
    let row = row("failed").unwrap();
    assert!(row.shapes[0].path.contains("V0.0H153.8"), "{row:?}");
    assert!(row.summary.contains(": 3,"), "{row:?}");
}

#[test]
fn the_rows_of_the_longest_series_are_small() {
    let mut rows = pending(1_000_000_000);
    let mut recorder = SeriesRecorder::begin(None, BEGAN_AT, rows);
    for second in 1..=MAX_BUCKETS as u64 {
        for outcome in FROM_CALLS {
            rows.finish(outcome, 100_000 + second);
        }
        let elapsed = Duration::from_secs(second);
        recorder.call_ended(elapsed, Duration::from_millis(second * 7));
        let limited_by = if second % 2 == 0 { BottleneckKind::Throttle } else { BottleneckKind::Outage };
        recorder.observe(Observation { elapsed, limited_by, is_over: false, cap: 200, rows });
    }
    let timeline = Timeline::new(&read(recorder), StateName::Finished, &rows, TimeZone::UTC).unwrap();
    let bytes: usize =
        timeline.rows(Language::En).iter().flat_map(|row| &row.shapes).map(|shape| shape.path.len()).sum();
    assert!((10_000..100_000).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_series_without_a_bucket_is_no_timeline() {
    let made = Timeline::new(&TimeSeries::default(), StateName::Planned, &pending(1), TimeZone::UTC);
    assert_eq!(made, None);
}
