//! The way of a request from its intent to its stored result.

use rand::RngExt;

use super::backoff::delay;
use super::leases::LeaseId;
use super::request_state::{Blame, Payment, PendingRecord, PreviousCall, RequestState};
use super::retry_budget::RetryCost;
use super::stage::Stage;
use super::time::{CHANGE_AFTER_BACKUP, CHANGE_AFTER_CHECK, QUARANTINE, ScheduleTime};
use super::timers::Timer;
use super::{Action, CallToSend, JobNo, Schedule};
use crate::domain::change::{Change, Changed};
use crate::domain::guard::is_failure;
use crate::domain::ids::RequestId;
use crate::domain::operation::Preparation;
use crate::domain::request::{CallKind, Purpose, Request};
use crate::domain::response::call_result::CallResult;
use crate::domain::response::lookup::{self, assess_call};
use crate::domain::response::outcome::{Count, Outcome};
use crate::domain::response::settlement::{FollowUp, Settlement};
use crate::domain::response::verdict::{CallContext, Charge, Charging, ServerActivity, ServerHealth, Wait};

impl Schedule {
    pub(super) fn changed(&mut self, now: ScheduleTime, changed: Changed, out: &mut Vec<Action>) {
        match changed {
            Changed::Intended(requests) => requests.into_iter().for_each(|id| self.intended(id, out)),
            Changed::Recorded { request, follow_ups } => self.recorded(now, request, follow_ups, out),
            Changed::Withdrawn(id) => self.withdrawn(now, id, out),
            Changed::Reopened(id) => self.reopened(id, out),
        }
    }

    fn intended(&mut self, id: RequestId, out: &mut Vec<Action>) {
        if !self.jobs[self.requests[&id].job].is_active() {
            return self.withdraw(id, Stage::Intending, out);
        }
        let (job, _) = self.advance(id, Stage::Intending, Stage::AwaitingSlot);
        let RequestState { request, not_after, .. } = &self.requests[&id];
        out.push(Action::Send(CallToSend {
            job,
            request: id,
            items: request.items.len(),
            number: request.calls,
            kind: request.purpose.call_kind(),
            body: lookup::body(self.jobs[job].scheduled.operation, request),
            not_after: *not_after,
        }));
    }

    pub(super) fn sent(&mut self, now: ScheduleTime, id: RequestId) {
        self.advance(id, Stage::AwaitingSlot, Stage::InFlight);
        self.requests.entry(id).and_modify(|state| state.sent_at = now);
    }

    pub(super) fn withdraw(&mut self, id: RequestId, from: Stage, out: &mut Vec<Action>) {
        self.advance(id, from, Stage::Withdrawing);
        out.push(Action::commit_now(Change::Withdraw(id)));
    }

    /// On disk the request is pending again. It was held back because its job is paused or stops, or because its
    /// preparation is too old.
    fn withdrawn(&mut self, now: ScheduleTime, id: RequestId, out: &mut Vec<Action>) {
        let RequestState { job, payment, .. } = self.requests[&id];
        self.breaker_of(job).not_sent(now, id, payment.cost());
        match self.jobs[job].stop() {
            Some(_) => self.unload(id, Stage::Withdrawing, out),
            None => self.ready_again(id),
        }
    }

    pub(super) fn replied(
        &mut self,
        now: ScheduleTime,
        id: RequestId,
        result: &CallResult,
        generation: u64,
        out: &mut Vec<Action>,
    ) {
        let (job, lease) = self.advance(id, Stage::InFlight, Stage::Recording);
        let state = self.requests.remove(&id).expect("the request is in memory");
        let RequestState { mut request, previous, payment, prepaid, sent_at, backed_up_at, .. } = state;
        if !result.was_sent() {
            request.calls -= 1;
        }
        let scheduled = &self.jobs[job].scheduled;
        let app = &self.apps[self.app_of(job)];
        // During an outage the items are not the cause of the failure.
        let charging = match payment {
            Payment::Paid(_) if app.breaker.is_open() => Charging::Off,
            Payment::Paid(_) | Payment::Exempt => Charging::UpTo(scheduled.retry.max_attempts.get()),
        };
        let (operation, run) = (scheduled.operation, scheduled.run);
        let new_usersig = app.usersig.new_one(generation);
        let context = CallContext { operation, preparations: scheduled.preparations, charging, new_usersig };
        let assessment = assess_call(&context, &request, result);
        let (items, kind) = (request.items.len(), request.purpose.call_kind());
        let settlement = Settlement::new(&operation, request, assessment.verdicts);
        let settlement = Settlement { lines: assessment.lines, ..settlement };
        let ended = settlement.ended_by_outcome();
        let (health, blame) = (assessment.health, previous.map_or(Blame::Server, |previous| self.blame(job, previous)));
        let paid = payment.cost().and(prepaid);
        // The change that follows a preparation shows more than the preparation.
        let is_prepared = settlement.follow_ups.iter().any(|next| next.wait == Wait::Leased);
        if !is_prepared {
            self.update_breaker(now, (job, id), &shown_of_changes(kind, &health), (sent_at, paid), out);
        }
        // `max_attempts` bounds a request that fails by itself, if its attempts count.
        let counts = charging != Charging::Off && settlement.follow_ups.iter().all(|next| next.wait != Wait::None);
        if matches!(health, ServerHealth::Failing(_)) && !(blame == Blame::Request && counts) {
            self.breaker_of(job).failed_unbounded(sent_at);
        }
        let urgent = self.is_urgent(job, lease, &settlement, &ended);
        let record = PendingRecord { job, lease, items, sent_at, backed_up_at, health, blame, paid, kind, ended };
        self.pending_records.insert(id, record);
        match assessment.activity {
            ServerActivity::Done => {
                out.push(Action::Commit { change: Change::Record { run, settlement }, urgent });
            }
            ServerActivity::MayBeWriting => {
                self.timers.start(now + QUARANTINE, Timer::Record(job, settlement));
            }
        }
        self.apply_notice((job, kind), generation, assessment.notice, out);
    }

