//! The text of progress: one line for people.

use std::time::Duration;

use super::bottleneck::bottleneck_text;
use super::text::{call_rate, count, counted, duration, rate, share};
use crate::domain::progress::{Phase, ProgressSnapshot, Rates};

/// The progress in one line.
pub fn line(phase: Phase, now: &ProgressSnapshot, rates: Rates) -> String {
    let mut parts = vec![rows(phase, now)];
    match phase {
        Phase::Loading => {
            parts.push(format!("{} rows/s", rate(rates.items)));
            parts.extend((now.failed > 0).then(|| format!("{} rejected", count(now.failed))));
        }
        Phase::Sending | Phase::FinalCheck => {
            parts.push(format!("{} items/s, {}", rate(rates.items), call_rate(rates.calls)));
            parts.push(format!("{} failed", count(now.failed)));
            parts.push(format!("{} in flight", count(now.in_flight)));
        }
    }
    parts.extend(time_left(now).map(|left| format!("{} left", duration(left))));
    parts.extend(now.bottleneck.as_ref().map(bottleneck_text));
    parts.join(" · ")
}

fn rows(phase: Phase, now: &ProgressSnapshot) -> String {
    let what = match phase {
        Phase::Loading => "loaded",
        Phase::Sending | Phase::FinalCheck => "done",
    };
    let done = count(now.rows_done);
    match now.rows_total {
        Some(total) => format!("{done} of {} {what} ({})", counted(total, "row", "rows"), share(now.rows_done, total)),
        None => format!("{} {what}", counted(now.rows_done, "row", "rows")),
    }
}

/// At the mean speed since the start of the phase: calmer than the last seconds. None until there is one to speak of.
fn time_left(now: &ProgressSnapshot) -> Option<Duration> {
    let left = now.rows_total?.saturating_sub(now.rows_done);
    if left == 0 || now.items == 0 || now.elapsed < Duration::from_secs(2) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = left as f64 * now.elapsed.as_secs_f64() / now.items as f64;
    // Whole seconds: more would be made up.
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session_state::SessionState;

    fn at(seconds: u64) -> ProgressSnapshot {
        ProgressSnapshot {
            elapsed: Duration::from_secs(seconds),
            rows_done: 10_500,
            rows_total: Some(1_000_000),
            items: 10_000,
            calls: 100,
            failed: 12,
            in_flight: 8,
            bottleneck: None,
            state: SessionState::default(),
        }
    }

    #[test]
    fn a_line_tells_rows_speed_failures_time_left_and_what_hinders() {
        let rates = Rates { items: 9_876.4, calls: 98.76 };
        let mut now = at(10);
        assert_eq!(
            line(Phase::Sending, &now, rates),
            "10,500 of 1,000,000 rows done (1.1 %) · 9,876 items/s, 98.8 calls/s · 12 failed · 8 in flight · 16 min \
             30 s left"
        );
        now.rows_total = None;
        assert_eq!(line(Phase::Loading, &now, rates), "10,500 rows loaded · 9,876 rows/s · 12 rejected");
    }

    #[test]
    fn no_time_left_is_shown_before_anything_is_known_or_after_the_end() {
        let nothing_yet = ProgressSnapshot { items: 0, ..at(10) };
        let too_early = at(1);
        let over = ProgressSnapshot { rows_done: 1_000_000, ..at(10) };
        let unknown = ProgressSnapshot { rows_total: None, ..at(10) };
        for now in [nothing_yet, too_early, over, unknown] {
            assert_eq!(time_left(&now), None, "{now:?}");
        }
        assert_eq!(time_left(&at(10)), Some(Duration::from_secs(990)));
    }
}
