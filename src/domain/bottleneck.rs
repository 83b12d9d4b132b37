//! What limits the speed of a run: one pure function of figures, for the progress display and `imbulk status`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::RunPause;
use super::outage::Outage;
use super::response::outcome::Count;

/// The share of the cap from which a rate counts as the cap. A rate that is measured over a few seconds can be a little
/// lower than the true one.
const AT_CAP: f64 = 0.9;

/// Requests that are not in flight, by what they wait for. Those of paused and stopped jobs are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitingRequests {
    /// Nothing but a slot.
    pub may_be_sent: u64,
    /// The lease of their accounts.
    pub for_accounts: u64,
    /// The end of the delay before their next attempt.
    pub for_delays: u64,
    /// The end of the quarantine: an earlier session sent them, and the server may still execute the calls.
    pub recovered: u64,
    /// Whether the queue has no other requests.
    pub none_are_stored: bool,
}

/// The outcomes of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryProgress {
    /// Items with an outcome.
    pub ended: Count,
    /// Items that must have one.
    pub wanted: Count,
}

/// The figures that decide what limits the speed. Those of several jobs are added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeedFigures {
    /// The highest number of calls per second that the limits of the jobs and of the app allow.
    pub cap: u32,
    /// Calls per second in the last seconds.
    pub calls_per_second: f64,
    /// The throttle, while it lowers the rate.
    pub throttle: Option<ThrottledRate>,
    /// Requests in flight.
    pub in_flight: u64,
    /// `limits.max_in_flight`, if requests wait because it is reached.
    pub reached_max_in_flight: Option<u64>,
    /// The median duration of the last calls; none before the first answer.
    pub median_latency: Option<Duration>,
    /// Requests that are not in flight, by what they wait for.
    pub waiting: WaitingRequests,
    /// The canary that withholds other requests.
    pub canary: Option<CanaryProgress>,
    /// The outage, while the circuit breaker is open.
    pub outage: Option<Outage>,
    /// Whether the circuit breaker is open because the retry budget is used up.
    pub retry_budget_is_empty: bool,
    /// The pause by a person, if it concerns every job.
    pub pause: Option<RunPause>,
    /// Whether the session is stopping.
    pub is_stopping: bool,
}

/// The rate of the throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottledRate {
    /// The calls per second that may be sent now, rounded down: 0 means a single call every few seconds.
    pub calls_per_second: u32,
    /// The time until calls are sent again.
    pub resumes_in: Option<Duration>,
}

/// What limits the speed of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bottleneck {
    /// The limits of the job or the app: a run cannot be faster than this.
    Cap {
        /// Calls per second.
        calls_per_second: u32,
    },
    /// The API answered that calls come too fast.
    Throttle {
        /// The rate now.
        rate: ThrottledRate,
        /// Calls per second without the throttle.
        cap: u32,
    },
    /// Every call fails: the server is only probed.
    Outage(Outage),
    /// Too many requests had to be sent again without a success: the server is only probed.
    RetryBudget(Outage),
    /// The requests that are left write to accounts that requests in flight lease.
    HotAccounts {
        /// Requests that wait for their accounts.
        waiting: u64,
    },
    /// The requests that are left wait for their next attempt.
    Retries {
        /// The number of these requests.
        waiting: u64,
    },
    /// The requests that are left are in quarantine: an earlier session sent them, and the server may still execute the
    /// calls. Calls of this session without an answer count as calls in flight.
    Quarantine {
        /// The number of these requests.
        waiting: u64,
    },
    /// `limits.max_in_flight` requests are in flight, so the rate depends on how fast the API answers.
    Latency {
        /// Requests in flight.
        max_in_flight: u64,
        /// The median duration of the last calls.
        median: Option<Duration>,
    },
    /// Requests wait for slots, although the rate is below the cap: other processes use slots of the app, or answers
    /// are slow or missing, so that slots become free late.
    Slots {
        /// Calls per second in the last seconds, rounded down.
        calls_per_second: u32,
        /// Calls per second with all slots.
        cap: u32,
        /// The median duration of the last calls.
        median: Option<Duration>,
    },
    /// Other requests are withheld until the canary has its outcomes.
    Canary(CanaryProgress),
    /// No other requests are left: the last answers are awaited.
    LastCalls {
        /// Requests in flight.
        in_flight: u64,
    },
    /// A person paused the run.
    Pause(RunPause),
    /// The session is stopping: calls in flight end, and no new ones are sent.
    Draining {
        /// Requests in flight.
        in_flight: u64,
    },
}

