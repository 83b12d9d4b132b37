//! The breaker: when nothing works, only probes go out.
//!
//! It opens when a repetition can't be paid ([`Budget`]), or before something new is begun though nothing has worked for
//! a while, and closes when a call that left after that succeeds, or when
//! calls that left before bring in enough to pay with.

use std::time::Duration;

use super::event::Now;
use super::retry_budget::{Budget, Toll};
use crate::domain::ids::RequestId;
use crate::domain::response::verdict::Trouble;

/// The time before the first probe. It doubles with each probe that fails …
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// … up to this: a server that is back is noticed within 5 s.
const SLOWEST_PROBE: Duration = Duration::from_secs(5);

/// Nothing new is begun when nothing has worked for so long …
const SUSPICIOUS: Duration = Duration::from_secs(10);
/// … and so many calls have failed since: a long delay alone is no outage.
const SUSPICIOUS_CALLS: u32 = 5;

/// What is known of the server's health.
#[derive(Debug)]
pub(super) struct Breaker {
    budget: Budget,
    open: Option<Open>,
    /// When the latest call left that succeeded.
    worked: Option<Now>,
    /// The first failure after the last success.
    failing_since: Option<Now>,
    /// Failures after the last success.
    failures: u32,
    /// The first of them that nothing else bounds.
    in_vain_since: Option<Now>,
    /// What failed last.
    trouble: Trouble,
}

#[derive(Debug)]
struct Open {
    since: Now,
    probe_at: Now,
    gap: Duration,
    probing: Option<RequestId>,
    probes: u32,
}

/// A time in which nothing works and the server is only probed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Outage {
    /// For how long nothing has worked.
    pub lasts: Duration,
    /// Calls that were sent to find out whether it works again.
    pub probes: u32,
    /// What failed last.
    pub trouble: Trouble,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            open: None,
            worked: None,
            failing_since: None,
            failures: 0,
            in_vain_since: None,
            trouble: Trouble::Failing("too many items have to be sent again".to_owned()),
        }
    }
}

impl Breaker {
    /// Whether only probes may go out.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A repetition is about to set out. Where it can't be paid, the breaker opens.
    pub(super) fn pay(&mut self, now: Now, toll: Toll) -> bool {
        let paid = self.budget.pay(toll);
        if !paid {
            self.open(now);
        }
        paid
    }

    /// Something new is about to set out. Where nothing has worked for a while, or for as long as anybody wants to wait
    /// (`patience`), the breaker opens.
    pub(super) fn lets_begin(&mut self, now: Now, patience: Option<Duration>) -> bool {
        let a_while = patience.map_or(SUSPICIOUS, |patience| patience.min(SUSPICIOUS));
        let vain = self.failing_since.is_some_and(|since| now.saturating_sub(since) >= a_while);
        let suspicious = vain && self.failures >= SUSPICIOUS_CALLS;
        if suspicious {
            self.open(now);
        }
        !suspicious
    }

    fn open(&mut self, now: Now) {
        let (gap, probe_at) = (FIRST_PROBE, now + FIRST_PROBE);
        self.open.get_or_insert(Open { since: now, probe_at, gap, probing: None, probes: 0 });
    }

    /// Whether a probe may go out.
    pub(super) fn may_probe(&self, now: Now) -> bool {
        self.wake_at().is_some_and(|due| due <= now)
    }

    /// When the next probe is due; none while one is under way.
    pub(super) fn wake_at(&self) -> Option<Now> {
        self.open.as_ref().filter(|open| open.probing.is_none()).map(|open| open.probe_at)
    }