    /// Whether something waits for this record: a request that needs its accounts or its place in `max_in_flight`, the
    /// fuse, the next attempt, or the end of the run if no other call is under way.
    fn is_urgent(
        &self,
        job: JobNo,
        lease: LeaseId,
        settlement: &Settlement,
        ended: &[(Outcome, Count, Count)],
    ) -> bool {
        let fuse_counts = ended.iter().any(|(outcome, ..)| is_failure(*outcome));
        let others_under_way = self.under_way() > self.pending_records.len() + 1;
        let awaited = !self.waiting.is_empty() && self.leases.is_awaited(lease);
        fuse_counts
            || !settlement.follow_ups.is_empty()
            || !others_under_way
            || awaited
            || self.jobs[job].is_at_max_in_flight()
            || self.jobs[job].stop().is_some()
    }

    fn recorded(&mut self, now: ScheduleTime, id: RequestId, follow_ups: Vec<FollowUp>, out: &mut Vec<Action>) {
        let record = self.pending_records.remove(&id).expect("a settlement is recorded once");
        let job = &mut self.jobs[record.job];
        job.moved(Stage::Recording, Stage::Stored, record.items, false);
        record.ended.iter().for_each(|(outcome, items, rows)| job.count(*outcome, *items, *rows));
        let left_out = record.ended.iter().filter(|(outcome, ..)| *outcome == Outcome::Protected);
        let replacements = job.canary.leave_out(left_out.map(|(_, items, _)| items).sum());
        replacements.into_iter().for_each(|request| self.admit(record.job, request));
        let (prepared, others): (Vec<FollowUp>, Vec<FollowUp>) =
            follow_ups.into_iter().partition(|next| next.wait == Wait::Leased);
        // A preparation that is made again keeps the lease, so that what was read before it stays true.
        let prepares_again = prepared.is_empty() && is_same_preparation(&record, &others);
        let keeps_lease = prepares_again && self.jobs[record.job].stop().is_none();
        let leased_until = self.send_again(now, &record, keeps_lease, others);
        match self.jobs[record.job].tripped_guard(record.job) {
            Some(reason) => self.stop(vec![record.job], &reason, out),
            None => self.pass_canary(record.job),
        }
        let is_stopped = self.jobs[record.job].stop().is_some();
        let mut prepared = prepared.into_iter();
        let next = prepared.next();
        assert!(prepared.next().is_none(), "a preparation allows one call");
        if let Some(next) = next.filter(|_| !is_stopped) {
            return self.go_on(now, id, &record, next.request);
        }
        self.breaker_of(record.job).probe_is_over(now, id);
        if keeps_lease {
            return;
        }
        if leased_until > now {
            self.timers.start(leased_until, Timer::Release(record.lease));
        } else {
            self.release(record.lease, out);
        }
    }

    /// The preparation of a request allows the next call, which keeps the lease. The preparation is no attempt and
    /// shows nothing about changes, so the cause of earlier failures stays as it was known. What the repetition cost
    /// comes back only if the change succeeds.
    fn go_on(&mut self, now: ScheduleTime, prepared: RequestId, record: &PendingRecord, request: Request) {
        let PendingRecord { job, lease, sent_at, blame, paid, kind, .. } = *record;
        let is_online_check = kind == CallKind::Preparation(Preparation::OnlineCheck);
        // The calls of a backup follow each other: the last one before another kind of call completes it.
        let is_read = matches!(request.purpose, Purpose::Backup(_));
        let backed_up_at = if is_online_check { record.backed_up_at } else { (!is_read).then_some(sent_at) };
        let check_ends = is_online_check.then(|| sent_at + CHANGE_AFTER_CHECK);
        let backup_ends = backed_up_at.map(|at| at + CHANGE_AFTER_BACKUP);
        let is_change = request.purpose == Purpose::Change;
        let not_after = check_ends.into_iter().chain(backup_ends).min().filter(|_| is_change);
        let previous = Some(PreviousCall { cost: RetryCost::FREE, sent_at, charge: Charge::Free, blame });
        self.jobs[job].moved(Stage::Stored, Stage::Ready, request.items.len(), false);
        let (id, payment) = (request.id, Payment::Paid(RetryCost::FREE));
        let state = RequestState {
            job,
            lease,
            request,
            stage: Stage::Ready,
            previous,
            payment,
            prepaid: paid,
            not_after,
            follows_preparation: true,
            backed_up_at,
            sent_at: ScheduleTime::START,
        };
        let earlier = self.requests.insert(id, state);
        assert!(earlier.is_none(), "a request is in memory once");
        // A preparation is soon too old, so its change goes before others, but not before an older preparation's.
        let is_prepared = |id: &&RequestId| self.requests[*id].follows_preparation;
        let place = self.jobs[job].ready().iter().take_while(is_prepared).count();
        self.jobs[job].insert_ready(place, id);
        self.breaker_of(job).probe_is_prepared(now, prepared);
    }

