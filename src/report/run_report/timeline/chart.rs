//! The charts of the page, as paths of SVG. All rows have the same axis of time.

use super::layout::{ChartLayout, Place, WIDTH};
use super::{BucketFigures, SpanState, Timeline, milliseconds, number};
use crate::domain::language::{Language, Translated};
use crate::domain::response::outcome::Outcome;
use crate::report::run_report::texts;
use crate::report::text::{count, rate};

/// The height of every chart.
pub(super) const HEIGHT: f64 = 100.0;
/// The least height of a number that is not 0: one failed row of a million can be seen.
const LEAST_HEIGHT: f64 = 6.0;
/// The space above the highest value.
const HEADROOM: f64 = 1.05;

/// A row of the timeline: a name, what its height means, and shapes.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct ChartRow {
    /// Its id on the page.
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(in super::super) scale: String,
    /// What it shows, for people who do not see it.
    pub(in super::super) summary: String,
    pub(in super::super) size: RowSize,
    pub(in super::super) shapes: Vec<Shape>,
    pub(in super::super) mark: Option<Mark>,
}

/// The height of a row on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum RowSize {
    Tall,
    Low,
    Band,
}

impl RowSize {
    pub(in super::super) const fn class(self) -> &'static str {
        match self {
            Self::Tall => "tall",
            Self::Low => "low",
            Self::Band => "band-row",
        }
    }
}

/// A path.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Shape {
    pub(in super::super) class: &'static str,
    pub(in super::super) path: String,
}

/// A text at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Mark {
    /// Per cent of the width.
    pub(in super::super) percent: f64,
    pub(in super::super) text: String,
}

impl Timeline {
    /// The charts, from the top.
    pub(super) fn charts(&self, layout: &ChartLayout<'_>, language: Language) -> Vec<ChartRow> {
        let restarts = self.restart_lines(layout);
        let mut rows = vec![self.calls_row(layout, language)];
        rows.extend(self.latency_row(layout, language));
        rows.extend(Outcome::ALL.into_iter().filter_map(|outcome| outcome_row(layout, outcome, language)));
        rows.iter_mut().for_each(|row| row.shapes.push(restarts.clone()));
        rows
    }

    /// The beginning of each session but the first, with its number.
    pub(in super::super) fn restarts(&self) -> Vec<Mark> {
        let layout = ChartLayout::new(self);
        let mut killed = false;
        let mut marks = Vec::new();
        for (number, span) in self.numbered_sessions() {
            if number > 1 {
                let text = format!("{}{number}", if killed { "×" } else { "▼" });
                marks.push(Mark { percent: layout.x_of(span.began_at) * 100.0 / WIDTH, text });
            }
            killed = span.end == SpanState::Killed;
        }
        marks
    }

    /// The first and the last moment.
    pub(in super::super) fn axis(&self) -> (String, String) {
        let first = self.buckets.first().map_or(0, |bucket| bucket.begin);
        let last = self.buckets.last().map_or(0, |bucket| bucket.begin);
        let end = last.saturating_add(self.seconds_per_bucket.saturating_mul(1_000));
        (self.moment(first), self.moment(end))
    }

    fn restart_lines(&self, layout: &ChartLayout<'_>) -> Shape {
        let later = self.numbered_sessions().filter(|(number, _)| *number > 1);
        let lines: Vec<String> =
            later.map(|(_, span)| format!("M{:.1} 0V{HEIGHT}", layout.x_of(span.began_at))).collect();
        Shape { class: "restart", path: lines.concat() }
    }

    fn calls_row(&self, layout: &ChartLayout<'_>, language: Language) -> ChartRow {
        let fullest = self.fullest_second.as_ref().map_or(0, |fullest| fullest.calls);
        let top = number(fullest.max(self.cap.into()).max(1)) * HEADROOM;
        let y = |value: f64| HEIGHT - value * HEIGHT / top;
        let mean = |place: &Place<'_>| place.bucket.calls_per_second();
        let mut shapes = vec![
            Shape { class: "calls", path: area(layout, |place| HEIGHT - y(mean(place))) },
            Shape { class: "cap", path: steps(layout, |bucket| Some(y(f64::from(bucket.cap)))) },
        ];
        let mark = self.fullest_second.as_ref().map(|fullest| {
            let x = layout.x_of(fullest.at);
            shapes.push(Shape { class: "fullest", path: format!("M{x:.1} {HEIGHT}V{:.1}", y(number(fullest.calls))) });
            Mark { percent: x * 100.0 / WIDTH, text: fullest_text(fullest.calls, language) }
        });
        let (cap, calls, fullest) = (count(self.cap.into()), count(self.calls), count(fullest));
        ChartRow {
            id: "calls-chart".to_owned(),
            name: Translated::new("calls per second", "每秒调用数").of(language).to_owned(),
            scale: Translated::new(format!("dashed line: cap {cap}"), format!("虚线：速率上限 {cap}")).of(language),
            summary: Translated::new(
                format!("Calls per second over time: {calls} calls, at most {fullest} in one second, the cap is {cap}"),
                format!("每秒调用数随时间的变化：共 {calls} 次，一秒内最多 {fullest} 次，速率上限 {cap}"),
            )
            .of(language),
            size: RowSize::Tall,
            shapes,
            mark,
        }
    }

