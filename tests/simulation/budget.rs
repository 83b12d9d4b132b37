//! An independent model of the retry budget and of the times at which probes are allowed, written from decision 0007.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use imbulk::domain::ids::RequestId;
use imbulk::domain::response::settlement::FollowUp;
use imbulk::domain::response::verdict::Wait;

use crate::checks::Invariant;
use crate::server::CallHealth;

const BUCKET: u32 = 500;
const HALF: u32 = 250;
/// The fewest retries that half a bucket pays for.
const HALF_PAYS: usize = 17;
const PROBES_APART: Duration = Duration::from_secs(1);

/// The number of probes that were sent before an event and after it. None while the breaker is closed.
pub(crate) type Probes = (Option<u32>, Option<u32>);

type Breach = (Invariant, String);

#[derive(Debug, Clone, Copy)]
struct PreviousCall {
    cost: u32,
    left: Duration,
    /// A call that was sent later succeeded, so the request itself is the cause of the failure.
    own: bool,
    charged: bool,
}

/// A call whose result is not on disk yet.
#[derive(Debug, Clone, Copy)]
struct UnrecordedCall {
    health: CallHealth,
    items: usize,
    left: Duration,
    own: bool,
    /// What it cost, and the preparations before it.
    paid: u32,
    /// It was a preparation, and whether it was the probe.
    prepares: Option<bool>,
}

/// The retry budget and the circuit breaker of one app in one session.
#[derive(Debug)]
pub(crate) struct RetryBudgetModel {
    tokens: u32,
    previous_calls: HashMap<RequestId, PreviousCall>,
    /// Calls whose results are not on disk yet.
    unrecorded: HashMap<RequestId, UnrecordedCall>,
    paid: HashMap<RequestId, u32>,
    /// What the preparations of a request cost, until its change is answered.
    prepaid: HashMap<RequestId, u32>,
    left: HashMap<RequestId, Duration>,
    /// Requests without an answer in this session, with their jobs.
    unanswered: HashMap<RequestId, usize>,
    /// Requests that an earlier runner sent, until its calls are over.
    quarantine: HashSet<RequestId>,
    /// Jobs whose last page has not been read yet.
    unread: HashSet<usize>,
    /// For each job whose canary delays other requests: the requests of the canary. The others cannot be sent now.
    canaries: Vec<Option<HashSet<RequestId>>>,
    exempt: HashSet<RequestId>,
    worked: Option<Duration>,
    open_since: Option<Duration>,
    probe: Option<RequestId>,
    probe_over: Duration,
    /// The preparation of the last probe was answered by this event, so a request that is prepared is the next probe.
    probe_is_prepared: bool,
    /// Requests of which a preparation was answered, until their next call.
    prepared: HashSet<RequestId>,
    recovered: bool,
    /// Requests that the current event released, without probes and without requests that ignore the breaker.
    usual: usize,
}

fn retry_cost(call: UnrecordedCall, wait: Wait, items: usize) -> u32 {
    let share = |cost: usize| u32::try_from((cost * items).div_ceil(call.items)).expect("few");
    match (call.health, wait) {
        (CallHealth::Worked | CallHealth::NotAsked, Wait::None) | (_, Wait::Leased) => 0,
        (CallHealth::Worked | CallHealth::NotAsked, Wait::Backoff) => share(14),
        (CallHealth::Worked | CallHealth::NotAsked, Wait::Alone) => share(5),
        (CallHealth::Failed(cost), _) => cost,
        (CallHealth::Unreachable, _) | (CallHealth::FailedBySome, Wait::Backoff) => 14,
        (CallHealth::FailedBySome, Wait::None | Wait::Alone) => 5,
    }
}

fn is_probe((before, after): Probes) -> bool {
    before.is_some_and(|before| after == Some(before + 1))
}

