//! The runner: passes events to the scheduler and carries out its actions.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{CallKind, Item, Purpose};
use imbulk::domain::response::lookup;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::{EndedItems, FollowUp, Settlement};
use imbulk::domain::response::verdict::ItemResult;
use imbulk::domain::schedule::{Action, CallToSend, Event};

use super::{Session, World, WorldEvent};
use crate::budget::Probes;
use crate::canary::Canary;
use crate::checks::Invariant;
use crate::queue::{State, StoredRequest};
use crate::scenario::{Job, MS};

/// A page with fewer requests is the last one.
const PAGE: usize = 256;
/// Like the recorder: the time that a change that is not urgent waits for other changes.
const COMMIT_DELAY: Duration = Duration::from_millis(20);

impl World<'_> {
    pub(super) fn handle(&mut self, session: &mut Session<'_>, event: Event) {
        session.events += 1;
        let before = self.probes(session);
        let actions = session.scheduler.handle(self.now.saturating_sub(session.started), event);
        let probes: Vec<Probes> = before.into_iter().zip(self.probes(session)).collect();
        for job in 0..session.jobs.len() {
            if session.scheduler.stop_of(job).is_some() && !std::mem::replace(&mut session.stopped[job], true) {
                let app = self.app_of(session.jobs[job]);
                session.budgets[app].stopped(job);
                let stopped = session.jobs[job];
                session.preparations.stopped(|id| self.queue.requests[&id].job == stopped);
            }
        }
        for action in actions {
            if let Action::Commit { change: Change::Intend(ids) | Change::IntendToRead(ids), .. } = &action {
                for (app, probes) in probes.iter().enumerate() {
                    let own: Vec<RequestId> =
                        ids.iter().copied().filter(|id| self.app_of_request(*id) == app).collect();
                    if !own.is_empty() {
                        self.check(session.budgets[app].intend(&own, *probes, self.now));
                    }
                }
                ids.iter().for_each(|id| session.overtaking.set_out(*id));
                if let Some(early) = ids.iter().find(|id| session.paused[self.place(session, **id)]) {
                    self.fail(Invariant::NothingAfterHoldBack, format!("request {early} of a paused job is intended"));
                }
                if let Some(early) = ids.iter().find(|id| session.canaries.iter().any(|canary| canary.holds(**id))) {
                    self.fail(Invariant::CanaryComesFirst, format!("request {early} is sent"));
                }
            }
            self.carry_out(session, action);
        }
        for (app, probes) in probes.into_iter().enumerate() {
            let was_open = self.check(session.budgets[app].handled(probes, self.now)).flatten();
            session.progress.everyone_waits(was_open.unwrap_or_default());
        }
        for (at, expected) in session.expected_tallies.clone().iter().enumerate() {
            if session.scheduler.tally(at) != expected {
                let (says, is) = (*session.scheduler.tally(at), session.expected_tallies[at]);
                self.fail(Invariant::SumsAgree, format!("job {at}: {says:?} is {is:?}"));
            }
        }
    }

    pub(super) fn deliver(&mut self, session: &mut Session<'_>, event: Event) {
        match &event {
            Event::Changed(Changed::Recorded { request, follow_ups }) => {
                self.recorded(session, *request, follow_ups);
            }
            Event::Changed(Changed::Withdrawn(request)) => self.withdrawn(session, *request),
            Event::Resume(job) => session.paused[*job] = false,
            Event::Page { job, requests } => {
                if requests.len() < PAGE {
                    let app = self.app_of(session.jobs[*job]);
                    session.budgets[app].read_all(*job);
                }
                let at = *job;
                for request in requests.iter().filter(|request| !session.progress.was_recovered(request.id)) {
                    session.in_memory.insert(request.id, session.events);
                    let job = self.queue.requests[&request.id].job;
                    if session.canaries[at].admit(request) {
                        session.overtaking.loaded(request.id, self.keys(job, request));
                    }
                }
            }
            Event::ParkedRead { request, .. } => {
                session.loaded(request);
                let job = self.queue.requests[&request.id].job;
                session.overtaking.loaded(request.id, self.keys(job, request));
            }
            Event::Replied { request, .. } => {
                let app = self.app_of_request(*request);
                let is_open = session.scheduler.probes(self.place(session, *request)).is_some();
                if is_open && !session.budgets[app].counts_anyway(*request) {
                    self.unrecorded_charges.remove(request);
                }
                if let Some((health, items)) = self.call_health.remove(request) {
                    session.budgets[app].replied(*request, health, items, self.now);
                }
            }
            Event::Changed(Changed::Reopened(request)) => {
                session.budgets.iter_mut().for_each(|it| it.reopened(*request));
            }
            Event::Sent(request) => {
                let app = self.app_of_request(*request);
                session.budgets[app].sent(*request, self.now);
            }
            Event::Recovered { .. }
            | Event::Changed(Changed::Intended(_))
            | Event::HeldBack(_)
            | Event::NotRenewed { .. }
            | Event::Tick
            | Event::Pause(_)
            | Event::SetRate { .. }
            | Event::DayUsedUp { .. }
            | Event::Stop(_) => {}
        }
        for budget in &mut session.budgets {
            budget.set_canaries(session.canaries.iter().map(Canary::waiting).collect());
        }
        self.handle(session, event);
    }

    fn withdrawn(&self, session: &mut Session<'_>, request: RequestId) {
        let app = self.app_of_request(request);
        session.budgets[app].withdrawn(request, self.now);
        let job = self.place(session, request);
        session.preparations.withdrawn(request, session.stopped[job]);
        if session.stopped[job] {
            session.unloaded(request);
            session.budgets[app].stopped(job);
        }
    }

    fn recorded(&mut self, session: &mut Session<'_>, request: RequestId, follow_ups: &[FollowUp]) {
        session.unloaded(request);
        let app = self.app_of_request(request);
        session.budgets[app].recorded(request, follow_ups);
        let place = self.place(session, request);
        if session.paused[place] || session.stopped[place] {
            session.budgets[app].may_probe_others();
        }
        let job = self.queue.requests[&request].job;
        let kept = if session.stopped[place] { &[] } else { follow_ups };
        session.preparations.recorded(request, kept, |next| self.keys(job, &next.request));
        follow_ups.iter().for_each(|follow_up| session.loaded(&follow_up.request));
        let ended_rows = session.ended_rows.get_mut(&request).and_then(VecDeque::pop_front);
        let at = self.place(session, request);
        let retry = &self.scenario.jobs[session.jobs[at]].retry;
        session.progress.recorded(request, follow_ups, retry, self.now);
        let ended_rows = ended_rows.unwrap_or_default();
        for released in session.canaries[at].recorded(request, follow_ups, &ended_rows) {
            let stored = &self.queue.requests[&released];
            session.overtaking.loaded(released, self.keys(stored.job, &stored.request));
        }
        for (outcome, _, rows) in ended_rows {
            session.expected_tallies[at].finish(outcome, rows);
        }
    }

    /// The probes of the current outage of each app.
    fn probes(&self, session: &Session<'_>) -> Vec<Option<u32>> {
        let of_app = |app| {
            let job = session.jobs.iter().position(|job| self.app_of(*job) == app)?;
            session.scheduler.probes(job)
        };
        (0..self.scenario.apps()).map(of_app).collect()
    }

    fn app_of_request(&self, request: RequestId) -> usize {
        self.app_of(self.queue.requests[&request].job)
    }

    fn place(&self, session: &Session<'_>, request: RequestId) -> usize {
        let job = self.queue.requests[&request].job;
        session.jobs.iter().position(|other| *other == job).expect("a job of the session")
    }

    fn carry_out(&mut self, session: &mut Session<'_>, action: Action) {
        match action {
            Action::Fetch { .. } => self.read_soon(session, action),
            Action::ReadParked { request, .. } => {
                session.overtaking.was_parked(request);
                session.parked(request);
                session.progress.waits_for(request, self.scenario.faults.read + self.scenario.faults.lag + MS);
                self.read_soon(session, action);
            }
            Action::Commit { change, urgent } => {
                if let Change::Record { settlement, .. } = &change {
                    let ended = settlement.ended_by_outcome();
                    session.ended_rows.entry(settlement.request).or_default().push_back(ended);
                }
                self.write_soon(session, change, urgent);
            }
            Action::Send(call) => self.send(session, call),
            Action::Slow { job, .. } => {
                let send_queue = &mut session.send_queues[session.jobs[job]];
                send_queue.next_slot = send_queue.next_slot.max(self.now) + Duration::from_millis(1100);
                session.progress.everyone_waits(Duration::from_millis(1100));
            }
            Action::Renew { job, generation, .. } => {
                let latest = &mut self.generations[self.scenario.jobs[session.jobs[job]].app];
                *latest += u64::from(generation == *latest);
            }
            Action::HoldBack(job) => self.hold_back(session, job),
        }
    }

    fn read_soon(&mut self, session: &Session<'_>, action: Action) {
        let takes = self.scenario.faults.read;
        self.add_event(session, self.now + takes, WorldEvent::Read(action));
    }

    fn write_soon(&mut self, session: &mut Session<'_>, change: Change, urgent: bool) {
        session.uncommitted.push(change);
        let due = if urgent { self.now } else { self.now + COMMIT_DELAY };
        session.commit_due = Some(session.commit_due.map_or(due, |earlier| earlier.min(due)));
        if urgent {
            self.commit(session);
        } else {
            self.add_event(session, due, WorldEvent::CommitIsDue);
        }
    }

    /// Changes that arrive during one transaction belong to the next one.
    pub(super) fn commit(&mut self, session: &mut Session<'_>) {
        if session.committing.is_none() && session.commit_due.is_some_and(|due| due <= self.now) {
            session.commit_due = None;
            session.committing = Some(std::mem::take(&mut session.uncommitted));
            let takes = self.scenario.faults.commit;
            self.add_event(session, self.now + takes, WorldEvent::Committed);
        }
    }

    fn send(&mut self, session: &mut Session<'_>, call: CallToSend) {
        let request = call.request;
        if session.paused[call.job] {
            self.fail(Invariant::NothingAfterHoldBack, format!("request {request} of a paused job is to be sent"));
        }
        let stopped = session.stopped[call.job];
        let job = session.jobs[call.job];
        self.check_intent(job, &call);
        if stopped {
            return self.enqueue(session, Event::HeldBack(request));
        }
        session.send_queues[job].waiting.push_back(call);
        self.request_slot(session, job);
    }

    fn check_intent(&mut self, job: usize, call: &CallToSend) {
        let (definition, request) = (&self.scenario.jobs[job], call.request);
        match self.queue.requests.get(&request) {
            None => self.fail(Invariant::IntentBeforeBytes, format!("there is no request {request}")),
            Some(stored) => match stored.state {
                State::Settled => {
                    self.fail(Invariant::NothingAfterItsOutcome, format!("request {request} is sent again"));
                }
                State::Pending => self.fail(Invariant::IntentBeforeBytes, format!("request {request} is pending")),
                State::Sending if !is_stored(definition, stored, call) => {
                    self.fail(
                        Invariant::IntentBeforeBytes,
                        format!("request {request} is sent differently than intended"),
                    );
                }
                State::Sending => {}
            },
        }
    }

    pub(super) fn request_slot(&mut self, session: &mut Session<'_>, job: usize) {
        let send_queue = &mut session.send_queues[job];
        if !send_queue.slot_requested && !send_queue.waiting.is_empty() {
            send_queue.slot_requested = true;
            let due = send_queue.next_slot.max(self.now);
            self.add_event(session, due, WorldEvent::Slot(job));
        }
    }

    fn hold_back(&mut self, session: &mut Session<'_>, job: usize) {
        for call in std::mem::take(&mut session.send_queues[session.jobs[job]].waiting) {
            self.enqueue(session, Event::HeldBack(call.request));
        }
    }

    /// Makes a change durable, and checks the outcomes that it stored.
    pub(super) fn write(&mut self, change: Change) -> Option<Changed> {
        let purpose = match &change {
            Change::Record { settlement, .. } => {
                self.check_calls(settlement);
                settlement.purpose.clone()
            }
            Change::Reopen(id) => {
                self.begun.remove(id);
                Purpose::Change
            }
            _ => Purpose::Change,
        };
        let stored = match self.queue.write(change) {
            Ok(stored) => stored,
            Err(refused) => {
                self.fail(Invariant::EveryRowOnce, refused);
                return None;
            }
        };
        if let (Some((job, request, ended)), Changed::Recorded { follow_ups, .. }) = (stored.ended, &stored.changed) {
            for EndedItems { result, items } in &ended {
                items.iter().for_each(|item| self.check_outcome(job, request, (item, &purpose), result));
            }
            let is_split = ended.len() + follow_ups.len() > 1;
            self.check_attempts(job, request, (&purpose, is_split), follow_ups);
            self.report.settled.insert(request, self.now);
        }
        Some(stored.changed)
    }

    pub(super) fn check<T>(&mut self, checked: Result<T, (Invariant, String)>) -> Option<T> {
        checked.map_err(|(invariant, what)| self.fail(invariant, what)).ok()
    }

    /// The settlement has the number of calls that were made for its items. A call that was not sent is none.
    fn check_calls(&mut self, settlement: &Settlement) {
        let stored = &self.queue.requests[&settlement.request];
        let not_sent = self.begun.remove(&settlement.request) == Some(true);
        let rows: Vec<_> = stored.request.items.iter().map(|item| (stored.job, item.row)).collect();
        for row in rows {
            let made = self.calls_made.entry(row).or_default();
            *made -= u32::from(not_sent);
            if *made != settlement.calls {
                let what = format!("row {row:?} had {made} calls, its settlement {}", settlement.calls);
                return self.fail(Invariant::CallsAreCounted, what);
            }
        }
    }

    /// Attempts are counted for each purpose of a call. `purpose`: that of the call that has ended. `is_split`: several
    /// things follow for its items.
    fn check_attempts(
        &mut self,
        job: usize,
        request: RequestId,
        (purpose, is_split): (&Purpose, bool),
        follow_ups: &[FollowUp],
    ) {
        let most = self.scenario.jobs[job].retry.max_attempts.get();
        for (row, charge) in self.unrecorded_charges.remove(&request).unwrap_or_default() {
            let before = self.charges(job, row);
            let is_part = matches!(purpose, Purpose::Backup(_));
            let counts = if is_part { &mut self.charged_parts } else { &mut self.charged };
            *counts.entry((job, row)).or_default() += charge;
            let charged = before + charge;
            if charged > most {
                let what = format!("row {row} of job {job} had {charged} attempts that count");
                return self.fail(Invariant::AttemptsAreBounded, what);
            }
        }
        for follow_up in follow_ups {
            let rows: Vec<_> = follow_up.request.items.iter().map(|item| (job, item.row)).collect();
            if let (true, Purpose::LookUp(question)) = (is_of_change(purpose), &follow_up.request.purpose) {
                for row in &rows {
                    self.check_attempts_used_up(*row, self.charges(job, row.1), &question.fallback);
                }
            }
            if !is_of_change(purpose) && follow_up.request.purpose != *purpose
                || is_of_change(purpose) != is_of_change(&follow_up.request.purpose)
            {
                self.charged.retain(|row, _| !rows.contains(row));
            }
            // Every part of a backup has the attempts that were left before the backup.
            if follow_up.is_first {
                self.charged_parts.retain(|row, _| !rows.contains(row));
            } else if is_split {
                // The backup of these items alone is read from its start, with the attempts that are left.
                rows.iter().for_each(|row| self.charge_parts(*row));
            }
            let charged = follow_up.request.charged;
            if charged >= most {
                self.fail(Invariant::AttemptsAreBounded, format!("request {} has {charged}", follow_up.request.id));
            }
        }
    }

    /// The attempts of the part of a backup are those of its change from now on.
    pub(super) fn charge_parts(&mut self, row: (usize, RowNo)) {
        let charge = self.charged_parts.remove(&row).unwrap_or(0);
        *self.charged.entry(row).or_default() += charge;
    }

    /// The counted attempts of a row for its present purpose.
    fn charges(&self, job: usize, row: RowNo) -> u32 {
        let of = |counts: &HashMap<(usize, RowNo), u32>| counts.get(&(job, row)).copied().unwrap_or(0);
        of(&self.charged) + of(&self.charged_parts)
    }

    /// An item whose attempts are used up had as many as allowed. `charged`: those that count.
    fn check_attempts_used_up(&mut self, (job, row): (usize, RowNo), charged: u32, result: &ItemResult) {
        if result.reason.contains("attempts used up") && charged < self.scenario.jobs[job].retry.max_attempts.get() {
            let what = format!("row {row} of job {job} ended after {charged} attempts that count: {result:?}");
            self.fail(Invariant::NothingFailsInAnOutage, what);
        }
    }

    fn check_outcome(
        &mut self,
        job: usize,
        request: RequestId,
        (item, purpose): (&Item, &Purpose),
        result: &ItemResult,
    ) {
        let outcome = result.outcome;
        for row in item.rows() {
            if self.outcomes.insert((job, row), outcome).is_some() {
                self.fail(Invariant::EveryRowOnce, format!("row {row} of job {job} has two outcomes"));
            }
        }
        let unrecorded =
            self.unrecorded_charges.get(&request).and_then(|charges| charges.get(&item.row)).copied().unwrap_or(0);
        let charged = self.charges(job, item.row) + unrecorded;
        if is_of_change(purpose) {
            self.check_attempts_used_up((job, item.row), charged, result);
        }
        let stored = self.queue.requests[&request].request.clone();
        let server = &self.servers[self.app_of(job)];
        let done = server.is_done(job, &stored, item.row);
        let is_own_work = server.rows_done_by_calls.contains(&(job, item.row));
        if !is_of_change(purpose) {
            *self.report.settled_by_lookups.entry(outcome).or_default() += 1;
        }
        if matches!(outcome, Outcome::Succeeded | Outcome::AlreadyDone) && !done {
            self.fail(Invariant::SuccessIsTrue, format!("row {} of job {job} is {outcome}", item.row));
        }
        if outcome == Outcome::AlreadyDone && is_own_work {
            self.fail(Invariant::OwnWorkIsNotAlreadyDone, format!("row {} of job {job}", item.row));
        }
    }
}

/// Whether a call is the one that the queue stores. Of a preparation it stores only that it reads.
fn is_stored(job: &Job, stored: &StoredRequest, call: &CallToSend) -> bool {
    let is_same = match call.kind {
        CallKind::Preparation(_) => stored.request.purpose == Purpose::Change,
        CallKind::Change | CallKind::Lookup => {
            call.kind == stored.request.purpose.call_kind() && call.body == lookup::body(job.operation, &stored.request)
        }
    };
    is_same && call.kind.only_reads() == stored.reads
}

/// Whether a call is a change or one of its preparations, which share their attempts.
fn is_of_change(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::Change | Purpose::Prepare(_) | Purpose::Backup(_))
}