    fn latency_row(&self, layout: &ChartLayout<'_>, language: Language) -> Option<ChartRow> {
        let (p50, p99) = (self.p50_ms?, self.p99_ms?);
        let highest = self.buckets.iter().filter_map(|bucket| bucket.p99_ms).fold(0.0, f64::max);
        let lowest = self.buckets.iter().filter_map(|bucket| bucket.p50_ms).fold(highest, f64::min);
        let (top, bottom) = (highest * 1.5, lowest / 1.5);
        let y = |value: f64| HEIGHT - (value / bottom).ln() * HEIGHT / (top / bottom).ln();
        let [bottom, top, p50, p99, highest] = [bottom, top, p50, p99, highest].map(milliseconds);
        let scale = Translated::new(
            format!("solid: p50, dashed: p99; {bottom} to {top}, logarithmic"),
            format!("实线：p50，虚线：p99；{bottom} 至 {top}，对数刻度"),
        );
        let summary = Translated::new(
            format!(
                "Duration of a call over time: half took up to {p50}, 99 % up to {p99}; the highest p99 of a bar is \
                 {highest}"
            ),
            format!("调用耗时随时间的变化：一半不超过 {p50}，99 % 不超过 {p99}；各时间段中最高的 p99 为 {highest}"),
        );
        Some(ChartRow {
            id: "latency-chart".to_owned(),
            name: Translated::new("duration of a call", "调用耗时").of(language).to_owned(),
            scale: scale.of(language),
            summary: summary.of(language),
            size: RowSize::Tall,
            shapes: vec![
                Shape { class: "p50", path: steps(layout, |bucket| bucket.p50_ms.map(y)) },
                Shape { class: "p99", path: steps(layout, |bucket| bucket.p99_ms.map(y)) },
            ],
            mark: None,
        })
    }
}

/// The rows per second with an outcome, on a scale of their own. None if no row got it from a session.
fn outcome_row(layout: &ChartLayout<'_>, outcome: Outcome, language: Language) -> Option<ChartRow> {
    let rows = |place: &Place<'_>| number(place.bucket.outcomes[outcome]) / place.bucket.seconds();
    let highest = layout.places.iter().map(rows).fold(0.0, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let all = count(layout.places.iter().map(|place| place.bucket.outcomes[outcome]).sum());
    let (name, top) = (texts::outcome(outcome).of(language), rate(highest));
    let height = |place: &Place<'_>| match rows(place) {
        rows if rows > 0.0 => (rows * HEIGHT / highest).max(LEAST_HEIGHT),
        _none => 0.0,
    };
    Some(ChartRow {
        id: format!("{outcome}-chart"),
        name: name.to_owned(),
        scale: Translated::new(format!("top: {top} rows/s"), format!("最高：{top} 行/s")).of(language),
        summary: Translated::new(
            format!("Rows that became {name} over time: {all}, at most {top} per second"),
            format!("随时间变为“{name}”的行：共 {all}，每秒最多 {top}"),
        )
        .of(language),
        size: RowSize::Low,
        shapes: vec![Shape { class: outcome.name(), path: area(layout, height) }],
        mark: None,
    })
}

/// The text at the fullest second.
fn fullest_text(calls: u64, language: Language) -> String {
    let calls = count(calls);
    Translated::new(format!("▲ fullest second: {calls}"), format!("▲ 调用最多的一秒：{calls}")).of(language)
}

/// Filled bars of these heights.
pub(super) fn area(layout: &ChartLayout<'_>, height: impl Fn(&Place<'_>) -> f64) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for place in &layout.places {
        let y = HEIGHT - height(place).min(HEIGHT);
        if is_open && !place.follows {
            path.push_str(&format!("V{HEIGHT}Z"));
            is_open = false;
        }
        if !is_open {
            path.push_str(&format!("M{:.1} {HEIGHT}", place.from));
            is_open = true;
        }
        path.push_str(&format!("V{y:.1}H{:.1}", place.to));
    }
    if is_open {
        path.push_str(&format!("V{HEIGHT}Z"));
    }
    path
}

/// A line with a step for each bucket; interrupted where a bucket has no value.
fn steps(layout: &ChartLayout<'_>, y: impl Fn(&BucketFigures) -> Option<f64>) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for place in &layout.places {
        let Some(y) = y(place.bucket) else {
            is_open = false;
            continue;
        };
        if is_open && place.follows {
            path.push_str(&format!("V{y:.1}H{:.1}", place.to));
        } else {
            path.push_str(&format!("M{:.1} {y:.1}H{:.1}", place.from, place.to));
        }
        is_open = true;
    }
    path
}
