//! How a run went over time: the figures of its buckets and sessions, and their texts.

mod bands;
mod chart;
mod layout;

use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::texts::COLON;
use crate::domain::bottleneck::BottleneckKind;
use crate::domain::language::{Language, Translated};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::time_series::{FullestSecond, SessionSpan, SpanEnd, TimeBucket, TimeSeries};
use crate::domain::timestamp::local;
use crate::report::json::{self, DateTime, RowsByOutcome};
use crate::report::state::StateName;
use crate::report::text::{count, counted, duration, rate, second, share};
use bands::bands;
use chart::ChartRow;
use layout::ChartLayout;

/// Outcomes that rows get from calls.
const FROM_CALLS: [Outcome; 4] = [Outcome::Succeeded, Outcome::AlreadyDone, Outcome::Failed, Outcome::InDoubt];
/// Sessions that the page and the Markdown list at most.
const SESSIONS: usize = 8;

/// How a run went over time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Timeline {
    /// The seconds of each bucket.
    pub seconds_per_bucket: i64,
    /// Calls begun that make the change.
    pub calls: u64,
    /// Calls begun that only read: lookups and preparations.
    pub reads: u64,
    /// The highest cap of the calls that make the change, per second.
    pub cap: u32,
    /// The second in which the most calls began that make the change; null without one.
    pub fullest_second: Option<FullestSecondFigures>,
    /// The milliseconds that half of the calls did not exceed, to within 9 %; null if none ended.
    pub p50_ms: Option<f64>,
    /// The same for 99 % of the calls.
    pub p99_ms: Option<f64>,
    /// The milliseconds for which sessions were sending.
    pub sending_ms: u64,
    /// What limited the speed for how long, the longest first. The sum is `sending_ms`.
    pub limited_by: Vec<LimitFigures>,
    /// The last sessions, in the order of time.
    pub sessions: Vec<SpanFigures>,
    /// The number of sessions before these.
    pub sessions_left_out: u64,
    /// Rows with an outcome from a call of which no bucket has the time: a kill came before it was stored, or an
    /// earlier version sent them.
    pub rows_without_time: u64,
    /// The buckets, in the order of time. Times without a session have none.
    pub buckets: Vec<BucketFigures>,
    #[serde(skip)]
    zone: TimeZone,
}

/// The second in which the most calls began.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FullestSecondFigures {
    /// The calls.
    pub calls: u64,
    /// When the last of them began.
    #[serde(serialize_with = "json::milliseconds")]
    #[schemars(with = "DateTime")]
    pub at: i64,
}

/// For how long the speed was limited by something.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LimitFigures {
    /// What limited it, as in `imbulk status`; `nothing` while requests are read from the queue.
    pub kind: BottleneckKind,
    /// The milliseconds.
    pub ms: u64,
}

/// A session of the run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SpanFigures {
    /// When it began to send.
    #[serde(serialize_with = "json::milliseconds")]
    #[schemars(with = "DateTime")]
    pub began_at: i64,
    /// When it was last seen to send.
    #[serde(serialize_with = "json::milliseconds")]
    #[schemars(with = "DateTime")]
    pub seen_at: i64,
    /// How it ended.
    pub end: SpanState,
    /// The name of the reason for which it was stopped; null otherwise.
    pub reason: Option<String>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanState {
    /// It is sending.
    Sending,
    /// Every row has its outcome.
    Finished,
    /// It was stopped.
    Stopped,
    /// It stored no end.
    Killed,
}

/// What happened in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BucketFigures {
    /// When it begins.
    #[serde(serialize_with = "json::milliseconds")]
    #[schemars(with = "DateTime")]
    pub begin: i64,
    /// Calls begun that make the change.
    pub calls: u64,
    /// Calls begun that only read.
    pub reads: u64,
    /// The most calls that make the change within one second.
    pub fullest_second: u64,
    /// The cap of these calls, per second.
    pub cap: u32,
    /// Rows that got their outcome, by outcome.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
    /// As for the whole run.
    pub p50_ms: Option<f64>,
    /// As for the whole run.
    pub p99_ms: Option<f64>,
    /// What limited the speed for how long.
    pub limited_by: Vec<LimitFigures>,
}

