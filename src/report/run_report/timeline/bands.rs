//! The bands below the charts: when calls were held back, and when no session was sending.

use super::chart::{ChartRow, HEIGHT, RowSize, Shape, area};
use super::layout::{ChartLayout, Gap, Place};
use super::{SpanFigures, Timeline, time};
use crate::domain::bottleneck::BottleneckKind;
use crate::domain::language::{Language, Translated};

/// Bands of what holds calls back.
const BANDS: [(&str, Translated, &[BottleneckKind]); 3] = [
    ("throttle", Translated::new("throttle", "限流"), &[BottleneckKind::Throttle]),
    ("outage", Translated::new("outage", "服务中断"), &[BottleneckKind::Outage, BottleneckKind::RetryBudget]),
    ("pause", Translated::new("pause", "暂停"), &[BottleneckKind::Pause]),
];

/// The name of the reason for which a session ends with its window.
const WINDOW: &str = "window";

/// The times without a session: whether after the end of a window, the id, and the name.
const WITHOUT_SESSION: [(bool, &str, Translated); 2] = [
    (true, "window", Translated::new("outside the window", "时间窗之外")),
    (false, "no-session", Translated::new("no session", "无会话")),
];

/// The bands that the run has.
pub(super) fn bands(timeline: &Timeline, layout: &ChartLayout<'_>, language: Language) -> Vec<ChartRow> {
    let held_back = BANDS.into_iter().filter_map(|(id, name, kinds)| {
        let (time, path) = band(timeline, layout, kinds)?;
        Some(band_row((id, name), time, path, language))
    });
    let without = WITHOUT_SESSION.into_iter().filter_map(|(window, id, name)| {
        let (time, path) = without_session(timeline, layout, window)?;
        Some(band_row((id, name), time, path, language))
    });
    held_back.chain(without).collect()
}

fn band_row((id, name): (&str, Translated), milliseconds: u64, path: String, language: Language) -> ChartRow {
    let (lasted, name) = (time(milliseconds), name.of(language));
    let summary =
        Translated::new(format!("When there was {name}: {lasted} in all"), format!("出现“{name}”的时间：共 {lasted}"));
    ChartRow {
        id: format!("{id}-band"),
        name: name.to_owned(),
        scale: lasted,
        summary: summary.of(language),
        size: RowSize::Band,
        shapes: vec![Shape { class: "band", path }],
        mark: None,
    }
}

/// The times that were limited by these kinds.
fn band(timeline: &Timeline, layout: &ChartLayout<'_>, kinds: &[BottleneckKind]) -> Option<(u64, String)> {
    let all = timeline.limited_by.iter().filter(|limit| kinds.contains(&limit.kind)).map(|limit| limit.ms).sum();
    let is_limited = |place: &Place<'_>| place.bucket.limited_by.iter().any(|limit| kinds.contains(&limit.kind));
    let height = |place: &Place<'_>| if is_limited(place) { HEIGHT } else { 0.0 };
    (all > 0).then(|| (all, area(layout, height)))
}

/// The times without a session after the end of a window, or after any other end.
fn without_session(timeline: &Timeline, layout: &ChartLayout<'_>, window: bool) -> Option<(u64, String)> {
    let is_wanted = |span: &SpanFigures| (span.reason.as_deref() == Some(WINDOW)) == window;
    let before =
        |gap: &&Gap| timeline.sessions.iter().rev().find(|span| span.began_at < gap.begin).is_some_and(is_wanted);
    let pairs = timeline.sessions.windows(2).filter(|pair| is_wanted(&pair[0]));
    let all: u64 = pairs.map(|pair| u64::try_from(pair[1].began_at - pair[0].seen_at).unwrap_or(0)).sum();
    let gap = |gap: &Gap| format!("M{:.1} 0H{:.1}V{HEIGHT}H{:.1}Z", gap.from, gap.to, gap.from);
    let path: String = layout.gaps.iter().filter(before).map(gap).collect();
    (all > 0 && !path.is_empty()).then_some((all, path))
}
