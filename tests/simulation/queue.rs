//! A model of the queue that contains only durable state. Its handling of settlements follows the documentation of the
//! real queue, not its code.

use std::collections::BTreeMap;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{Doubt, Item, Purpose, Request};
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::{EndedItems, Settlement};
use imbulk::domain::response::tally::Tally;

use crate::scenario::Job;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Sending,
    Settled,
}

#[derive(Debug, Clone)]
pub(crate) struct StoredRequest {
    pub(crate) job: usize,
    pub(crate) state: State,
    pub(crate) request: Request,
    /// Whether its last intent is for a call that only reads.
    pub(crate) reads: bool,
}

/// A change that is durable, and the outcomes that it stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) changed: Changed,
    /// The job and the request of a settlement, with the items that have their outcome.
    pub(crate) ended: Option<(usize, RequestId, Vec<EndedItems>)>,
}

impl From<Changed> for Stored {
    fn from(changed: Changed) -> Self {
        Self { changed, ended: None }
    }
}

/// A change that the real queue would refuse.
pub(crate) type Refused = String;

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) requests: BTreeMap<RequestId, StoredRequest>,
    pub(crate) tallies: Vec<Tally>,
    next: RequestId,
}

impl Queue {
    pub(crate) fn new(jobs: &[Job]) -> Self {
        let mut requests = BTreeMap::new();
        let mut tallies = Vec::new();
        for (job, Job { requests: loaded, .. }) in jobs.iter().enumerate() {
            let rows = loaded.iter().map(Request::row_count).sum();
            tallies.push([(Outcome::Pending, rows)].into_iter().collect());
            let stored = |request: &Request| StoredRequest {
                job,
                state: State::Pending,
                request: request.clone(),
                reads: false,
            };
            requests.extend(loaded.iter().map(|request| (request.id, stored(request))));
        }
        let next = requests.last_key_value().map_or(RequestId::BEFORE_FIRST, |(id, _)| *id).next();
        Self { requests, tallies, next }
    }

    pub(crate) fn last(&self) -> RequestId {
        self.next.previous()
    }

    /// The items of a job that have their outcome.
    pub(crate) fn ended_items(&self, job: usize) -> u64 {
        let settled = self.requests.values().filter(|stored| stored.job == job && stored.state == State::Settled);
        settled.map(|stored| stored.request.items.len() as u64).sum()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.requests.values().all(|stored| stored.state == State::Settled)
    }

    pub(crate) fn page(&self, job: usize, after: RequestId, last: RequestId, limit: u32) -> Vec<Request> {
        let later = self.requests.range(after.next()..=last.max(after.next())).map(|(_, stored)| stored);
        let pending = later.filter(|stored| stored.job == job && stored.state == State::Pending);
        let pending = pending.filter(|stored| stored.request.id <= last);
        pending.take(limit as usize).map(|stored| stored.request.clone()).collect()
    }

    /// The requests that were being sent when the runner was killed. They are still `sending`, and in doubt from now on
    /// unless their call only reads.
    pub(crate) fn recover(&mut self) -> Vec<StoredRequest> {
        let sending = self.requests.values_mut().filter(|stored| stored.state == State::Sending);
        sending
            .map(|stored| {
                if !stored.reads {
                    stored.request.doubt = Doubt::EffectUnknown;
                }
                stored.clone()
            })
            .collect()
    }

    pub(crate) fn write(&mut self, change: Change) -> Result<Stored, Refused> {
        let changed = match change {
            Change::Intend(ids) => self.intend(ids, false)?,
            Change::IntendToRead(ids) => self.intend(ids, true)?,
            Change::Withdraw(id) => {
                self.step(id, State::Sending, State::Pending)?.request.calls -= 1;
                Changed::Withdrawn(id)
            }
            Change::Reopen(id) => {
                self.step(id, State::Sending, State::Pending)?;
                Changed::Reopened(id)
            }
            Change::Record { settlement, .. } => return self.record(settlement),
            Change::StoreBackup(_) => return Err("the recorder alone stores parts of backups".to_owned()),
            Change::StoreHeartbeat { .. }
            | Change::StoreTimeSeries { .. }
            | Change::StoreEnd { .. }
            | Change::Control(_) => {
                return Err("no change of the schedule".to_owned());
            }
        };
        Ok(changed.into())
    }

    fn intend(&mut self, ids: Vec<RequestId>, reads: bool) -> Result<Changed, Refused> {
        for id in &ids {
            let stored = self.step(*id, State::Pending, State::Sending)?;
            stored.request.calls += 1;
            stored.reads = reads;
        }
        Ok(Changed::Intended(ids))
    }

    fn step(&mut self, id: RequestId, from: State, to: State) -> Result<&mut StoredRequest, Refused> {
        let stored = self.requests.get_mut(&id).ok_or_else(|| format!("there is no request {id}"))?;
        if stored.state != from {
            return Err(format!("request {id} is {:?}, not {from:?}", stored.state));
        }
        stored.state = to;
        Ok(stored)
    }

    fn record(&mut self, settlement: Settlement) -> Result<Stored, Refused> {
        let Settlement { request: id, calls, ended, mut follow_ups, .. } = settlement;
        let stored = self.step(id, State::Sending, State::Settled)?;
        let job = stored.job;
        if calls > stored.request.calls {
            return Err(format!("request {id} had {} calls, its settlement {calls}", stored.request.calls));
        }
        let before = rows(&stored.request.items);
        let items = ended
            .iter()
            .flat_map(|ended| &ended.items)
            .chain(follow_ups.iter().flat_map(|follow_up| &follow_up.request.items));
        let after = rows(items);
        if before != after {
            return Err(format!("request {id} had rows {before:?}, its settlement {after:?}"));
        }
        for ended in &ended {
            self.tallies[job].finish(ended.result.outcome, ended.row_count());
        }
        let mut keeps_number = ended.is_empty();
        for follow_up in &mut follow_ups {
            if !std::mem::take(&mut keeps_number) {
                follow_up.request.id = self.next.take();
            }
            let purpose = durable(&follow_up.request.purpose);
            let request = Request { calls, purpose, ..follow_up.request.clone() };
            self.requests
                .insert(follow_up.request.id, StoredRequest { job, state: State::Pending, request, reads: false });
        }
        let changed = Changed::Recorded { request: id, follow_ups };
        Ok(Stored { changed, ended: Some((job, id, ended)) })
    }
}

/// A preparation is not stored: what it has shown does not count in the next session.
fn durable(purpose: &Purpose) -> Purpose {
    match purpose {
        Purpose::Prepare(_) | Purpose::Backup(_) => Purpose::Change,
        other => other.clone(),
    }
}

fn rows<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<RowNo> {
    let mut rows: Vec<RowNo> = items.into_iter().flat_map(Item::rows).collect();
    rows.sort_unstable();
    rows
}