    /// A request that has kept its lease makes its last preparation again, unless its job stops.
    pub(super) fn prepare_again(&mut self, state: RequestState, out: &mut Vec<Action>) {
        let RequestState { job, lease, .. } = state;
        let (id, items) = (state.request.id, state.request.items.len());
        if self.jobs[job].stop().is_some() {
            self.jobs[job].moved(Stage::BackingOff, Stage::Stored, items, false);
            return self.release(lease, out);
        }
        self.jobs[job].moved(Stage::BackingOff, Stage::Ready, items, false);
        self.jobs[job].push_ready(id);
        let earlier = self.requests.insert(id, state);
        assert!(earlier.is_none(), "a request is in memory once");
    }

    /// Admits the requests that the canary of a job withheld, once its items have their outcomes.
    fn pass_canary(&mut self, job: JobNo) {
        if self.jobs[job].stop().is_none() && self.jobs[job].canary_is_decided() {
            for request in self.jobs[job].canary.pass() {
                self.admit(job, request);
            }
        }
    }

    /// Starts the timers of the follow-ups. Returns until when the accounts of the request stay leased.
    fn send_again(
        &mut self,
        now: ScheduleTime,
        record: &PendingRecord,
        keeps_lease: bool,
        follow_ups: Vec<FollowUp>,
    ) -> ScheduleTime {
        let mut leased_until = now;
        for FollowUp { request, wait, is_first } in follow_ups {
            let retry = self.jobs[record.job].scheduled.retry;
            let backed_off = now + delay(&retry, request.charged, self.rng.random());
            let (due, until) = match wait {
                Wait::None | Wait::Leased => (now, now),
                Wait::Backoff => (backed_off, now),
                Wait::Alone => (backed_off, backed_off),
            };
            leased_until = leased_until.max(until);
            if self.jobs[record.job].stop().is_some() {
                continue;
            }
            self.jobs[record.job].moved(Stage::Stored, Stage::BackingOff, request.items.len(), false);
            // The first lookup is no repetition, so that doubts cannot use up the retry budget.
            let repeats = RetryCost::of(&record.health, wait, request.items.len(), record.items);
            let cost = if is_first { RetryCost::FREE } else { repeats };
            // If the server decided other items of the same call, it worked.
            let blame = if record.health == ServerHealth::Working { Blame::Request } else { record.blame };
            let charge = if is_first || wait == Wait::None { Charge::Free } else { Charge::Attempt };
            let previous = PreviousCall { cost, sent_at: record.sent_at, charge, blame };
            let timer = if keeps_lease {
                Timer::PrepareAgain(RequestState::prepared_again(record, request, previous))
            } else {
                Timer::Rejoin(record.job, request, previous)
            };
            self.timers.start(due, timer);
        }
        leased_until
    }

    /// Moves a request from one stage to the next.
    ///
    /// # Panics
    /// If it is in another stage.
    pub(super) fn advance(&mut self, id: RequestId, from: Stage, to: Stage) -> (JobNo, LeaseId) {
        let state = self.requests.get_mut(&id).expect("the request is in memory");
        assert_eq!(state.stage, from, "request {id} cannot become {to:?}");
        state.stage = to;
        self.jobs[state.job].moved(from, to, state.request.items.len(), state.previous.is_none());
        (state.job, state.lease)
    }
}

/// Whether a preparation is made again for all items of its request.
fn is_same_preparation(record: &PendingRecord, follow_ups: &[FollowUp]) -> bool {
    let is_whole = |next: &FollowUp| !next.is_first && next.request.items.len() == record.items;
    matches!(record.kind, CallKind::Preparation(_)) && follow_ups.first().is_some_and(is_whole)
}

/// What a call shows of the server's health when it executes changes. A preparation that works does not show that
/// changes work, or an outage of changes would never end the run.
fn shown_of_changes(kind: CallKind, health: &ServerHealth) -> ServerHealth {
    match (kind, health) {
        (CallKind::Preparation(_), ServerHealth::Working) => ServerHealth::Unknown,
        (CallKind::Preparation(_) | CallKind::Change | CallKind::Lookup, health) => health.clone(),
    }
}
