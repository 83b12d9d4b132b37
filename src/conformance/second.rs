//! Which seconds a server counts: every second, or the seconds of its clock.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How many calls are sent across the end of a second. That is more than the limit of `account_check`, 100 calls per
/// second, and fewer than the limit of an app.
pub const SECOND_CALLS: usize = 125;
/// At how many calls per second.
pub const SECOND_RATE: u32 = 180;
/// The limit of the command.
const COMMAND_CALLS_PER_SECOND: usize = 100;
/// The part of a server's second at which the calls begin: many arrive before its end, and many after it.
const BEGIN_AT: SignedDuration = SignedDuration::from_millis(550);
/// The largest uncertainty about the server's clock. The answers show afterwards whether the calls were sent in time.
const KNOWN_TO: SignedDuration = SignedDuration::from_millis(400);
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// The calls that must be answered in one second of the server's clock, so that it alone cannot exceed the limit. The
/// bounds have a margin, since a call is counted some time before it is answered.
const IN_ONE_SECOND: RangeInclusive<usize> = 30..=95;

/// One call across the end of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// `ErrorCode`.
    pub code: i64,
    /// When it was sent.
    pub sent: Duration,
    /// When its answer was read, on the same clock.
    pub answered: Duration,
    /// The header `Date` of the answer.
    pub date: Timestamp,
}

/// Which second the server counts: `any` second or those of its `clock`. None if the calls do not show it: all must
/// arrive within one second, and the server's clock must begin a new second among them.
pub fn which_second(probes: &[Probe]) -> Option<String> {
    let sent = probes.iter().map(|probe| probe.sent).min()?;
    let answered = probes.iter().map(|probe| probe.answered).max()?;
    let (begun, ended) = (probes.iter().map(|probe| probe.date).min()?, probes.iter().map(|probe| probe.date).max()?);
    let before = probes.iter().filter(|probe| probe.date == begun).count();
    let are_complete = probes.len() == SECOND_CALLS && answered.saturating_sub(sent) < Duration::from_secs(1);
    if !are_complete || ended.duration_since(begun) != SECOND || !IN_ONE_SECOND.contains(&before) {
        return None;
    }
    match probes.iter().filter(|probe| probe.code == 0).count() {
        SECOND_CALLS => Some("clock".to_owned()),
        COMMAND_CALLS_PER_SECOND => Some("any".to_owned()),
        _ => None,
    }
}

/// The difference between the server's clock and this machine's. Each response narrows it, since it was made between
/// the begin and the end of its call, and its header `Date` has whole seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecondPhase {
    /// The least and the greatest difference.
    bounds: Option<(SignedDuration, SignedDuration)>,
}

impl SecondPhase {
    /// Learns from one call.
    #[must_use]
    pub fn learn(self, begun: Timestamp, ended: Timestamp, date: Timestamp) -> Self {
        let (least, greatest) = (date.duration_since(ended), date.duration_since(begun) + SECOND);
        let bounds = match self.bounds {
            Some((low, high)) => (low.max(least), high.min(greatest)),
            None => (least, greatest),
        };
        // Clocks that contradict each other were set in between.
        Self { bounds: Some(if bounds.0 <= bounds.1 { bounds } else { (least, greatest) }) }
    }

    /// How long to wait until the calls should begin; none if the server's clock is not known well enough.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let (least, greatest) = self.bounds.filter(|(least, greatest)| *greatest - *least <= KNOWN_TO)?;
        let server = now + least + (greatest - least) / 2;
        let part = SignedDuration::from_nanos(server.subsec_nanosecond().rem_euclid(1_000_000_000).into());
        let wait = if part <= BEGIN_AT { BEGIN_AT - part } else { BEGIN_AT + SECOND - part };
        Some(wait.unsigned_abs())
    }
}
