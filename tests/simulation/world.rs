//! The simulated world around the schedule, in virtual time: models of the runner's loop, its recorder, its readers and
//! its rate limiter.

mod actions;
mod events;
mod session;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use imbulk::domain::ids::{RequestId, RunId};
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{AccountKeys, Request};
use imbulk::domain::response::codes::Scope;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{Action, DeadlineKey, End, Event, ScheduledJob, StopReason, StopScope, StopSignal};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::budget::RetryBudgetModel;
use crate::canary::{Canary, CanarySettings};
use crate::checks::{Invariant, Violation};
use crate::overtaking::OvertakingCheck;
use crate::preparation_check::PreparationCheck;
use crate::progress::Progress;
use crate::queue::{Queue, State};
use crate::scenario::{FaultModel, Interruption, MS, Pause, Scenario};
use crate::scheduler_under_test::MakeScheduler;
use crate::server::{Call, CallEffect, CallHealth, Server};
use session::{SendQueue, Session, most};

/// More events than any scenario needs.
const MOST_EVENTS: u64 = 2_000_000;
/// More sessions than any scenario needs.
const MOST_SESSIONS: u64 = 500;
/// 8192 requests per job, and the page that was being read when this limit was reached.
const MOST_IN_MEMORY: usize = 8_192 + 256;

/// The run of a job, which is the same in all sessions.
fn run_of(job: usize) -> RunId {
    RunId::new(i64::try_from(job).expect("few jobs"))
}

/// A future event of the simulated world.
#[derive(Debug)]
enum WorldEvent {
    /// The loop takes an event from its inbox.
    Deliver(Event),
    /// A page or a request has been read.
    Read(Action),
    /// Changes that are not urgent have waited long enough for other changes.
    CommitIsDue,
    /// A commit has finished.
    Committed,
    /// The rate limiter grants a slot to a call of this job.
    Slot(usize),
    /// The bytes of a call leave the runner.
    Leave(u64),
    /// The server starts a call.
    Arrive(u64),
    /// The server finishes a call.
    Finish(u64),
    /// The runner receives an answer or stops waiting for one.
    Reply(u64, Event),
}

/// The results of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sessions: u64,
    pub(crate) events: u64,
    /// The time of the slot and the request of each call.
    pub(crate) sent: Vec<(Duration, RequestId)>,
    /// When and how each job of each session ended, without killed sessions.
    pub(crate) ends: Vec<(Duration, End)>,
    /// Rows by outcome.
    pub(crate) rows: BTreeMap<Outcome, u64>,
    pub(crate) took: Duration,
    /// When each request was settled.
    pub(crate) settled: HashMap<RequestId, Duration>,
    /// Rows whose outcome comes from a lookup or from a call after it, by outcome.
    pub(crate) settled_by_lookups: BTreeMap<Outcome, u64>,
    /// The most requests in memory at once.
    pub(crate) most_in_memory: usize,
    /// The number of bounds on progress that were checked.
    pub(crate) bounds_checked: usize,
}

/// The world around the schedule. The state that a kill destroys is in [`Session`].
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), (u64, WorldEvent)>,
    agenda_length: u64,
    rng: SmallRng,
    queue: Queue,
    /// The server of each app.
    servers: Vec<Server>,
    /// All calls and their effects.
    calls: HashMap<u64, (Call, CallEffect)>,
    working: Vec<u64>,
    next_call: u64,
    /// The generation of the UserSig of each app.
    generations: Vec<u64>,
    outcomes: BTreeMap<(usize, RowNo), Outcome>,
    charged: HashMap<(usize, RowNo), u32>,
    /// Those of the calls for the part of a backup that is being read.
    charged_parts: HashMap<(usize, RowNo), u32>,
    /// The counted attempts of answers that the runner has received but not recorded.
    unrecorded_charges: HashMap<RequestId, BTreeMap<RowNo, u32>>,
    /// What each call shows of the server, whether it was a preparation, and its items.
    call_health: HashMap<RequestId, ((CallHealth, bool), usize)>,
    /// The calls for each row that have an intent and, unless the runner was killed before, a slot.
    calls_made: HashMap<(usize, RowNo), u32>,
    /// Requests that got a slot and have no stored result, and whether their call has failed before it was sent.
    begun: HashMap<RequestId, bool>,
    report: Report,
    violation: Option<Violation>,
}

