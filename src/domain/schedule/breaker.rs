//! The circuit breaker: during an outage only probes are sent.
//!
//! It opens when the retry budget cannot pay for a repetition. It also opens before a new request is sent if no call
//! has succeeded for a while. It closes when a call succeeds that left after it opened, or when calls that left before
//! it opened earn enough to pay for a repetition.

use std::time::Duration;

use super::retry_budget::{RetryBudget, RetryCost};
use super::time::ScheduleTime;
use crate::domain::ids::RequestId;
use crate::domain::outage::Outage;
use crate::domain::response::verdict::Trouble;

/// The time before the first probe. It doubles with each probe that fails.
const FIRST_PROBE_AFTER: Duration = Duration::from_secs(1);
/// The longest time between probes, so that imbulk notices within 5 s that the server works again.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// No new request is sent if no call has succeeded for this long and at least [`MIN_FAILURES`] have failed.
const MAX_TIME_WITHOUT_SUCCESS: Duration = Duration::from_secs(10);
/// Fewer failures are no outage, however long a single call takes.
const MIN_FAILURES: u32 = 5;

/// What is known of the server's health.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    budget: RetryBudget,
    open: Option<Open>,
    /// When the latest call left that succeeded.
    last_success_sent: Option<ScheduleTime>,
    /// The first failure after the last success.
    failing_since: Option<ScheduleTime>,
    /// Failures after the last success.
    failures: u32,
    /// The first failure after the last success that only `stop.outage` bounds.
    unbounded_since: Option<ScheduleTime>,
    /// The cause of the latest failure.
    trouble: Trouble,
}

#[derive(Debug)]
struct Open {
    since: ScheduleTime,
    next_probe_at: ScheduleTime,
    probe_interval: Duration,
    probing: Option<RequestId>,
    probes: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            budget: RetryBudget::default(),
            open: None,
            last_success_sent: None,
            failing_since: None,
            failures: 0,
            unbounded_since: None,
            trouble: Trouble::Failing("too many items have to be sent again".to_owned()),
        }
    }
}

