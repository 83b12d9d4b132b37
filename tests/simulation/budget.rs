//! The world's own account of what repetitions cost and of when the server may be probed, written from decision 0007.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use imbulk::domain::ids::RequestId;
use imbulk::domain::response::settlement::FollowUp;
use imbulk::domain::response::verdict::Wait;

use crate::checks::Invariant;
use crate::server::Nature;

const BUCKET: u32 = 500;
const HALF: u32 = 250;
/// The fewest requests that a bucket at half lets go.
const HALF_PAYS: usize = 17;
const PROBES_APART: Duration = Duration::from_secs(1);

/// How many probes were sent, while nothing else is: before an event, and after it.
pub(crate) type Probes = (Option<u32>, Option<u32>);

type Breach = (Invariant, String);

#[derive(Debug, Clone, Copy)]
struct Past {
    toll: u32,
    left: Duration,
    /// What left after it succeeded.
    own: bool,
    charged: bool,
}

/// An exchange: what it tells, of how many items, and what is known of the request.
#[derive(Debug, Clone, Copy)]
struct Heard {
    nature: Nature,
    items: usize,
    left: Duration,
    own: bool,
}

/// The account of one session.
#[derive(Debug)]
pub(crate) struct Account {
    tokens: u32,
    pasts: HashMap<RequestId, Past>,
    /// Exchanges that are not on disk yet.
    heard: HashMap<RequestId, Heard>,
    paid: HashMap<RequestId, u32>,
    left: HashMap<RequestId, Duration>,
    /// Requests of which nothing was heard in this session, with their jobs.
    unheard: HashMap<RequestId, usize>,
    /// Requests of other jobs that an earlier runner sent.
    foreign: HashSet<RequestId>,
    /// Jobs whose last page was not read yet.
    unread: HashSet<usize>,
    /// For each job whose canary holds others: the requests of the canary. None of the others is left to send now.
    canaries: Vec<Option<HashSet<RequestId>>>,
    exempt: HashSet<RequestId>,
    worked: Option<Duration>,
    open_since: Option<Duration>,
    probe: Option<RequestId>,
    probe_over: Duration,
    recovered: bool,
    /// Requests that set out at the event under way, and are no probes nor sent whatever the breaker says.
    usual: usize,
}

fn toll(heard: Heard, wait: Wait, items: usize) -> u32 {
    let share = |toll: usize| u32::try_from((toll * items).div_ceil(heard.items)).expect("few");
    match (heard.nature, wait) {
        (Nature::Worked | Nature::NotAsked, Wait::None) => 0,
        (Nature::Worked | Nature::NotAsked, Wait::Backoff) => share(14),
        (Nature::Worked | Nature::NotAsked, Wait::Alone) => share(5),
        (Nature::Failed(toll), _) => toll,
        (Nature::Unreachable, _) | (Nature::FailedBySome, Wait::Backoff) => 14,
        (Nature::FailedBySome, Wait::None | Wait::Alone) => 5,
    }
}

fn is_probe((before, after): Probes) -> bool {
    before.is_some_and(|before| after == Some(before + 1))
}

impl Account {
    pub(crate) fn new(jobs: usize, unheard: HashMap<RequestId, usize>, foreign: HashSet<RequestId>) -> Self {
        Self {
            tokens: BUCKET,
            pasts: HashMap::new(),
            heard: HashMap::new(),
            paid: HashMap::new(),
            left: HashMap::new(),
            unheard,
            foreign,
            unread: (0..jobs).collect(),
            canaries: Vec::new(),
            exempt: HashSet::new(),
            worked: None,
            open_since: None,
            probe: None,
            probe_over: Duration::ZERO,
            recovered: false,
            usual: 0,
        }
    }

