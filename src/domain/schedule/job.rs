//! What the schedule keeps of each job.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use super::canary::Canary;
use super::scheduled_job::{JobNo, ScheduledJob};
use super::stage::{Stage, StageCounts};
use super::stop::StopReason;
use crate::domain::guard::OutcomeCounts;
use crate::domain::ids::RequestId;
use crate::domain::request::Request;
use crate::domain::response::outcome::{Count, Outcome};

/// How much sending time the requests between intent and slot cover. It is long enough that a group commit of intents,
/// which takes some milliseconds, never leaves a slot unused. It is short enough that a kill leaves few intents of
/// requests that were not sent.
const SEND_AHEAD: Duration = Duration::from_millis(200);
/// The smallest and the largest number of these requests.
const SEND_AHEAD_BOUNDS: (usize, usize) = (2, 64);
/// The intents of further requests are stored once this fraction of their places (1/4) is free, so that one commit
/// holds many intents.
const SEND_AHEAD_REFILL_DIVISOR: usize = 4;
/// How much sending time the ready requests cover before more are fetched. Requests that wait for a lease do not count,
/// because busy accounts must not keep out unrelated requests. More are not fetched, because requests in memory make
/// each other wait.
const FETCH_AHEAD: Duration = Duration::from_millis(300);
/// The smallest and the largest number of these requests.
const FETCH_AHEAD_BOUNDS: (usize, usize) = (32, 256);
/// The maximum number of requests of a job in memory, including those that wait for a delay.
const MAX_REQUESTS: usize = 8_192;
/// The maximum number of items of a job in memory: at about 70 bytes per item, 28 MiB.
const MAX_ITEMS: usize = 400_000;

/// A job among those that run together.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) scheduled: ScheduledJob,
    pub(super) canary: Canary,
    send_ahead: usize,
    fetch_ahead: usize,
    /// The requests in [`Stage::Ready`], in the order in which they got their leases.
    ready: VecDeque<RequestId>,
    counts: StageCounts,
    /// The last request that was fetched.
    fetched_up_to: RequestId,
    source: FetchState,
    /// The outcomes of this session, for the guards.
    outcomes: OutcomeCounts,
    /// The outcomes with which the fuse came close.
    close_fuse: Option<OutcomeCounts>,
    is_paused: bool,
    stop: Option<StopReason>,
}

/// Whether the queue has more pending requests of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FetchState {
    /// It may have more.
    Idle,
    /// A page is being read.
    Fetching,
    /// It has no more.
    Exhausted,
}

impl JobState {
    pub(super) fn new(scheduled: ScheduledJob) -> Self {
        let earlier = OutcomeCounts::of(&scheduled.tally);
        // The canary passed if earlier sessions sent as many items to their end and were not halted by their outcomes.
        // Items that were left out have ended as well, but there are no more items than rows.
        let has_passed = scheduled.ended_items.min(earlier.ended) >= scheduled.canary
            && !scheduled.stop.fails_canary(earlier, scheduled.max_already_done);
        let canary = Canary::new(if has_passed { 0 } else { scheduled.canary });
        let rate = scheduled.calls_per_second;
        Self {
            scheduled,
            canary,
            send_ahead: calls_in(SEND_AHEAD, rate, SEND_AHEAD_BOUNDS),
            fetch_ahead: calls_in(FETCH_AHEAD, rate, FETCH_AHEAD_BOUNDS),
            ready: VecDeque::new(),
            counts: StageCounts::default(),
            fetched_up_to: RequestId::BEFORE_FIRST,
            source: FetchState::Idle,
            outcomes: OutcomeCounts::default(),
            close_fuse: None,
            is_paused: false,
            stop: None,
        }
    }