impl BucketFigures {
    fn new(bucket: &TimeBucket) -> Self {
        Self {
            begin: bucket.begin.saturating_mul(1_000),
            calls: bucket.calls,
            reads: bucket.reads,
            fullest_second: bucket.fullest_second,
            cap: bucket.cap,
            outcomes: bucket.rows,
            p50_ms: percentile(bucket, 50),
            p99_ms: percentile(bucket, 99),
            limited_by: limits(bucket),
        }
    }

    /// The seconds in which a session was sending, at least one.
    fn seconds(&self) -> f64 {
        seconds(self.limited_by.iter().map(|limit| limit.ms).sum::<u64>().max(1_000))
    }

    /// The mean of the calls per second. A part of a second at the edge of a session makes it no higher than the
    /// fullest second.
    fn calls_per_second(&self) -> f64 {
        (number(self.calls) / self.seconds()).min(number(self.fullest_second))
    }
}

fn percentile(bucket: &TimeBucket, percent: u64) -> Option<f64> {
    bucket.latencies.percentile(percent).map(|milliseconds| (milliseconds * 10.0).round() / 10.0)
}

/// The longest first.
fn limits(bucket: &TimeBucket) -> Vec<LimitFigures> {
    let limits = bucket.limited_by.iter().filter(|(_, ms)| **ms > 0);
    let mut limits: Vec<LimitFigures> = limits.map(|(kind, ms)| LimitFigures { kind: *kind, ms: *ms }).collect();
    limits.sort_by_key(|limit| (u64::MAX - limit.ms, limit.kind));
    limits
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
const fn number(number: u64) -> f64 {
    number as f64
}

fn seconds(milliseconds: u64) -> f64 {
    number(milliseconds) / 1_000.0
}

impl Timeline {
    /// The figures of a series. None if no session has sent anything.
    pub(super) fn new(series: &TimeSeries, state: StateName, outcomes: &Tally, zone: TimeZone) -> Option<Self> {
        if series.buckets().is_empty() {
            return None;
        }
        let total = series.total();
        let is_sending = state == StateName::Sending;
        let last = series.sessions().len().saturating_sub(1);
        let span = |(at, span): (usize, &SessionSpan)| SpanFigures::new(span, is_sending && at == last);
        let untimed = |outcome: Outcome| outcomes[outcome].saturating_sub(total.rows[outcome]);
        Some(Self {
            seconds_per_bucket: series.width(),
            calls: total.calls,
            reads: total.reads,
            cap: total.cap,
            fullest_second: series.fullest().map(|FullestSecond { calls, at }| FullestSecondFigures { calls, at }),
            p50_ms: percentile(&total, 50),
            p99_ms: percentile(&total, 99),
            sending_ms: total.observed(),
            limited_by: limits(&total),
            sessions: series.sessions().iter().enumerate().map(span).collect(),
            sessions_left_out: series.sessions_left_out(),
            rows_without_time: FROM_CALLS.into_iter().map(untimed).sum(),
            buckets: series.buckets().iter().map(BucketFigures::new).collect(),
            zone,
        })
    }

    /// What the series cannot tell.
    pub(super) fn unknown(&self) -> Option<Translated> {
        self.sessions.iter().any(|span| span.end == SpanState::Killed).then_some(BEFORE_A_KILL)
    }

    /// The most important numbers, each with its name.
    pub(super) fn key_numbers(&self, language: Language) -> Vec<(&'static str, String)> {
        let text = |en: String, zh: String| Translated::new(en, zh).of(language);
        let name = |en, zh| Translated::new(en, zh).of(language);
        let reads = count(self.reads);
        let reads = match self.reads {
            0 => String::new(),
            1 => text(", and 1 call that only reads".to_owned(), "，另有 1 次只读调用".to_owned()),
            _more => text(format!(", and {reads} calls that only read"), format!("，另有 {reads} 次只读调用")),
        };
        let (sending, sessions) = (time(self.sending_ms), self.sessions.len() as u64 + self.sessions_left_out);
        let in_sessions = format!("{sending} in {}", counted(sessions, "session", "sessions"));
        let mut numbers = vec![
            (name("time of sending", "发送用时"), text(in_sessions, format!("{sending}，{sessions} 次会话"))),
            (name("calls", "调用"), format!("{}{reads}", count(self.calls))),
        ];
        if let Some(FullestSecondFigures { calls, at }) = self.fullest_second {
            let mean = number(self.calls) / seconds(self.sending_ms.max(1_000));
            let (mean, cap) = (rate(mean.min(number(calls))), count(self.cap.into()));
            let rates = text(format!("{mean} on average, the cap is {cap}"), format!("平均 {mean}，速率上限 {cap}"));
            numbers.push((name("calls per second", "每秒调用数"), rates));
            let (at, zh) = (self.moment(at), count(calls));
            let fullest = text(format!("{} at {at}", counted(calls, "call", "calls")), format!("{zh} 次，{at}"));
            numbers.push((name("fullest second", "调用最多的一秒"), fullest));
        }
        if let (Some(p50), Some(p99)) = (self.p50_ms, self.p99_ms) {
            let (p50, p99) = (milliseconds(p50), milliseconds(p99));
            let en = format!("{p50} (p50), {p99} (p99), to within 9 %");
            numbers.push((
                name("duration of a call", "调用耗时"),
                text(en, format!("{p50}（p50）、{p99}（p99），误差不超过 9 %")),
            ));
        }
        if self.rows_without_time > 0 {
            let (rows, zh) = (counted(self.rows_without_time, "row", "rows"), count(self.rows_without_time));
            let en = format!("{rows} with an outcome of which no time was stored");
            numbers.push((name("not in the charts", "未列入图表"), text(en, format!("{zh} 行有结果，但没有存储时间"))));
        }
        numbers
    }

    /// The rows of the timeline, from the top: charts, then bands.
    pub(super) fn rows(&self, language: Language) -> Vec<ChartRow> {
        let layout = ChartLayout::new(self);
        self.charts(&layout, language).into_iter().chain(bands(self, &layout, language)).collect()
    }

    /// What limited the speed: the kind, its meaning, the time and its share.
    pub(super) fn limit_lines(&self) -> Vec<LimitLine> {
        let line = |limit: &LimitFigures| LimitLine {
            kind: limit.kind.name(),
            meaning: meaning(limit.kind),
            time: time(limit.ms),
            share: share(limit.ms, self.sending_ms),
            percent: number(limit.ms) * 100.0 / number(self.sending_ms.max(1)),
        };
        self.limited_by.iter().map(line).collect()
    }

    /// The last sessions with their numbers: when each began, when it was last seen, and how it ended.
    pub(super) fn session_lines(&self, language: Language) -> Vec<(u64, String, String, String)> {
        let line = |(number, span): (u64, &SpanFigures)| {
            (number, self.moment(span.began_at), self.moment(span.seen_at), span.end_text(language))
        };
        let lines: Vec<_> = self.numbered_sessions().map(line).collect();
        lines[lines.len().saturating_sub(SESSIONS)..].to_vec()
    }

    /// The sessions with their numbers, from 1.
    fn numbered_sessions(&self) -> impl Iterator<Item = (u64, &SpanFigures)> {
        (self.sessions_left_out + 1..).zip(&self.sessions)
    }

    fn moment(&self, milliseconds: i64) -> String {
        second(&local(milliseconds, &self.zone))
    }
}

/// A line of the table of what limited the speed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LimitLine {
    pub(super) kind: &'static str,
    pub(super) meaning: Translated,
    pub(super) time: String,
    pub(super) share: String,
    pub(super) percent: f64,
}