    /// How many probes were sent.
    pub(super) fn probes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.probes as usize)
    }

    /// This request goes out as a probe.
    pub(super) fn probe(&mut self, id: RequestId) {
        if let Some(open) = &mut self.open {
            open.probing = Some(id);
            open.probes = open.probes.saturating_add(1);
        }
    }

    /// A call succeeded that left then, after so much was paid for it.
    pub(super) fn succeeded(&mut self, left: Now, paid: Toll) {
        self.budget.earn(paid);
        self.worked = self.worked.max(Some(left));
        (self.failing_since, self.failures, self.in_vain_since) = (None, 0, None);
        let Some(open) = &self.open else { return };
        if left >= open.since {
            self.budget.refill();
        }
        if self.budget.is_usable() {
            self.open = None;
        }
    }

    /// A call failed, and that may be the server's fault. Returns how things stand if it was a probe.
    pub(super) fn failed(&mut self, now: Now, id: RequestId, trouble: Trouble) -> Option<Outage> {
        self.trouble = trouble;
        self.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let open = self.open.as_mut().filter(|open| open.probing == Some(id))?;
        open.gap = (open.gap * 2).min(SLOWEST_PROBE);
        self.probe_is_over(now, id);
        self.outage(now)
    }

    /// A call that left then failed, and neither its attempts nor anything else will put an end to that. Nothing is known to have
    /// worked since it left, however long it took to fail.
    pub(super) fn in_vain(&mut self, left: Now) {
        let worked = self.worked.unwrap_or_default();
        self.in_vain_since.get_or_insert(left.max(worked));
    }

    /// When nothing will have worked for as long as anybody wants to wait.
    pub(super) fn gives_up_at(&self, patience: Option<Duration>) -> Option<Now> {
        Some(self.in_vain_since? + patience?)
    }

    /// A call ended in a way that says nothing of the server's health.
    pub(super) fn probe_is_over(&mut self, now: Now, id: RequestId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.probing == Some(id)) {
            open.probing = None;
            open.probe_at = now + open.gap;
        }
    }

    /// Whether a call succeeded that left after this moment.
    pub(super) fn worked_after(&self, moment: Now) -> bool {
        self.worked.is_some_and(|worked| worked > moment)
    }

    /// How things stand while it is open.
    pub(super) fn outage(&self, now: Now) -> Option<Outage> {
        self.is_open().then(|| self.trouble(now))
    }

    /// How things stand while nothing works, open or not.
    pub(super) fn trouble(&self, now: Now) -> Outage {
        let failing = [self.in_vain_since, self.failing_since].into_iter().flatten().min();
        let since = failing.or(self.open.as_ref().map(|open| open.since)).unwrap_or(now);
        let probes = self.open.as_ref().map_or(0, |open| open.probes);
        Outage { lasts: now.saturating_sub(since), probes, trouble: self.trouble.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::response::verdict::{ServerHealth, Wait};

    const SECOND: Duration = Duration::from_secs(1);

    fn trouble() -> Trouble {
        Trouble::Failing("code 70500: x".to_owned())
    }

    fn toll() -> Toll {
        Toll::of(&ServerHealth::Failing(trouble()), Wait::Backoff, 1, 1)
    }

    /// Opened after 10 s in which everything failed.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(SECOND, RequestId::new(1), trouble()), None);
        while breaker.pay(10 * SECOND, toll()) {}
        breaker
    }

    #[test]
    fn probes_go_out_one_at_a_time_after_1_2_4_and_then_5_seconds() {
        let (mut breaker, mut outage) = (open(), None);
        let mut now = 10 * SECOND;
        for gap in [1, 2, 4, 5, 5, 5] {
            assert_eq!(breaker.wake_at(), Some(now + gap * SECOND));
            now += gap * SECOND;
            let before = now.saturating_sub(Duration::from_millis(1));
            assert!(!breaker.may_probe(before) && breaker.may_probe(now));
            breaker.probe(RequestId::new(7));
            assert!(!breaker.may_probe(now + 100 * SECOND) && breaker.wake_at().is_none());
            assert_eq!(breaker.failed(now, RequestId::new(6), trouble()), None);
            assert!(!breaker.may_probe(now + 100 * SECOND), "another call is over, the probe is not");
            outage = breaker.failed(now, RequestId::new(7), trouble());
        }
        let outage = outage.expect("it is open");
        assert_eq!(
            (outage.lasts, outage.probes),
            (31 * SECOND, 6),
            "it has failed for longer than the breaker is open"
        );
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_with_the_bucket_at_half() {
        let mut breaker = open();
        breaker.probe(RequestId::new(7));
        breaker.succeeded(11 * SECOND, Toll::FREE);
        assert!(!breaker.is_open());
        assert_eq!((0..100).filter(|_| breaker.pay(12 * SECOND, toll())).count(), 17);
        assert!(breaker.is_open());
    }

    #[test]
    fn what_left_before_closes_it_once_it_has_earned_a_repetition() {
        let mut breaker = open();
        breaker.succeeded(9 * SECOND, Toll::FREE);
        assert!(breaker.is_open(), "one of many");
        breaker.succeeded(9 * SECOND, toll());
        assert!(!breaker.is_open());
        assert!(breaker.pay(12 * SECOND, toll()));
        assert!(!breaker.pay(12 * SECOND, toll()), "no more than was earned");
        assert_eq!(breaker.failed(20 * SECOND, RequestId::new(3), trouble()), None);
        assert_eq!(breaker.outage(25 * SECOND).map(|outage| outage.lasts), Some(5 * SECOND), "it worked in between");
    }

    #[test]
    fn nothing_new_is_begun_when_nothing_has_worked_for_a_while() {
        let patient = |failures, after: Duration, patience| {
            let mut breaker = Breaker::default();
            (0..failures).for_each(|id| drop(breaker.failed(SECOND, RequestId::new(id), trouble())));
            let begins = breaker.lets_begin(SECOND + after, patience);
            assert_eq!(begins, !breaker.is_open());
            begins
        };
        assert!(patient(5, 9 * SECOND, None));
        assert!(!patient(5, 10 * SECOND, None));
        assert!(patient(4, 100 * SECOND, None), "a long delay");
        assert!(!patient(5, 3 * SECOND, Some(3 * SECOND)));
        assert!(patient(5, 9 * SECOND, Some(30 * SECOND)));
        let mut breaker = Breaker::default();
        (0..9).for_each(|id| drop(breaker.failed(SECOND, RequestId::new(id), trouble())));
        breaker.succeeded(2 * SECOND, Toll::FREE);
        (0..4).for_each(|id| drop(breaker.failed(20 * SECOND, RequestId::new(id), trouble())));
        assert!(breaker.lets_begin(40 * SECOND, None), "it worked in between");
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another() {
        let mut breaker = open();
        breaker.probe(RequestId::new(7));
        breaker.probe_is_over(12 * SECOND, RequestId::new(7));
        assert_eq!(breaker.wake_at(), Some(13 * SECOND));
    }
}
