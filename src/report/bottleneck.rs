//! What limits the speed of a run, as text.

use std::time::Duration;

use super::control::who_and_when;
use super::text::{call_rate, count, counted, duration, visible};
use crate::domain::bottleneck::CanaryProgress;
use crate::domain::bottleneck::{Bottleneck, ThrottledRate};
use crate::domain::outage::Outage;
use crate::domain::rate_limit::speed::PROBE_EVERY;
use crate::domain::response::verdict::Trouble;

/// What limits the speed of a run, with its numbers.
pub(super) fn bottleneck_text(bottleneck: &Bottleneck) -> String {
    let requests = |number: u64| counted(number, "request waits", "requests wait");
    match bottleneck {
        Bottleneck::Cap { calls_per_second } => {
            format!("at the limit of {} calls/s", count((*calls_per_second).into()))
        }
        Bottleneck::Throttle { rate, cap } => throttle_text(rate, *cap),
        Bottleneck::Outage(outage) => format!("{} {}", trouble_text(&outage.trouble), probes(outage)),
        Bottleneck::RetryBudget(outage) => {
            format!("the retry budget is used up: {} {}", trouble_text(&outage.trouble), probes(outage))
        }
        Bottleneck::HotAccounts { waiting } => {
            format!("{} for accounts that other requests write", requests(*waiting))
        }
        Bottleneck::Retries { waiting } => format!("{} for the next attempt", requests(*waiting)),
        Bottleneck::Quarantine { waiting } => {
            format!("{} until the server has finished calls of the last session", requests(*waiting))
        }
        Bottleneck::Latency { max_in_flight, median } => {
            format!("limits.max_in_flight = {} is reached{}", count(*max_in_flight), latency(*median))
        }
        Bottleneck::Slots { calls_per_second, cap, median } => {
            let (rate, cap) = (count((*calls_per_second).into()), count((*cap).into()));
            format!("waiting for slots: {rate} of {cap} calls/s{}", latency(*median))
        }
        Bottleneck::Canary(CanaryProgress { ended, wanted }) => {
            format!("canary: {} of {} have an outcome", count(*ended), counted(*wanted, "item", "items"))
        }
        Bottleneck::LastCalls { in_flight } => format!("waiting for the last {}", counted(*in_flight, "call", "calls")),
        Bottleneck::Pause(pause) => format!("paused {}", who_and_when(pause)),
        Bottleneck::Draining { in_flight: 0 } => "stopping: storing the last outcomes".to_owned(),
        Bottleneck::Draining { in_flight } => {
            format!("stopping: waiting for {} in flight", counted(*in_flight, "call", "calls"))
        }
    }
}

/// The same in at most 30 columns, for a narrow terminal.
pub(super) fn bottleneck_in_short(bottleneck: &Bottleneck) -> String {
    match bottleneck {
        Bottleneck::Cap { .. } => "at the limit".to_owned(),
        Bottleneck::Throttle { rate: ThrottledRate { resumes_in: Some(_), .. }, .. } => "throttled: paused".to_owned(),
        Bottleneck::Throttle { rate, .. } => format!("throttled to {}", count(rate.calls_per_second.into())),
        Bottleneck::Outage(outage) | Bottleneck::RetryBudget(outage) => {
            format!("outage for {}", duration(Duration::from_secs(outage.lasts.as_secs())))
        }
        Bottleneck::HotAccounts { waiting } => format!("{} wait for accounts", count(*waiting)),
        Bottleneck::Retries { waiting } => format!("{} wait for a retry", count(*waiting)),
        Bottleneck::Quarantine { waiting } => format!("{} in quarantine", count(*waiting)),
        Bottleneck::Latency { .. } => "at max_in_flight".to_owned(),
        Bottleneck::Slots { .. } => "waiting for slots".to_owned(),
        Bottleneck::Canary(CanaryProgress { ended, wanted }) => {
            format!("canary: {} of {}", count(*ended), count(*wanted))
        }
        Bottleneck::LastCalls { .. } => "waiting for the last calls".to_owned(),
        Bottleneck::Pause(_) => "paused".to_owned(),
        Bottleneck::Draining { in_flight: 0 } => "stopping: storing outcomes".to_owned(),
        Bottleneck::Draining { in_flight } => format!("stopping: {} in flight", count(*in_flight)),
    }
}