/// The kind of what limits the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckKind {
    /// [`Bottleneck::Cap`]
    Cap,
    /// [`Bottleneck::Throttle`]
    Throttle,
    /// [`Bottleneck::Slots`]
    Slots,
    /// [`Bottleneck::Latency`]
    Latency,
    /// [`Bottleneck::HotAccounts`]
    HotAccounts,
    /// [`Bottleneck::Retries`]
    Retries,
    /// [`Bottleneck::Quarantine`]
    Quarantine,
    /// [`Bottleneck::Canary`]
    Canary,
    /// [`Bottleneck::Outage`]
    Outage,
    /// [`Bottleneck::RetryBudget`]
    RetryBudget,
    /// [`Bottleneck::Pause`]
    Pause,
    /// [`Bottleneck::Draining`]
    Draining,
    /// [`Bottleneck::LastCalls`]
    LastCalls,
    /// No bottleneck: requests are being fetched.
    Nothing,
}

impl BottleneckKind {
    /// The name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cap => "cap",
            Self::Throttle => "throttle",
            Self::Slots => "slots",
            Self::Latency => "latency",
            Self::HotAccounts => "hot_accounts",
            Self::Retries => "retries",
            Self::Quarantine => "quarantine",
            Self::Canary => "canary",
            Self::Outage => "outage",
            Self::RetryBudget => "retry_budget",
            Self::Pause => "pause",
            Self::Draining => "draining",
            Self::LastCalls => "last_calls",
            Self::Nothing => "nothing",
        }
    }

    /// The kind of a bottleneck, if there is one.
    pub fn of(bottleneck: Option<&Bottleneck>) -> Self {
        bottleneck.map_or(Self::Nothing, Bottleneck::kind)
    }
}

impl Bottleneck {
    /// Its kind.
    pub const fn kind(&self) -> BottleneckKind {
        match self {
            Self::Cap { .. } => BottleneckKind::Cap,
            Self::Throttle { .. } => BottleneckKind::Throttle,
            Self::Outage(_) => BottleneckKind::Outage,
            Self::RetryBudget(_) => BottleneckKind::RetryBudget,
            Self::HotAccounts { .. } => BottleneckKind::HotAccounts,
            Self::Retries { .. } => BottleneckKind::Retries,
            Self::Quarantine { .. } => BottleneckKind::Quarantine,
            Self::Latency { .. } => BottleneckKind::Latency,
            Self::Slots { .. } => BottleneckKind::Slots,
            Self::Canary(_) => BottleneckKind::Canary,
            Self::LastCalls { .. } => BottleneckKind::LastCalls,
            Self::Pause(_) => BottleneckKind::Pause,
            Self::Draining { .. } => BottleneckKind::Draining,
        }
    }

    /// Whether the recent rate does not tell when the run ends.
    pub(super) const fn hides_time_left(&self) -> bool {
        match self {
            Self::Outage(_)
            | Self::RetryBudget(_)
            | Self::Quarantine { .. }
            | Self::Canary(_)
            | Self::Pause(_)
            | Self::LastCalls { .. }
            | Self::Draining { .. } => true,
            Self::Cap { .. }
            | Self::Throttle { .. }
            | Self::HotAccounts { .. }
            | Self::Retries { .. }
            | Self::Latency { .. }
            | Self::Slots { .. } => false,
        }
    }
}

/// What limits the speed; none while requests are being fetched. What stops every call comes before what slows calls
/// down.
pub fn bottleneck(figures: &SpeedFigures) -> Option<Bottleneck> {
    stopped(figures).or_else(|| slowed(figures))
}

/// Why no new calls, or only single ones, are sent.
fn stopped(figures: &SpeedFigures) -> Option<Bottleneck> {
    let SpeedFigures { in_flight, pause, outage, .. } = figures;
    if figures.is_stopping {
        return Some(Bottleneck::Draining { in_flight: *in_flight });
    }
    let probing = if figures.retry_budget_is_empty { Bottleneck::RetryBudget } else { Bottleneck::Outage };
    pause.clone().map(Bottleneck::Pause).or_else(|| outage.clone().map(probing))
}