impl RetryBudgetModel {
    /// `unread`: the jobs of the app. `unanswered`: their requests.
    pub(crate) fn new(
        unread: HashSet<usize>,
        unanswered: HashMap<RequestId, usize>,
        quarantine: HashSet<RequestId>,
    ) -> Self {
        Self {
            tokens: BUCKET,
            previous_calls: HashMap::new(),
            unrecorded: HashMap::new(),
            paid: HashMap::new(),
            prepaid: HashMap::new(),
            left: HashMap::new(),
            unanswered,
            quarantine,
            unread,
            canaries: Vec::new(),
            exempt: HashSet::new(),
            worked: None,
            open_since: None,
            probe: None,
            probe_over: Duration::ZERO,
            probe_is_prepared: false,
            prepared: HashSet::new(),
            recovered: false,
            usual: 0,
        }
    }

    /// Checks requests that the schedule released for sending.
    pub(crate) fn intend(&mut self, ids: &[RequestId], probes: Probes, now: Duration) -> Result<(), Breach> {
        if !is_probe(probes) {
            return ids.iter().try_for_each(|id| self.pay(*id));
        }
        let since = self.open_since.unwrap_or(now).max(self.probe_over);
        let (probe, others) = ids.split_last().expect("there is a probe");
        let is_prepared = self.prepared.remove(probe);
        if std::mem::take(&mut self.probe_is_prepared) && !is_prepared {
            return Err((Invariant::ProbesAreApart, format!("{probe} is not the request that is prepared")));
        }
        if let Some(other) = self.probe.or_else(|| others.iter().find(|id| !self.is_exempt(**id)).copied()) {
            return Err((Invariant::ProbesAreApart, format!("{ids:?} together with {other}")));
        }
        others.iter().try_for_each(|id| self.pay(*id))?;
        if now < since + PROBES_APART {
            return Err((
                Invariant::ProbesAreApart,
                format!("{ids:?} {:?} after the last one", now.saturating_sub(since)),
            ));
        }
        self.probe = Some(*probe);
        self.exempt.remove(probe);
        self.paid.insert(*probe, 0);
        Ok(())
    }

    fn pay(&mut self, id: RequestId) -> Result<(), Breach> {
        self.prepared.remove(&id);
        let exempt = self.is_exempt(id);
        let cost = if exempt { 0 } else { self.previous_calls.get(&id).map_or(0, |previous| previous.cost) };
        if exempt {
            self.exempt.insert(id);
        } else {
            self.exempt.remove(&id);
            self.usual += 1;
        }
        self.paid.insert(id, cost);
        self.tokens = self.tokens.checked_sub(cost).ok_or_else(|| {
            (
                Invariant::RepetitionsArePaid,
                format!("request {id} is sent again at a cost of {cost}, and {} tokens are left", self.tokens),
            )
        })?;
        Ok(())
    }

    /// Whether no new request is left and this request is itself the cause of its failures. Then only `max_attempts`
    /// limits it.
    fn is_exempt(&self, id: RequestId) -> bool {
        let alone = |previous: &PreviousCall| previous.charged && self.is_own(previous);
        let canary = |job: &usize| self.canaries.get(*job).and_then(Option::as_ref);
        let is_held = |(id, job): (&RequestId, &usize)| canary(job).is_some_and(|canary| !canary.contains(id));
        let holds = |job: &usize| canary(job).is_some();
        let dry = self.unanswered.iter().all(is_held) && self.unread.iter().all(holds) && self.quarantine.is_empty();
        dry && self.previous_calls.get(&id).is_some_and(alone)
    }

    fn is_own(&self, previous: &PreviousCall) -> bool {
        previous.own || self.worked.is_some_and(|worked| worked > previous.left)
    }

    /// Whether an attempt counts even while nothing works.
    pub(crate) fn counts_anyway(&self, id: RequestId) -> bool {
        self.exempt.contains(&id)
    }

    /// A job has no more pages.
    pub(crate) fn read_all(&mut self, job: usize) {
        self.unread.remove(&job);
    }

    /// Sets the canary of each job whose canary delays other requests.
    pub(crate) fn set_canaries(&mut self, canaries: Vec<Option<HashSet<RequestId>>>) {
        self.canaries = canaries;
    }

    /// The call of an earlier runner for this request is over.
    pub(crate) fn reopened(&mut self, id: RequestId) {
        self.quarantine.remove(&id);
    }