/// To which rate the API throttles.
pub(super) fn throttle_text(rate: &ThrottledRate, cap: u32) -> String {
    let (calls_per_second, cap) = (rate.calls_per_second, count(cap.into()));
    match rate.resumes_in {
        Some(remaining) => format!("throttled by the API: paused for {}", duration(whole_seconds(remaining))),
        None if calls_per_second == 0 => {
            format!("throttled by the API: {}", call_rate(PROBE_EVERY.as_secs_f64().recip()))
        }
        None => format!("throttled by the API: {} of {cap} calls/s", count(calls_per_second.into())),
    }
}

fn latency(median: Option<Duration>) -> String {
    median.map_or(String::new(), |median| format!("; a call takes {} (median)", duration(median)))
}

fn probes(Outage { lasts, probes, .. }: &Outage) -> String {
    let lasts = duration(Duration::from_secs(lasts.as_secs()));
    format!("(for {lasts}; only probes are sent, {} so far)", count((*probes).into()))
}

/// Rounded up: more would be made up.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// Why no call succeeds.
pub(super) fn trouble_text(trouble: &Trouble) -> String {
    let (what, reason) = match trouble {
        Trouble::Unreachable(reason) => ("cannot connect", reason),
        Trouble::Failing(reason) => ("every call fails", reason),
    };
    format!("{what}: {}", visible(reason))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MEDIAN: Option<Duration> = Some(Duration::from_millis(1_240));

    fn outage(trouble: Trouble) -> Outage {
        Outage { lasts: Duration::from_millis(42_300), probes: 9, trouble }
    }

    fn throttle(calls_per_second: u32, resumes_in: Option<u64>) -> Bottleneck {
        let resumes_in = resumes_in.map(Duration::from_millis);
        Bottleneck::Throttle { rate: ThrottledRate { calls_per_second, resumes_in }, cap: 200 }
    }

    #[rstest]
    #[case(Bottleneck::Cap { calls_per_second: 1_200 }, "at the limit of 1,200 calls/s")]
    #[case(throttle(40, None), "throttled by the API: 40 of 200 calls/s")]
    #[case(throttle(0, None), "throttled by the API: 1 call every 5 s")]
    #[case(throttle(40, Some(2_100)), "throttled by the API: paused for 3 s")]
    #[case(
        Bottleneck::Outage(outage(Trouble::Unreachable("refused\n\u{1b}[2J".to_owned()))),
        r"cannot connect: refused\n\u{1b}[2J (for 42 s; only probes are sent, 9 so far)"
    )]
    #[case(
        Bottleneck::RetryBudget(outage(Trouble::Failing("code 70500: x".to_owned()))),
        "the retry budget is used up: every call fails: code 70500: x (for 42 s; only probes are sent, 9 so far)"
    )]
    #[case(Bottleneck::HotAccounts { waiting: 1 }, "1 request waits for accounts that other requests write")]
    #[case(Bottleneck::Retries { waiting: 2 }, "2 requests wait for the next attempt")]
    #[case(
        Bottleneck::Latency { max_in_flight: 4, median: MEDIAN },
        "limits.max_in_flight = 4 is reached; a call takes 1.2 s (median)"
    )]
    #[case(
        Bottleneck::Slots { calls_per_second: 50, cap: 200, median: None },
        "waiting for slots: 50 of 200 calls/s"
    )]
    #[case(Bottleneck::Canary(CanaryProgress { ended: 3, wanted: 10 }), "canary: 3 of 10 items have an outcome")]
    #[case(Bottleneck::LastCalls { in_flight: 1 }, "waiting for the last 1 call")]
    #[case(Bottleneck::Draining { in_flight: 3 }, "stopping: waiting for 3 calls in flight")]
    #[case(Bottleneck::Draining { in_flight: 0 }, "stopping: storing the last outcomes")]
    fn a_bottleneck_has_its_numbers(#[case] bottleneck: Bottleneck, #[case] expected: &str) {
        assert_eq!(bottleneck_text(&bottleneck), expected);
    }
}
