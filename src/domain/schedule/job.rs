//! What a schedule keeps of each job.

use std::collections::VecDeque;
use std::time::Duration;

use super::canary::Canary;
use super::event::{JobNo, JobPlan, StopReason};
use crate::domain::guard::Signs;
use crate::domain::ids::RequestId;
use crate::domain::request::Request;
use crate::domain::response::outcome::{Count, Outcome};

/// For how long requests of a job are made ready beyond those whose bytes have left: long enough that a group commit of
/// intents, which takes some ms, never lets a free slot go by, and short enough that a kill leaves few intents of
/// which no byte left.
const RUNWAY: Duration = Duration::from_millis(200);
/// The fewest and the most of them.
const RUNWAY_BOUNDS: (usize, usize) = (2, 64);
/// Others set out once this part of the runway, a quarter, is free: a commit then holds the intents of so many, in place of one each
/// time that a call leaves.
const REFILL: usize = 4;
/// Fetch more while fewer requests are ready to go than are sent in so much time. Those that wait for their keys don't count: many
/// busy accounts must not keep out what has nothing to do with them. Nor should more be looked at than is needed, since the more there
/// are in memory, the more of them wait for each other.
const AHEAD: Duration = Duration::from_millis(300);
/// The fewest and the most of them.
const LOW_WATER_BOUNDS: (usize, usize) = (32, 256);
/// The most requests of a job in memory, those that back off included.
const MOST_REQUESTS: usize = 8_192;
/// The most items of a job in memory: at some 70 bytes an item about 28 MiB.
const MOST_ITEMS: usize = 400_000;

/// A job among those that run together.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) plan: JobPlan,
    runway: usize,
    low_water: usize,
    /// Requests that hold their keys and wait for their turn.
    pub(super) ready: VecDeque<RequestId>,
    /// Those of them that were not sent before.
    untried: usize,
    /// The last request that was fetched.
    pub(super) cursor: RequestId,
    pub(super) source: Source,
    /// Requests parked or on their way back.
    pub(super) parked: usize,
    /// Between `Intend` and `Sent`.
    pub(super) leaving: usize,
    /// Between `Sent` and `Recorded`.
    pub(super) in_flight: usize,
    /// Requests in memory of which nothing was heard yet.
    pub(super) fresh: usize,
    requests: usize,
    items: usize,
    pub(super) canary: Canary,
    /// What became of the items of this session.
    signs: Signs,
}

/// Where a job's pending requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Idle,
    Fetching,
    Exhausted,
}

impl JobState {
    pub(super) fn new(plan: JobPlan) -> Self {
        let calls = |time: Duration, (fewest, most)| {
            let calls = u128::from(plan.calls_per_second.get()) * time.as_millis() / 1000;
            usize::try_from(calls).unwrap_or(most).clamp(fewest, most)
        };
        let runway = calls(RUNWAY, RUNWAY_BOUNDS);
        let low_water = calls(AHEAD, LOW_WATER_BOUNDS);
        let earlier = Signs::of(&plan.tally);
        // An earlier session had as many outcomes, and they were no reason to stop.
        let has_passed = earlier.ended >= plan.canary && !plan.stop.is_canary_dead(earlier, plan.max_already_done);
        let canary = Canary::new(if has_passed { 0 } else { plan.canary });
        Self {
            plan,
            runway,
            low_water,
            ready: VecDeque::new(),
            untried: 0,
            cursor: RequestId::BEFORE_FIRST,
            source: Source::Idle,
            parked: 0,
            leaving: 0,
            in_flight: 0,
            fresh: 0,
            requests: 0,
            items: 0,
            canary,
            signs: Signs::default(),
        }
    }

    /// A request has come into memory.
    pub(super) fn took(&mut self, request: &Request) {
        self.requests += 1;
        self.items += request.items.len();
    }

    /// A request has left memory, with so many items.
    pub(super) fn dropped(&mut self, items: usize) {
        self.requests -= 1;
        self.items -= items;
    }

    /// A request holds its keys.
    pub(super) fn becomes_ready(&mut self, id: RequestId, untried: bool) {
        self.ready.push_back(id);
        self.untried += usize::from(untried);
    }

    /// A request sets out.
    pub(super) fn sets_out(&mut self, untried: bool) {
        self.untried -= usize::from(untried);
        self.leaving += 1;
    }

    /// Whether nothing is left to send.
    pub(super) fn is_over(&self) -> bool {
        self.source == Source::Exhausted && self.is_empty() && !self.canary.holds_any()
    }

    fn is_empty(&self) -> bool {
        self.requests == 0 && self.parked == 0
    }

    /// Whether all that may be sent now was sent and answered before.
    pub(super) fn is_dry(&self) -> bool {
        let nothing_comes = self.source == Source::Exhausted || self.canary.holds_any();
        nothing_comes && self.fresh == 0 && self.parked == 0
    }

    /// However many are ready: if all of them failed before, none can tell whether the server works.
    pub(super) fn wants_more(&self) -> bool {
        self.source == Source::Idle
            && !self.canary.holds_any()
            && self.requests < MOST_REQUESTS
            && self.items < MOST_ITEMS
            && (self.ready.len() < self.low_water || self.untried == 0)
    }

    /// Whether so much of the runway is free that filling it up is worth a commit.
    pub(super) fn is_due(&self) -> bool {
        !self.ready.is_empty() && self.leaving <= self.runway - self.runway / REFILL
    }

    /// Whether another request may set out.
    pub(super) fn has_room(&self) -> bool {
        self.leaving < self.runway && !self.is_at_full_width()
    }

    /// Whether as many are in flight, or about to be, as may be.
    pub(super) fn is_at_full_width(&self) -> bool {
        self.plan.max_in_flight.is_some_and(|width| self.leaving + self.in_flight >= width)
    }

    /// Counts items that ended.
    pub(super) fn count(&mut self, outcome: Outcome, items: Count, rows: Count) {
        self.plan.tally.finish(outcome, rows);
        self.signs.count(outcome, items);
    }

    /// Why the run must halt, by what became of the items so far.
    pub(super) fn alarm(&self, job: JobNo) -> Option<StopReason> {
        let JobPlan { stop, max_already_done, .. } = &self.plan;
        let Signs { ended, failed, already_done } = self.signs;
        if stop.is_blown(self.signs) {
            return Some(StopReason::Fuse { job, failed, ended });
        }
        if self.canary_is_decided() && stop.is_canary_dead(self.signs, *max_already_done) {
            return Some(StopReason::Canary { job, failed, already_done, ended });
        }
        let idle = stop.is_idle(self.signs, *max_already_done);
        idle.then_some(StopReason::AlreadyDone { job, already_done, ended })
    }

    /// Whether each item of the canary has its outcome.
    pub(super) fn canary_is_decided(&self) -> bool {
        self.canary.is_full() && self.is_empty()
    }
}
