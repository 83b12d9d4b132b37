//! Bounds on durations: requests that are linked by shared accounts, directly or through other requests, wait for each
//! other. All other requests wait only for the rate limiter.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use imbulk::domain::ids::RequestId;
use imbulk::domain::job::Retry;
use imbulk::domain::request::AccountKey;
use imbulk::domain::response::settlement::FollowUp;
use imbulk::domain::schedule::delay;

use crate::queue::{Queue, State};
use crate::scenario::{MS, Scenario};

/// The group of linked requests of every request, and the time allowed for each group.
#[derive(Debug)]
pub(crate) struct Progress {
    group: HashMap<RequestId, usize>,
    /// The time allowed for the calls of each group, one after the other.
    allowed: HashMap<usize, Duration>,
    finished: HashMap<usize, Duration>,
    /// The time that all groups have to wait: for slots, throttling and outages.
    everyone: Duration,
    started: Duration,
    sent: HashMap<RequestId, Duration>,
    recovered: HashSet<RequestId>,
    /// The time that a call needs in addition to its slot and its network time: commits and the loop's lag.
    overhead: Duration,
    /// Whether groups have bounds. There are none if all requests may wait for all others.
    holds: bool,
}

impl Progress {
    pub(crate) fn of(queue: &Queue, scenario: &Scenario, now: Duration) -> Self {
        let (jobs, faults) = (&scenario.jobs, &scenario.faults);
        let mut groups = Groups::default();
        let holds = jobs.iter().all(|job| job.width.is_none() && job.canary == 0);
        let mut firsts: HashMap<AccountKey, RequestId> = HashMap::new();
        for (id, stored) in queue.requests.iter().filter(|(_, stored)| stored.state != State::Settled) {
            let job = &jobs[stored.job];
            for key in job.keys(&stored.request).as_slice() {
                let first = *firsts.entry(*key).or_insert(*id);
                groups.link(first, *id);
            }
        }
        let group = queue.requests.keys().map(|id| (*id, groups.of(*id))).collect();
        let pages = u32::try_from(queue.requests.len() / 200 + 2).expect("few pages");
        Self {
            group,
            allowed: HashMap::new(),
            finished: HashMap::new(),
            // The first commit, the first page, and the requests of a killed runner.
            everyone: (faults.read + faults.lag * 2) * pages + 4_000 * MS,
            started: now,
            sent: HashMap::new(),
            recovered: HashSet::new(),
            overhead: faults.commit * 4 + faults.lag * 6 + 2 * MS,
            holds,
        }
    }

    pub(crate) fn recovered(&mut self, request: RequestId) {
        self.recovered.insert(request);
    }

    pub(crate) fn was_recovered(&self, request: RequestId) -> bool {
        self.recovered.contains(&request)
    }

    pub(crate) fn sent(&mut self, request: RequestId, now: Duration, pause: Duration) {
        self.sent.insert(request, now);
        // A runway of 32 passes in the time of a commit or two.
        self.everyone += pause + self.overhead / 16;
    }

    pub(crate) fn everyone_waits(&mut self, time: Duration) {
        self.everyone += time;
    }

    pub(crate) fn waits_for(&mut self, request: RequestId, time: Duration) {
        *self.allowed.entry(self.group[&request]).or_default() += time;
    }

    pub(crate) fn recorded(&mut self, request: RequestId, follow_ups: &[FollowUp], retry: &Retry, now: Duration) {
        let group = self.group[&request];
        let result = self.sent.remove(&request).map_or(Duration::ZERO, |sent| now.saturating_sub(sent));
        let backoffs: Duration = follow_ups.iter().map(|follow_up| delay(retry, follow_up.request.charged, 1.0)).sum();
        *self.allowed.entry(group).or_default() += result + backoffs + self.overhead;
        self.finished.insert(group, now);
        self.group.extend(follow_ups.iter().map(|follow_up| (follow_up.request.id, group)));
    }

    /// Returns the number of groups that were checked, or describes a group that took too long.
    pub(crate) fn check(&self) -> Result<usize, String> {
        if !self.holds {
            return Ok(0);
        }
        for (group, finished) in &self.finished {
            let (took, may) = (finished.saturating_sub(self.started), self.everyone + self.allowed[group]);
            if took > may {
                return Err(format!("the group of request {group} took {took:?}, more than {may:?}"));
            }
        }
        Ok(self.finished.len())
    }
}

/// Disjoint sets (union-find).
#[derive(Debug, Default)]
struct Groups(HashMap<RequestId, RequestId>);

impl Groups {
    fn root(&self, mut id: RequestId) -> RequestId {
        while let Some(parent) = self.0.get(&id) {
            id = *parent;
        }
        id
    }

    fn link(&mut self, a: RequestId, b: RequestId) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }

    fn of(&self, id: RequestId) -> usize {
        usize::try_from(self.root(id).get()).expect("request numbers are positive")
    }
}