impl CircuitBreaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn retry_budget_is_empty(&self) -> bool {
        self.is_open() && !self.budget.is_usable()
    }

    /// Takes the cost of a repetition from the budget. Opens the breaker if the budget cannot pay it.
    pub(super) fn pay(&mut self, now: ScheduleTime, cost: RetryCost) -> bool {
        let paid = self.budget.pay(cost);
        if !paid {
            self.open(now);
        }
        paid
    }

    /// Whether a new request may be sent. Opens the breaker if no call has succeeded for a while, or for `patience` if
    /// that is shorter.
    pub(super) fn allows_new(&mut self, now: ScheduleTime, patience: Option<Duration>) -> bool {
        let limit = patience.map_or(MAX_TIME_WITHOUT_SUCCESS, |patience| patience.min(MAX_TIME_WITHOUT_SUCCESS));
        let long = self.failing_since.is_some_and(|since| now.since(since) >= limit);
        let suspicious = long && self.failures >= MIN_FAILURES;
        if suspicious {
            self.open(now);
        }
        !suspicious
    }

    fn open(&mut self, now: ScheduleTime) {
        self.open.get_or_insert(Open {
            since: now,
            next_probe_at: now + FIRST_PROBE_AFTER,
            probe_interval: FIRST_PROBE_AFTER,
            probing: None,
            probes: 0,
        });
    }

    /// Whether a probe may be sent.
    pub(super) fn may_probe(&self, now: ScheduleTime) -> bool {
        self.next_probe_at().is_some_and(|due| due <= now)
    }

    /// When the next probe is due; `None` while one is in flight.
    pub(super) fn next_probe_at(&self) -> Option<ScheduleTime> {
        self.open.as_ref().filter(|open| open.probing.is_none()).map(|open| open.next_probe_at)
    }

    /// How many probes were sent.
    pub(super) fn probes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.probes as usize)
    }

    /// This request is sent as a probe.
    pub(super) fn probe(&mut self, id: RequestId) {
        if let Some(open) = &mut self.open {
            open.probing = Some(id);
            open.probes = open.probes.saturating_add(1);
        }
    }

    /// A call succeeded that left at `sent_at` and had cost this.
    pub(super) fn succeeded(&mut self, sent_at: ScheduleTime, cost: RetryCost) {
        self.budget.earn(cost);
        self.last_success_sent = self.last_success_sent.max(Some(sent_at));
        (self.failing_since, self.failures, self.unbounded_since) = (None, 0, None);
        let Some(open) = &self.open else { return };
        if sent_at >= open.since {
            self.budget.refill();
        }
        if self.budget.is_usable() {
            self.open = None;
        }
    }

    /// A call failed, and the server may be the cause. Returns the outage if the call was a probe.
    pub(super) fn failed(&mut self, now: ScheduleTime, id: RequestId, trouble: Trouble) -> Option<Outage> {
        self.trouble = trouble;
        self.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let open = self.open.as_mut().filter(|open| open.probing == Some(id))?;
        open.probe_interval = (open.probe_interval * 2).min(MAX_PROBE_INTERVAL);
        self.probe_is_over(now, id);
        self.outage(now)
    }

    /// A call failed that left at `sent_at`, and `max_attempts` does not bound such failures. No call is known to have
    /// succeeded since it left.
    pub(super) fn failed_unbounded(&mut self, sent_at: ScheduleTime) {
        let last_success = self.last_success_sent.unwrap_or(ScheduleTime::START);
        self.unbounded_since.get_or_insert(sent_at.max(last_success));
    }

    /// When no call will have succeeded for `patience`.
    pub(super) fn patience_ends_at(&self, patience: Option<Duration>) -> Option<ScheduleTime> {
        Some(self.unbounded_since? + patience?)
    }

    /// A request for which this was paid was withdrawn before any byte left.
    pub(super) fn not_sent(&mut self, now: ScheduleTime, id: RequestId, paid: RetryCost) {
        self.budget.refund(paid);
        self.probe_is_over(now, id);
    }

    /// No call was allowed between these moments, so this time is not part of an outage.
    pub(super) fn skip(&mut self, from: ScheduleTime, to: ScheduleTime) {
        for since in [&mut self.failing_since, &mut self.unbounded_since].into_iter().flatten() {
            *since += to.since(from.max(*since));
        }
    }

    /// A call ended that says nothing about the server's health.
    pub(super) fn probe_is_over(&mut self, now: ScheduleTime, id: RequestId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.probing == Some(id)) {
            open.probing = None;
            open.next_probe_at = now + open.probe_interval;
        }
    }

    /// The preparation of a probe has ended, and its change may be sent now.
    pub(super) fn probe_is_prepared(&mut self, now: ScheduleTime, id: RequestId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.probing == Some(id)) {
            open.probing = None;
            open.next_probe_at = now;
        }
    }

    /// Whether a call succeeded that left after this moment.
    pub(super) fn succeeded_after(&self, moment: ScheduleTime) -> bool {
        self.last_success_sent.is_some_and(|sent_at| sent_at > moment)
    }

    /// The outage while the breaker is open.
    pub(super) fn outage(&self, now: ScheduleTime) -> Option<Outage> {
        self.is_open().then(|| self.failures_as_outage(now))
    }

    /// The failures since the last success as an outage, whether the breaker is open or not.
    pub(super) fn failures_as_outage(&self, now: ScheduleTime) -> Outage {
        let failing = [self.unbounded_since, self.failing_since].into_iter().flatten().min();
        let since = failing.or(self.open.as_ref().map(|open| open.since)).unwrap_or(now);
        let probes = self.open.as_ref().map_or(0, |open| open.probes);
        Outage { lasts: now.since(since), probes, trouble: self.trouble.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::response::verdict::{ServerHealth, Wait};

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> ScheduleTime {
        ScheduleTime::START + seconds * SECOND
    }

    fn trouble() -> Trouble {
        Trouble::Failing("code 70500: x".to_owned())
    }

    fn cost() -> RetryCost {
        RetryCost::of(&ServerHealth::Failing(trouble()), Wait::Backoff, 1, 1)
    }

    /// A breaker that opened after 10 s in which all calls failed.
    fn open() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        assert_eq!(breaker.failed(at(1), RequestId::new(1), trouble()), None);
        while breaker.pay(at(10), cost()) {}
        breaker
    }

    #[test]
    fn probes_are_sent_one_at_a_time_after_1_2_4_and_then_5_seconds() {
        let (mut breaker, mut outage) = (open(), None);
        let mut now = at(10);
        for gap in [1, 2, 4, 5, 5, 5] {
            assert_eq!(breaker.next_probe_at(), Some(now + gap * SECOND));
            let before = now + (gap * SECOND).saturating_sub(Duration::from_millis(1));
            now += gap * SECOND;
            assert!(!breaker.may_probe(before) && breaker.may_probe(now));
            breaker.probe(RequestId::new(7));
            assert!(!breaker.may_probe(now + 100 * SECOND) && breaker.next_probe_at().is_none());
            assert_eq!(breaker.failed(now, RequestId::new(6), trouble()), None);
            assert!(!breaker.may_probe(now + 100 * SECOND), "another call has ended, the probe has not");
            outage = breaker.failed(now, RequestId::new(7), trouble());
        }
        let outage = outage.expect("the breaker is open");
        assert_eq!((outage.lasts, outage.probes), (31 * SECOND, 6), "calls failed before the breaker opened");
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_with_the_bucket_at_half() {
        let mut breaker = open();
        breaker.probe(RequestId::new(7));
        breaker.succeeded(at(11), RetryCost::FREE);
        assert!(!breaker.is_open());
        assert_eq!((0..100).filter(|_| breaker.pay(at(12), cost())).count(), 17);
        assert!(breaker.is_open());
    }

    #[test]
    fn calls_that_left_before_close_it_once_they_have_earned_a_repetition() {
        let mut breaker = open();
        breaker.succeeded(at(9), RetryCost::FREE);
        assert!(breaker.is_open(), "one success does not earn a repetition");
        breaker.succeeded(at(9), cost());
        assert!(!breaker.is_open());
        assert!(breaker.pay(at(12), cost()));
        assert!(!breaker.pay(at(12), cost()), "only what was earned");
        assert_eq!(breaker.failed(at(20), RequestId::new(3), trouble()), None);
        assert_eq!(breaker.outage(at(25)).map(|outage| outage.lasts), Some(5 * SECOND), "a call succeeded in between");
    }

    #[test]
    fn no_new_request_is_sent_when_no_call_has_succeeded_for_a_while() {
        let allows_new = |failures, after: Duration, patience| {
            let mut breaker = CircuitBreaker::default();
            (0..failures).for_each(|id| drop(breaker.failed(at(1), RequestId::new(id), trouble())));
            let allowed = breaker.allows_new(at(1) + after, patience);
            assert_eq!(allowed, !breaker.is_open());
            allowed
        };
        assert!(allows_new(5, 9 * SECOND, None));
        assert!(!allows_new(5, 10 * SECOND, None));
        assert!(allows_new(4, 100 * SECOND, None), "a single slow call");
        assert!(!allows_new(5, 3 * SECOND, Some(3 * SECOND)));
        assert!(allows_new(5, 9 * SECOND, Some(30 * SECOND)));
        let mut breaker = CircuitBreaker::default();
        (0..9).for_each(|id| drop(breaker.failed(at(1), RequestId::new(id), trouble())));
        breaker.succeeded(at(2), RetryCost::FREE);
        (0..4).for_each(|id| drop(breaker.failed(at(20), RequestId::new(id), trouble())));
        assert!(breaker.allows_new(at(40), None), "a call succeeded in between");
    }

    #[test]
    fn a_withdrawn_request_gives_back_its_cost_and_is_no_probe_any_more() {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..100 {
            assert!(breaker.pay(at(1), cost()));
            breaker.not_sent(at(1), RequestId::new(7), cost());
        }
        let mut breaker = open();
        breaker.probe(RequestId::new(7));
        breaker.not_sent(at(12), RequestId::new(7), RetryCost::FREE);
        assert_eq!(breaker.next_probe_at(), Some(at(13)));
    }

    #[test]
    fn a_probe_that_says_nothing_about_the_server_is_followed_by_another() {
        let mut breaker = open();
        breaker.probe(RequestId::new(7));
        breaker.probe_is_over(at(12), RequestId::new(7));
        assert_eq!(breaker.next_probe_at(), Some(at(13)));
    }
}