/// Simulates a scenario with schedulers from `make_scheduler`.
pub(crate) fn simulate(scenario: &Scenario, make_scheduler: &MakeScheduler) -> Result<Report, Violation> {
    let operations: Vec<_> = scenario.jobs.iter().map(|job| job.operation).collect();
    let server = |app: usize| {
        let faults = if scenario.healthy_app == Some(app) { FaultModel::HEALTHY } else { scenario.faults.clone() };
        Server::new(scenario.seed ^ ((app as u64) << 32), faults, operations.clone())
    };
    let mut servers: Vec<Server> = (0..scenario.apps()).map(server).collect();
    for (job, definition) in scenario.jobs.iter().enumerate() {
        servers[definition.app].prepare_state(job, &definition.requests);
    }
    let mut world = World {
        scenario,
        now: Duration::ZERO,
        agenda: BTreeMap::new(),
        agenda_length: 0,
        rng: SmallRng::seed_from_u64(scenario.seed ^ 0x0770_71d5),
        queue: Queue::new(&scenario.jobs),
        servers,
        calls: HashMap::new(),
        working: Vec::new(),
        next_call: 0,
        generations: vec![0; scenario.apps()],
        outcomes: BTreeMap::new(),
        charged: HashMap::new(),
        charged_parts: HashMap::new(),
        unrecorded_charges: HashMap::new(),
        call_health: HashMap::new(),
        calls_made: HashMap::new(),
        begun: HashMap::new(),
        report: Report::default(),
        violation: None,
    };
    world.run(make_scheduler);
    world.report.took = world.now;
    world.outcomes.values().for_each(|outcome| *world.report.rows.entry(*outcome).or_default() += 1);
    match world.violation {
        Some(violation) => Err(violation),
        None => Ok(world.report),
    }
}