impl SpanFigures {
    fn new(span: &SessionSpan, is_sending: bool) -> Self {
        let (end, reason) = match &span.end {
            SpanEnd::Open if is_sending => (SpanState::Sending, None),
            SpanEnd::Open => (SpanState::Killed, None),
            SpanEnd::Finished => (SpanState::Finished, None),
            SpanEnd::Stopped(reason) => (SpanState::Stopped, Some(reason.clone())),
        };
        Self { began_at: span.began_at, seen_at: span.seen_at, end, reason }
    }

    fn end_text(&self, language: Language) -> String {
        let end = match self.end {
            SpanState::Sending => Translated::new("sending", "发送中"),
            SpanState::Finished => Translated::new("finished", "已完成"),
            SpanState::Stopped => Translated::new("stopped", "已停止"),
            SpanState::Killed => Translated::new("killed", "被强制终止"),
        };
        let reason = self.reason.as_ref().map(|reason| format!("{}{reason}", COLON.of(language)));
        format!("{}{}", end.of(language), reason.unwrap_or_default())
    }
}

/// A number of milliseconds, to the second where that is enough.
fn time(milliseconds: u64) -> String {
    duration(Duration::from_millis(milliseconds))
}

/// The duration of a call.
fn milliseconds(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        return format!("{milliseconds:.1} ms");
    }
    duration(Duration::from_secs_f64(milliseconds.round() / 1_000.0))
}