fn slowed(figures: &SpeedFigures) -> Option<Bottleneck> {
    let SpeedFigures { cap, calls_per_second, waiting, in_flight, median_latency: median, .. } = figures;
    if let Some(rate) = figures.throttle {
        return Some(Bottleneck::Throttle { rate, cap: *cap });
    }
    if waiting.may_be_sent > 0 {
        return Some(match figures.reached_max_in_flight {
            Some(max_in_flight) => Bottleneck::Latency { max_in_flight, median: *median },
            None if *calls_per_second >= f64::from(*cap) * AT_CAP => Bottleneck::Cap { calls_per_second: *cap },
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the cap")]
            None => Bottleneck::Slots { calls_per_second: *calls_per_second as u32, cap: *cap, median: *median },
        });
    }
    if let Some(canary) = figures.canary {
        return Some(Bottleneck::Canary(canary));
    }
    let some = |number: u64| (number > 0).then_some(number);
    some(waiting.for_accounts)
        .map(|waiting| Bottleneck::HotAccounts { waiting })
        .or_else(|| some(waiting.for_delays).map(|waiting| Bottleneck::Retries { waiting }))
        .or_else(|| some(waiting.recovered).map(|waiting| Bottleneck::Quarantine { waiting }))
        .or_else(|| {
            some(*in_flight).filter(|_| waiting.none_are_stored).map(|in_flight| Bottleneck::LastCalls { in_flight })
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::response::verdict::Trouble;

    fn waiting() -> WaitingRequests {
        WaitingRequests { may_be_sent: 9, ..WaitingRequests::default() }
    }

    /// A run at its cap.
    fn at_cap() -> SpeedFigures {
        SpeedFigures { cap: 100, calls_per_second: 98.0, in_flight: 12, waiting: waiting(), ..SpeedFigures::default() }
    }

    /// A run of which every request waits for something.
    fn waits(waiting: WaitingRequests) -> SpeedFigures {
        SpeedFigures { waiting, ..at_cap() }
    }

    fn outage() -> Outage {
        Outage { lasts: Duration::from_secs(9), probes: 2, trouble: Trouble::Failing("code 60008".to_owned()) }
    }

    fn pause() -> RunPause {
        RunPause { who: "alice@batch-1 (pid 7)".to_owned(), since: 0 }
    }

    const RATE: ThrottledRate = ThrottledRate { calls_per_second: 40, resumes_in: None };
    const CANARY: CanaryProgress = CanaryProgress { ended: 3, wanted: 10 };
    const MEDIAN: Option<Duration> = Some(Duration::from_millis(900));

    #[rstest]
    #[case::cap(at_cap(), Bottleneck::Cap { calls_per_second: 100 })]
    #[case::throttle(
        SpeedFigures { throttle: Some(RATE), ..at_cap() },
        Bottleneck::Throttle { rate: RATE, cap: 100 }
    )]
    #[case::latency(
        SpeedFigures { reached_max_in_flight: Some(12), median_latency: MEDIAN, ..at_cap() },
        Bottleneck::Latency { max_in_flight: 12, median: MEDIAN }
    )]
    #[case::slots(
        SpeedFigures { calls_per_second: 50.7, median_latency: MEDIAN, ..at_cap() },
        Bottleneck::Slots { calls_per_second: 50, cap: 100, median: MEDIAN }
    )]
    #[case::hot_accounts(
        waits(WaitingRequests { for_accounts: 7, for_delays: 2, ..WaitingRequests::default() }),
        Bottleneck::HotAccounts { waiting: 7 }
    )]
    #[case::retries(
        waits(WaitingRequests { for_delays: 2, recovered: 3, ..WaitingRequests::default() }),
        Bottleneck::Retries { waiting: 2 }
    )]
    #[case::quarantine(
        waits(WaitingRequests { recovered: 3, ..WaitingRequests::default() }),
        Bottleneck::Quarantine { waiting: 3 }
    )]
    #[case::last_calls(
        waits(WaitingRequests { none_are_stored: true, ..WaitingRequests::default() }),
        Bottleneck::LastCalls { in_flight: 12 }
    )]
    #[case::canary(
        SpeedFigures { canary: Some(CANARY), ..waits(WaitingRequests::default()) },
        Bottleneck::Canary(CANARY)
    )]
    #[case::outage(
        SpeedFigures { outage: Some(outage()), throttle: Some(RATE), ..at_cap() },
        Bottleneck::Outage(outage())
    )]
    #[case::retry_budget(
        SpeedFigures { outage: Some(outage()), retry_budget_is_empty: true, ..at_cap() },
        Bottleneck::RetryBudget(outage())
    )]
    #[case::pause(
        SpeedFigures { pause: Some(pause()), outage: Some(outage()), ..at_cap() },
        Bottleneck::Pause(pause())
    )]
    #[case::draining(
        SpeedFigures { is_stopping: true, pause: Some(pause()), ..at_cap() },
        Bottleneck::Draining { in_flight: 12 }
    )]
    fn what_limits_the_speed_most_is_named_with_its_numbers(
        #[case] figures: SpeedFigures,
        #[case] expected: Bottleneck,
    ) {
        assert_eq!(bottleneck(&figures), Some(expected));
    }

    #[test]
    fn nothing_is_named_while_requests_are_fetched() {
        assert_eq!(bottleneck(&waits(WaitingRequests::default())), None);
    }

    #[test]
    fn a_rate_just_below_the_cap_is_the_cap() {
        let at = |calls_per_second| bottleneck(&SpeedFigures { calls_per_second, ..at_cap() });
        assert_eq!(at(90.0), Some(Bottleneck::Cap { calls_per_second: 100 }));
        assert_eq!(at(89.9), Some(Bottleneck::Slots { calls_per_second: 89, cap: 100, median: None }));
    }
}