impl World<'_> {
    fn run(&mut self, make_scheduler: &MakeScheduler) {
        let mut interruptions = self.scenario.interruptions.clone().into_iter();
        while !self.queue.is_done() && self.violation.is_none() {
            let interruption = interruptions.next().unwrap_or(Interruption::Never);
            let mut session = self.begin(make_scheduler, interruption != Interruption::Never);
            self.session(&mut session, interruption);
            self.end(session);
            // The next session may start at once, because a crash loop must be as safe as a late restart.
            self.now += MS * [0, 1, 100, 1000, 5000][self.rng.random_range(0..5)];
            if self.report.sessions > MOST_SESSIONS {
                self.fail(Invariant::Terminates, "the sessions do not end".into());
            }
        }
        self.check_the_end();
    }

    fn begin<'b>(&mut self, make_scheduler: &'b MakeScheduler, some: bool) -> Session<'b> {
        let all = self.scenario.jobs.len();
        let mut jobs: Vec<usize> = (0..all).filter(|_| !(some && self.rng.random_ratio(1, 5))).collect();
        if jobs.is_empty() {
            jobs = (0..all).collect();
        }
        let budgets = (0..self.scenario.apps()).map(|app| self.retry_budget(app, &jobs)).collect();
        self.report.sessions += 1;
        self.unrecorded_charges.clear();
        // On disk, the attempts of a backup are those of its change.
        let rows: Vec<_> = self.charged_parts.keys().copied().collect();
        rows.into_iter().for_each(|row| self.charge_parts(row));
        let mut send_queues = Vec::new();
        send_queues.resize_with(all, SendQueue::default);
        let mut session = Session {
            number: self.report.sessions,
            scheduler: make_scheduler(
                jobs.iter().map(|job| self.scheduled_job(*job)).collect(),
                self.scenario.seed ^ self.report.sessions,
            ),
            started: self.now,
            last: self.queue.last(),
            inbox_after: Duration::ZERO,
            uncommitted: Vec::new(),
            commit_due: None,
            committing: None,
            send_queues,
            stopped: vec![false; jobs.len()],
            paused: vec![false; jobs.len()],
            pauses: self.pauses(),
            events: 0,
            expected_tallies: jobs.iter().map(|job| self.queue.tallies[*job]).collect(),
            canaries: jobs.iter().map(|job| self.canary(*job)).collect(),
            jobs,
            ended_rows: HashMap::new(),
            in_memory: HashMap::new(),
            memory: Vec::new(),
            progress: Progress::of(&self.queue, self.scenario, self.now),
            budgets,
            overtaking: OvertakingCheck::default(),
            preparations: PreparationCheck::default(),
        };
        self.recover(&mut session);
        self.handle(&mut session, Event::Tick);
        session
    }

    fn scheduled_job(&self, job: usize) -> ScheduledJob {
        let definition = &self.scenario.jobs[job];
        ScheduledJob {
            priority: (self.scenario.seed >> job) % 2,
            run: run_of(job),
            sdkappid: definition.sdkappid(),
            operation: definition.operation,
            preparations: definition.preparations,
            calls_per_second: definition.rate.try_into().expect("a rate"),
            retry: definition.retry,
            max_in_flight: definition.width,
            stop: definition.stop,
            max_already_done: definition.max_already_done,
            canary: definition.canary,
            ended_items: self.queue.ended_items(job),
            tally: self.queue.tallies[job],
        }
    }

    fn canary(&self, job: usize) -> Canary {
        let definition = &self.scenario.jobs[job];
        let (failed_share, max_already_done) = (definition.stop.failed_share, definition.max_already_done);
        let settings = CanarySettings { items: definition.canary, failed_share, max_already_done };
        Canary::new(settings, self.queue.ended_items(job), &self.queue.tallies[job])
    }

    /// The retry budget of an app in a session with these jobs.
    fn retry_budget(&self, app: usize, jobs: &[usize]) -> RetryBudgetModel {
        let place = |job: usize| {
            let is_it = |other: &usize| *other == job && self.app_of(job) == app;
            jobs.iter().position(is_it)
        };
        let unsettled = self.queue.requests.iter().filter(|(_, stored)| stored.state != State::Settled);
        let own = unsettled.filter_map(|(id, stored)| Some((*id, place(stored.job)?, stored.state)));
        let quarantine = own.clone().filter(|(.., state)| *state == State::Sending).map(|(id, ..)| id).collect();
        let unread = jobs.iter().filter_map(|job| place(*job)).collect();
        RetryBudgetModel::new(unread, own.map(|(id, job, _)| (id, job)).collect(), quarantine)
    }

    /// The app of a job of the scenario.
    fn app_of(&self, job: usize) -> usize {
        self.scenario.jobs[job].app
    }

    /// Passes the requests that were being sent when the runner was killed to the new session.
    fn recover(&mut self, session: &mut Session<'_>) {
        for stored in self.queue.recover() {
            // Whether the killed runner made the call is not known, so it counts.
            if self.begun.insert(stored.request.id, false).is_none() {
                self.count_call(stored.job, &stored.request);
            }
            let keys = self.keys(stored.job, &stored.request);
            let job = session.jobs.iter().position(|job| *job == stored.job);
            if let Some(job) = job {
                session.loaded(&stored.request);
                session.canaries[job].recovered(&stored.request);
            }
            session.progress.recovered(stored.request.id);
            self.handle(session, Event::Recovered { job, request: stored.request, keys });
        }
    }

    /// Simulates a session until its end or its interruption.
    fn session(&mut self, session: &mut Session<'_>, interruption: Interruption) {
        let mut interruption = Some(interruption);
        while session.scheduler.ends().is_none() && self.violation.is_none() {
            match interruption {
                Some(Interruption::Kill(events)) if session.events >= events => return,
                Some(Interruption::Signal(events)) if session.events >= events => {
                    interruption = None;
                    self.handle(session, Event::Stop(StopReason::Signal(StopSignal::Terminate)));
                }
                Some(Interruption::Deadline(events)) if session.events >= events => {
                    interruption = None;
                    self.handle(session, Event::Stop(StopReason::Deadline(DeadlineKey::Until)));
                }
                Some(_) | None => match session.next_pause() {
                    Some(pause) => self.pause(session, pause),
                    None => self.step(session),
                },
            }
        }
    }

    /// The pauses of the session that has just begun.
    fn pauses(&self) -> VecDeque<Pause> {
        let pauses = self.scenario.pauses.iter().copied();
        pauses.filter(|pause| pause.session == self.report.sessions).collect()
    }

    fn pause(&mut self, session: &mut Session<'_>, pause: Pause) {
        let job = pause.job % session.jobs.len();
        session.paused[job] = true;
        self.handle(session, Event::Pause(job));
        // The requests that are held back need their intents once more.
        session.progress.everyone_waits(pause.lasts + (self.scenario.faults.commit + self.scenario.faults.lag) * 8);
        self.add_event(session, self.now + pause.lasts, WorldEvent::Deliver(Event::Resume(job)));
    }

    fn step(&mut self, session: &mut Session<'_>) {
        self.report.events += 1;
        if self.report.events > MOST_EVENTS {
            return self.fail(Invariant::Terminates, "too many events".into());
        }
        let due = self.agenda.first_key_value().map(|((due, _), _)| *due);
        let wake = session.scheduler.wake_at().map(|wake| session.started + wake);
        match (due, wake) {
            (None, None) => self.fail(Invariant::Terminates, "no future event exists".into()),
            (due, Some(wake)) if due.is_none_or(|due| wake < due) => {
                self.now = self.now.max(wake);
                self.handle(session, Event::Tick);
                if session.scheduler.wake_at().is_some_and(|wake| session.started + wake <= self.now) {
                    self.fail(Invariant::Sleeps, "after a tick, the next one is due at once".into());
                }
            }
            (Some(_), _) => {
                let ((due, _), (number, event)) = self.agenda.pop_first().expect("it was there");
                self.now = self.now.max(due);
                self.apply(session, number, event);
            }
            (None, Some(_)) => unreachable!("covered by the guard"),
        }
    }

    fn apply(&mut self, session: &mut Session<'_>, number: u64, event: WorldEvent) {
        // After the runner was killed, only calls that have left it still matter.
        let alive = number == session.number;
        match event {
            WorldEvent::Arrive(call) => self.arrive(call),
            WorldEvent::Finish(call) => self.finish(call),
            WorldEvent::Deliver(event) if alive => self.deliver(session, event),
            WorldEvent::Read(action) if alive => self.read(session, &action),
            WorldEvent::CommitIsDue if alive => self.commit(session),
            WorldEvent::Committed if alive => self.committed(session),
            WorldEvent::Slot(job) if alive => self.slot(session, job),
            WorldEvent::Leave(call) if alive => self.leave(session, call),
            WorldEvent::Reply(call, event) if alive => self.reply(session, call, event),
            WorldEvent::Deliver(_)
            | WorldEvent::Read(_)
            | WorldEvent::CommitIsDue
            | WorldEvent::Committed
            | WorldEvent::Slot(_)
            | WorldEvent::Leave(_)
            | WorldEvent::Reply(..) => {}
        }
    }

    fn end(&mut self, mut session: Session<'_>) {
        match session.scheduler.ends() {
            Some(ends) => {
                self.check_ends(&session.jobs, &ends);
                self.report.ends.extend(ends.iter().map(|end| (self.now, end.clone())));
                // After an outage, a commit may be durable before the loop has received its event.
                let waits = ends.iter().all(|end| !matches!(end, End::Stopped(StopReason::Outage(_))));
                for (at, job) in session.jobs.iter().enumerate() {
                    if waits && *session.scheduler.tally(at) != self.queue.tallies[*job] {
                        self.fail(Invariant::SumsAgree, format!("job {job} at the end"));
                    }
                }
                for since in session.budgets.iter().filter_map(RetryBudgetModel::open_since) {
                    session.progress.everyone_waits(self.now.saturating_sub(since));
                }
                if ends.iter().all(|end| *end == End::Complete) {
                    match session.progress.check() {
                        Ok(groups) => self.report.bounds_checked += groups,
                        Err(what) => self.fail(Invariant::UnrelatedDoNotWait, what),
                    }
                }
            }
            // If the runner was killed during a commit, the commit may or may not be durable.
            None => {
                if let Some(changes) = session.committing
                    && self.rng.random_bool(0.5)
                {
                    changes.into_iter().for_each(|change| drop(self.write(change)));
                }
            }
        }
        if let Some(what) = session.overtaking.overtaken() {
            self.fail(Invariant::NothingIsOvertaken, what);
        }
        let most = most(session.memory, &session.in_memory);
        if most > MOST_IN_MEMORY * session.jobs.len() {
            self.fail(Invariant::MemoryIsBounded, format!("{most} requests"));
        }
        self.report.most_in_memory = self.report.most_in_memory.max(most);
    }

    /// A reason that concerns one job ends only this job, and one that concerns an app only the jobs of the app. The
    /// others complete.
    fn check_ends(&mut self, jobs: &[usize], ends: &[End]) {
        for (at, (job, end)) in jobs.iter().zip(ends).enumerate() {
            let (pending, is_own) = match end {
                End::Complete => (self.queue.tallies[*job][Outcome::Pending], true),
                End::Stopped(StopReason::Fatal { scope: Scope::App, job: of, .. }) => {
                    (0, self.app_of(jobs[*of]) == self.app_of(*job))
                }
                End::Stopped(reason) => (
                    0,
                    match reason.scope() {
                        StopScope::Job(of) => of == at,
                        StopScope::App | StopScope::Session => true,
                    },
                ),
            };
            if pending > 0 || !is_own {
                let what = format!("job {at} has {pending} pending rows at its end: {end:?}");
                self.fail(Invariant::OthersGoOn, what);
            }
        }
    }

    fn check_the_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let rows: u64 = self.scenario.jobs.iter().flat_map(|job| &job.requests).map(Request::row_count).sum();
        let pending: u64 = self.queue.tallies.iter().map(|tally| tally[Outcome::Pending]).sum();
        if (self.outcomes.len() as u64, pending) != (rows, 0) {
            self.fail(Invariant::EveryRowOnce, format!("{} of {rows} rows have an outcome", self.outcomes.len()));
        }
    }

    fn fail(&mut self, invariant: Invariant, what: String) {
        self.violation.get_or_insert(Violation { invariant, at: self.now, what });
    }

    fn add_event(&mut self, session: &Session<'_>, due: Duration, event: WorldEvent) {
        self.agenda.insert((due, self.agenda_length), (session.number, event));
        self.agenda_length += 1;
    }

    /// Puts an event into the loop's inbox, which keeps their order.
    fn enqueue(&mut self, session: &mut Session<'_>, event: Event) {
        let due = (self.now + self.scenario.faults.lag).max(session.inbox_after);
        session.inbox_after = due;
        self.add_event(session, due, WorldEvent::Deliver(event));
    }

    fn keys(&self, job: usize, request: &Request) -> AccountKeys {
        self.scenario.jobs[job].keys(request)
    }
}