/// What limited the speed, in words.
const fn meaning(kind: BottleneckKind) -> Translated {
    match kind {
        BottleneckKind::Cap => Translated::new(
            "the limits of the job or the app: the run was as fast as they allow",
            "作业或应用的限制：运行已达到所允许的最高速度",
        ),
        BottleneckKind::Throttle => {
            Translated::new("the API answered that calls come too fast", "API 返回调用过于频繁")
        }
        BottleneckKind::Slots => Translated::new(
            "the rate was below the cap: other processes used slots, or answers were slow",
            "速率低于上限：其他进程占用了名额，或回应较慢",
        ),
        BottleneckKind::Latency => {
            Translated::new("limits.max_in_flight calls were in flight", "在途调用数达到 limits.max_in_flight")
        }
        BottleneckKind::HotAccounts => {
            Translated::new("requests waited for accounts that other requests wrote", "请求在等待其他请求所写的账号")
        }
        BottleneckKind::Retries => Translated::new("requests waited for their next attempt", "请求在等待下一次尝试"),
        BottleneckKind::Quarantine => Translated::new(
            "the server could still execute calls of an earlier session",
            "服务器可能仍在执行先前会话的调用",
        ),
        BottleneckKind::Canary => Translated::new("the first items had no outcome yet", "首批条目尚无结果"),
        BottleneckKind::Outage => {
            Translated::new("no call succeeded: only probes were sent", "没有调用成功：只发送探测调用")
        }
        BottleneckKind::RetryBudget => Translated::new(
            "too many calls had to be repeated: only probes were sent",
            "需要重复的调用过多：只发送探测调用",
        ),
        BottleneckKind::Pause => Translated::new("a person paused the run", "有人暂停了运行"),
        BottleneckKind::Draining => Translated::new("the session was stopping", "会话正在停止"),
        BottleneckKind::LastCalls => Translated::new("only the last calls were in flight", "只剩最后的调用在途"),
        BottleneckKind::Nothing => Translated::new("requests were read from the queue", "正在从队列读取请求"),
    }
}

/// What is not known if there is no series.
pub(super) const NO_SERIES: Translated = Translated::new(
    "How the run went over time: nothing was sent yet, an earlier version of imbulk sent it, or its rows were \
     forgotten.",
    "运行随时间的变化：尚未发送任何内容，或由较早版本的 imbulk 发送，或其行已被清除。",
);
/// What is not known after a kill.
const BEFORE_A_KILL: Translated = Translated::new(
    "What happened in the last seconds before a kill: the numbers over time are stored every 5 seconds.",
    "被强制终止前最后几秒发生的情况：这些数据每 5 秒存储一次。",
);

#[cfg(test)]
mod tests;