    /// A job stops: of its requests, only those that are under way are left.
    pub(crate) fn stopped(&mut self, job: usize) {
        self.unread.remove(&job);
        let paid = &self.paid;
        self.unanswered.retain(|id, of| *of != job || paid.contains_key(id));
    }

    /// The job of the last probe is paused or stops, so another one may send the next probe.
    pub(crate) fn may_probe_others(&mut self) {
        self.probe_is_prepared = false;
    }

    /// The request was not sent, because its job was paused or stops.
    pub(crate) fn withdrawn(&mut self, id: RequestId, now: Duration) {
        self.tokens = (self.tokens + self.paid.remove(&id).unwrap_or(0)).min(BUCKET);
        if self.probe == Some(id) {
            (self.probe, self.probe_over) = (None, now);
        }
    }

    pub(crate) fn sent(&mut self, id: RequestId, now: Duration) {
        self.left.insert(id, now);
    }

    /// `prepares`: the call was a preparation, which does not show that changes work.
    pub(crate) fn replied(
        &mut self,
        id: RequestId,
        (health, prepares): (CallHealth, bool),
        items: usize,
        now: Duration,
    ) {
        self.unanswered.remove(&id);
        let left = self.left.remove(&id).unwrap_or(now);
        let paid = self.paid.remove(&id).unwrap_or(0) + self.prepaid.remove(&id).unwrap_or(0);
        let was_probe = self.probe == Some(id);
        if was_probe {
            (self.probe, self.probe_over) = (None, now);
        }
        let own = self.previous_calls.remove(&id).is_some_and(|previous| self.is_own(&previous));
        if health == CallHealth::Worked && !prepares {
            self.tokens = (self.tokens + paid + 1).min(BUCKET);
            self.worked = self.worked.max(Some(left));
            if self.open_since.is_some_and(|since| left >= since) {
                self.tokens = self.tokens.max(HALF);
                self.recovered = true;
            }
        }
        let prepares = prepares.then_some(was_probe);
        self.unrecorded.insert(id, UnrecordedCall { health, items, left, own, paid, prepares });
    }

    pub(crate) fn recorded(&mut self, id: RequestId, follow_ups: &[FollowUp]) {
        let Some(call) = self.unrecorded.remove(&id) else { return };
        self.probe_is_prepared = false;
        for FollowUp { request, wait, is_first } in follow_ups {
            let is_prepared = *wait == Wait::Leased;
            if is_prepared {
                self.prepared.insert(request.id);
                self.prepaid.insert(request.id, call.paid);
            }
            if is_prepared && call.prepares == Some(true) {
                // What follows the preparation of a probe is the next probe, at once.
                (self.probe_is_prepared, self.probe_over) = (true, Duration::ZERO);
            }
            let charged = *wait != Wait::None && !is_first;
            let previous = PreviousCall {
                cost: if *is_first { 0 } else { retry_cost(call, *wait, request.items.len()) },
                left: call.left,
                own: call.own || call.health == CallHealth::Worked && !is_prepared,
                charged,
            };
            self.previous_calls.insert(request.id, previous);
        }
    }

    /// Updates the model after an event. Returns how long the breaker was open if it closed.
    pub(crate) fn handled(&mut self, probes: Probes, now: Duration) -> Result<Option<Duration>, Breach> {
        let open = probes.1.is_some();
        let usual = std::mem::take(&mut self.usual);
        let was_open_since = self.open_since;
        if std::mem::take(&mut self.recovered) && open && usual < HALF_PAYS {
            return Err((Invariant::SendsAfterRecovery, "a probe succeeded, but no other request is sent".to_owned()));
        }
        // Requests other than probes show that the breaker was closed, at least during this event.
        let reopened = probes.1 == Some(0) && usual > 0;
        if open && (was_open_since.is_none() || reopened) {
            (self.open_since, self.probe, self.probe_over) = (Some(now), None, Duration::ZERO);
        } else if !open {
            self.open_since = None;
        }
        let over = was_open_since.filter(|_| self.open_since != was_open_since);
        Ok(over.map(|since| now.saturating_sub(since)))
    }

    pub(crate) fn open_since(&self) -> Option<Duration> {
        self.open_since
    }
}