    /// The schedule let these set out. It had sent so many `probes` before the event and after it.
    pub(crate) fn intend(&mut self, ids: &[RequestId], probes: Probes, now: Duration) -> Result<(), Breach> {
        if !is_probe(probes) {
            return ids.iter().try_for_each(|id| self.pay(*id));
        }
        let since = self.open_since.unwrap_or(now).max(self.probe_over);
        let (probe, others) = ids.split_last().expect("there is a probe");
        if let Some(other) = self.probe.or_else(|| others.iter().find(|id| !self.is_exempt(**id)).copied()) {
            return Err((Invariant::ProbesAreApart, format!("{ids:?} besides {other}")));
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
        let exempt = self.is_exempt(id);
        let toll = if exempt { 0 } else { self.pasts.get(&id).map_or(0, |past| past.toll) };
        if exempt {
            self.exempt.insert(id);
        } else {
            self.exempt.remove(&id);
            self.usual += 1;
        }
        self.paid.insert(id, toll);
        self.tokens = self.tokens.checked_sub(toll).ok_or_else(|| {
            (Invariant::RepetitionsArePaid, format!("request {id} goes out again for {toll}, {} are left", self.tokens))
        })?;
        Ok(())
    }

    /// Whether nothing new is left and this one fails by itself: then `max_attempts` is its only bound.
    fn is_exempt(&self, id: RequestId) -> bool {
        let alone = |past: &Past| past.charged && self.is_own(past);
        let canary = |job: &usize| self.canaries.get(*job).and_then(Option::as_ref);
        let is_held = |(id, job): (&RequestId, &usize)| canary(job).is_some_and(|canary| !canary.contains(id));
        let holds = |job: &usize| canary(job).is_some();
        let dry = self.unheard.iter().all(is_held) && self.unread.iter().all(holds) && self.foreign.is_empty();
        dry && self.pasts.get(&id).is_some_and(alone)
    }

    fn is_own(&self, past: &Past) -> bool {
        past.own || self.worked.is_some_and(|worked| worked > past.left)
    }

    /// Whether an attempt counts even while nothing works.
    pub(crate) fn counts_anyway(&self, id: RequestId) -> bool {
        self.exempt.contains(&id)
    }

    /// A job has no more pages.
    pub(crate) fn read_all(&mut self, job: usize) {
        self.unread.remove(&job);
    }

    /// The canary of each job that holds others.
    pub(crate) fn hold(&mut self, canaries: Vec<Option<HashSet<RequestId>>>) {
        self.canaries = canaries;
    }

    /// What an earlier runner sent of it is over.
    pub(crate) fn reopened(&mut self, id: RequestId) {
        self.foreign.remove(&id);
    }

    pub(crate) fn sent(&mut self, id: RequestId, now: Duration) {
        self.left.insert(id, now);
    }

    pub(crate) fn replied(&mut self, id: RequestId, nature: Nature, items: usize, now: Duration) {
        self.unheard.remove(&id);
        let left = self.left.remove(&id).unwrap_or(now);
        let paid = self.paid.remove(&id).unwrap_or(0);
        if self.probe == Some(id) {
            (self.probe, self.probe_over) = (None, now);
        }
        let own = self.pasts.remove(&id).is_some_and(|past| self.is_own(&past)) || nature == Nature::Worked;
        if nature == Nature::Worked {
            self.tokens = (self.tokens + paid + 1).min(BUCKET);
            self.worked = self.worked.max(Some(left));
            if self.open_since.is_some_and(|since| left >= since) {
                self.tokens = self.tokens.max(HALF);
                self.recovered = true;
            }
        }
        self.heard.insert(id, Heard { nature, items, left, own });
    }

    pub(crate) fn recorded(&mut self, id: RequestId, follow_ups: &[FollowUp]) {
        let Some(heard) = self.heard.remove(&id) else { return };
        for FollowUp { request, wait } in follow_ups {
            let charged = *wait != Wait::None;
            let past =
                Past { toll: toll(heard, *wait, request.items.len()), left: heard.left, own: heard.own, charged };
            self.pasts.insert(request.id, past);
        }
    }

    /// An event was handled. Returns for how long the breaker was open, where it closed.
    pub(crate) fn handled(&mut self, probes: Probes, now: Duration) -> Result<Option<Duration>, Breach> {
        let open = probes.1.is_some();
        let usual = std::mem::take(&mut self.usual);
        let was_open_since = self.open_since;
        if std::mem::take(&mut self.recovered) && open && usual < HALF_PAYS {
            return Err((Invariant::GoesOnAfterRecovery, "a probe succeeded, and nothing else sets out".to_owned()));
        }
        // What sets out and is no probe says that it was closed, if only within this event.
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