    /// Returns false if the job was paused already.
    pub(super) fn pause(&mut self) -> bool {
        !std::mem::replace(&mut self.is_paused, true)
    }

    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Why the job stops, if it does.
    pub(super) const fn stop(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Stops the job; the gravest reason counts. Returns whether it was not stopping before.
    pub(super) fn stop_for(&mut self, reason: StopReason) -> bool {
        let is_first = self.stop.is_none();
        self.stop = self.stop.take().max(Some(reason));
        is_first
    }

    /// Whether requests of the job may be sent: it is neither paused nor stopped.
    pub(super) const fn is_active(&self) -> bool {
        !self.is_paused && self.stop.is_none()
    }

    /// Drops the requests that have their lease and no intent, and those that the canary withholds. Returns the
    /// former.
    pub(super) fn take_all_ready(&mut self) -> VecDeque<RequestId> {
        self.canary.drop_withheld();
        std::mem::take(&mut self.ready)
    }

    pub(super) fn set_rate(&mut self, rate: NonZeroU32) {
        self.send_ahead = calls_in(SEND_AHEAD, rate, SEND_AHEAD_BOUNDS);
        self.fetch_ahead = calls_in(FETCH_AHEAD, rate, FETCH_AHEAD_BOUNDS);
    }

    /// Counts a request of `items` items that moves from one stage to another. `is_new`: it has had no answer yet.
    pub(super) fn moved(&mut self, from: Stage, to: Stage, items: usize, is_new: bool) {
        self.counts.moved(from, to, items, is_new);
    }

    pub(super) const fn counts(&self) -> &StageCounts {
        &self.counts
    }

    /// The request has its lease.
    pub(super) fn push_ready(&mut self, id: RequestId) {
        self.ready.push_back(id);
    }

    /// The request has its lease and goes before those from this place on.
    pub(super) fn insert_ready(&mut self, place: usize, id: RequestId) {
        self.ready.insert(place, id);
    }

    pub(super) const fn ready(&self) -> &VecDeque<RequestId> {
        &self.ready
    }

    pub(super) fn take_ready(&mut self, index: usize) -> Option<RequestId> {
        self.ready.remove(index)
    }

    /// If more requests are needed: the last one that was fetched.
    pub(super) fn begin_fetch(&mut self) -> Option<RequestId> {
        if !self.needs_more() {
            return None;
        }
        self.source = FetchState::Fetching;
        Some(self.fetched_up_to)
    }

    pub(super) fn fetched(&mut self, requests: &[Request], is_last: bool) {
        self.source = if is_last { FetchState::Exhausted } else { FetchState::Idle };
        self.fetched_up_to = requests.last().map_or(self.fetched_up_to, |request| request.id);
    }

    /// Requests that failed before cannot show whether the server works, so without any new one more are fetched.
    fn needs_more(&self) -> bool {
        self.source == FetchState::Idle
            && self.stop.is_none()
            && !self.canary.withholds_any()
            && (self.ready.len() < self.fetch_ahead || self.counts.new_and_ready() == 0)
            && self.counts.in_memory() < MAX_REQUESTS
            && self.counts.items_in_memory() < MAX_ITEMS
    }

    /// Whether the queue has no other pending requests.
    pub(super) fn is_exhausted(&self) -> bool {
        self.source == FetchState::Exhausted && !self.canary.withholds_any()
    }

    /// The outcomes of this session, for the guards.
    pub(super) const fn outcomes(&self) -> OutcomeCounts {
        self.outcomes
    }

    /// Whether nothing of the job is left to do in this session: every request has its outcome, or it stops and none is
    /// under way.
    pub(super) fn is_over(&self) -> bool {
        match self.stop {
            Some(_) => self.counts.under_way() == 0,
            None => self.is_exhausted() && self.counts.total() == 0,
        }
    }

    /// Whether jobs with a lower priority have to wait for this one: until the last of its new requests is sent, except
    /// those that wait for the lease of their accounts.
    ///
    /// Its repetitions do not delay them, because only new requests show whether the server works and so pay for
    /// repetitions. While its canary withholds requests, the others are fetched as well.
    pub(super) fn goes_first(&self) -> bool {
        self.is_active() && (self.may_get_more() || self.counts.new_and_not_sent() > 0)
    }

    /// Whether every request that may be sent now has had an answer. A recovered request has had none in this session.
    pub(super) fn has_no_new_requests(&self) -> bool {
        let unanswered = self.counts.new_requests() + self.counts.parked() + self.counts.requests(Stage::Recovered);
        !self.may_get_more() && unanswered == 0
    }

    /// Whether new requests may come from the queue without an event of another request.
    fn may_get_more(&self) -> bool {
        self.stop.is_none() && self.source != FetchState::Exhausted && !self.canary.withholds_any()
    }

    /// Whether enough places are free to make filling them worth a commit.
    pub(super) fn needs_intents(&self) -> bool {
        let full_enough = self.send_ahead - self.send_ahead / SEND_AHEAD_REFILL_DIVISOR;
        self.is_active() && !self.ready.is_empty() && self.counts.before_sent() <= full_enough
    }

    /// Whether the intent of another request may be stored.
    pub(super) fn may_send_more(&self) -> bool {
        self.is_active() && self.counts.before_sent() < self.send_ahead && !self.is_at_max_in_flight()
    }

    /// Whether `max_in_flight` requests are in flight or about to be.
    pub(super) fn is_at_max_in_flight(&self) -> bool {
        self.scheduled.max_in_flight.is_some_and(|max| self.counts.under_way() >= max)
    }

    /// Counts items that have their outcome.
    pub(super) fn count(&mut self, outcome: Outcome, items: Count, rows: Count) {
        self.scheduled.tally.finish(outcome, rows);
        self.outcomes.count(outcome, items);
        if self.close_fuse.is_none() && self.scheduled.stop.is_near_fuse(self.outcomes) {
            self.close_fuse = Some(self.outcomes);
        }
    }

    /// The outcomes with which the share of failed items came close to the fuse; none if it never did.
    pub(super) const fn close_fuse(&self) -> Option<OutcomeCounts> {
        self.close_fuse
    }

    /// The guard that halts the run because of the outcomes so far.
    pub(super) fn tripped_guard(&self, job: JobNo) -> Option<StopReason> {
        let ScheduledJob { stop, max_already_done, .. } = &self.scheduled;
        let OutcomeCounts { ended, failed, already_done } = self.outcomes;
        if stop.trips_fuse(self.outcomes) {
            return Some(StopReason::Fuse { job, failed, ended });
        }
        if self.canary_is_decided() && stop.fails_canary(self.outcomes, *max_already_done) {
            return Some(StopReason::Canary { job, failed, already_done, ended });
        }
        let already_done_trips = stop.trips_already_done(self.outcomes, *max_already_done);
        already_done_trips.then_some(StopReason::AlreadyDone { job, already_done, ended })
    }

    /// Whether every item of the canary has its outcome.
    pub(super) fn canary_is_decided(&self) -> bool {
        self.canary.is_decided(self.outcomes.ended)
    }
}

/// The number of calls that take this time at this rate, within these bounds.
fn calls_in(time: Duration, rate: NonZeroU32, (fewest, most): (usize, usize)) -> usize {
    let calls = u128::from(rate.get()) * time.as_millis() / 1000;
    usize::try_from(calls).unwrap_or(most).clamp(fewest, most)
}
