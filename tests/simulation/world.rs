//! A night, lived through in virtual time: the runner's loop, its recorder, its readers and its limiter around a
//! schedule, as the real ones are described.

mod commands;
mod events;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use imbulk::domain::ids::{RequestId, RunId};
use imbulk::domain::request::{Keys, Request};
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::row::RowNo;
use imbulk::domain::schedule::{Command, End, Event, JobPlan, StopReason, StopSignal};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::budget::Account;
use crate::canary::{Canary, Terms};
use crate::checks::{Invariant, Violation};
use crate::order::Order;
use crate::progress::Progress;
use crate::queue::{Queue, State};
use crate::scenario::{Fortune, MS, Scenario};
use crate::scheduler_under_test::Maker;
use crate::server::{Call, Fate, Nature, Server};
use session::{Lane, Session, most};

/// Nights are shorter.
const MOST_EVENTS: u64 = 2_000_000;
/// No night needs more sessions.
const MOST_SESSIONS: u64 = 500;
/// 8192 requests of a job, and the page that was under way when they were reached.
const MOST_IN_MEMORY: usize = 8_192 + 256;

/// The run of a job: one for all its sessions.
fn run_of(job: usize) -> RunId {
    RunId::new(i64::try_from(job).expect("few jobs"))
}

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// The loop takes an event from its inbox.
    Deliver(Event),
    /// A page or a request is read.
    Read(Command),
    /// What is not urgent has waited long enough for others.
    CommitIsDue,
    /// A commit is over.
    Committed,
    /// The limiter has a slot for a call of this job.
    Slot(usize),
    /// The bytes of a call leave.
    Leave(u64),
    /// The server begins, ends.
    Arrive(u64),
    Finish(u64),
    /// The runner's connection has an answer, or is done with waiting for one.
    Reply(u64, Event),
}

/// What became of a night.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sessions: u64,
    pub(crate) events: u64,
    /// Each call: when it got its slot, and its request.
    pub(crate) sent: Vec<(Duration, RequestId)>,
    /// How each session ended, and when; a killed one did not.
    pub(crate) ends: Vec<(Duration, End)>,
    /// Rows by outcome.
    pub(crate) rows: BTreeMap<Outcome, u64>,
    pub(crate) took: Duration,
    /// When each request was settled.
    pub(crate) settled: HashMap<RequestId, Duration>,
    /// The most requests in memory at once.
    pub(crate) most_in_memory: usize,
    /// Bounds on progress that were held against what happened.
    pub(crate) bounds_checked: usize,
}

/// The world around the schedule. What a kill takes is in [`Session`].
pub(crate) struct World<'a> {
    night: &'a Scenario,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), (u64, Happening)>,
    agenda_length: u64,
    dice: SmallRng,
    queue: Queue,
    server: Server,
    /// Calls that the server works on, and their fates.
    calls: HashMap<u64, (Call, Fate)>,
    working: Vec<u64>,
    next_call: u64,
    generation: u64,
    outcomes: BTreeMap<(usize, RowNo), Outcome>,
    charged: HashMap<(usize, RowNo), u32>,
    /// What the answers that the runner has heard, and not written down yet, charge.
    heard: HashMap<RequestId, BTreeMap<RowNo, u32>>,
    natures: HashMap<RequestId, (Nature, usize)>,
    report: Report,
    violation: Option<Violation>,
}

/// Lives through a night with schedules from `maker`.
pub(crate) fn live(night: &Scenario, maker: &Maker) -> Result<Report, Violation> {
    let operations = night.jobs.iter().map(|job| job.operation).collect();
    let mut server = Server::new(night.seed, night.weather.clone(), operations);
    for (job, definition) in night.jobs.iter().enumerate() {
        server.begin_with(job, &definition.requests);
    }
    let mut world = World {
        night,
        now: Duration::ZERO,
        agenda: BTreeMap::new(),
        agenda_length: 0,
        dice: SmallRng::seed_from_u64(night.seed ^ 0x0770_71d5),
        queue: Queue::new(&night.jobs),
        server,
        calls: HashMap::new(),
        working: Vec::new(),
        next_call: 0,
        generation: 0,
        outcomes: BTreeMap::new(),
        charged: HashMap::new(),
        heard: HashMap::new(),
        natures: HashMap::new(),
        report: Report::default(),
        violation: None,
    };
    world.live(maker);
    world.report.took = world.now;
    world.outcomes.values().for_each(|outcome| *world.report.rows.entry(*outcome).or_default() += 1);
    match world.violation {
        Some(violation) => Err(violation),
        None => Ok(world.report),
    }
}

impl World<'_> {
    fn live(&mut self, maker: &Maker) {
        let mut fortunes = self.night.fortunes.clone().into_iter();
        while !self.queue.is_done() && self.violation.is_none() {
            let fortune = fortunes.next().unwrap_or(Fortune::Calm);
            let mut session = self.begin(maker, fortune != Fortune::Calm);
            self.session(&mut session, fortune);
            self.end(session);
            // Soon: a crash loop must be as safe as a night.
            self.now += MS * [0, 1, 100, 1000, 5000][self.dice.random_range(0..5)];
            if self.report.sessions > MOST_SESSIONS {
                self.fail(Invariant::Terminates, "there is no end of sessions".into());
            }
        }
        self.check_the_end();
    }

    fn begin<'b>(&mut self, maker: &'b Maker, some: bool) -> Session<'b> {
        let all = self.night.jobs.len();
        let mut jobs: Vec<usize> = (0..all).filter(|_| !(some && self.dice.random_ratio(1, 5))).collect();
        if jobs.is_empty() {
            jobs = (0..all).collect();
        }
        let plan = |job: &usize| {
            let definition = &self.night.jobs[*job];
            JobPlan {
                run: run_of(*job),
                operation: definition.operation,
                calls_per_second: definition.rate.try_into().expect("a rate"),
                retry: definition.retry,
                max_in_flight: definition.width,
                stop: definition.stop,
                max_already_done: definition.max_already_done,
                canary: definition.canary,
                tally: self.queue.tallies[*job],
            }
        };
        let plans: Vec<JobPlan> = jobs.iter().map(plan).collect();
        let unsettled = self.queue.requests.iter().filter(|(_, stored)| stored.state != State::Settled);
        let (unheard, others): (Vec<_>, Vec<_>) = unsettled.partition(|(_, stored)| jobs.contains(&stored.job));
        let foreign = others.into_iter().filter(|(_, stored)| stored.state == State::Sending).map(|(id, _)| *id);
        let place = |job: usize| jobs.iter().position(|other| *other == job).expect("a job of the session");
        let unheard = unheard.into_iter().map(|(id, stored)| (*id, place(stored.job))).collect();
        let account = Account::new(jobs.len(), unheard, foreign.collect());
        self.report.sessions += 1;
        self.heard.clear();
        let canary = |job: &usize| {
            let definition = &self.night.jobs[*job];
            let (failed_share, max_already_done) = (definition.stop.failed_share, definition.max_already_done);
            let terms = Terms { items: definition.canary, failed_share, max_already_done };
            Canary::new(terms, &self.queue.tallies[*job])
        };
        let canaries = jobs.iter().map(canary).collect();
        let mut lanes = Vec::new();
        lanes.resize_with(all, Lane::default);
        let mut session = Session {
            number: self.report.sessions,
            brain: maker(plans, self.night.seed ^ self.report.sessions),
            started: self.now,
            last: self.queue.last(),
            inbox_after: Duration::ZERO,
            uncommitted: Vec::new(),
            commit_due: None,
            committing: None,
            lanes,
            hold_back: false,
            events: 0,
            told: jobs.iter().map(|job| self.queue.tallies[*job]).collect(),
            jobs,
            moved: HashMap::new(),
            in_memory: HashMap::new(),
            memory: Vec::new(),
            progress: Progress::of(&self.queue, self.night, self.now),
            account,
            order: Order::default(),
            canaries,
        };
        for stored in self.queue.rescue() {
            let keys = self.keys(stored.job, &stored.request);
            let job = session.jobs.iter().position(|job| *job == stored.job);
            if let Some(job) = job {
                session.takes_in(&stored.request);
                session.canaries[job].rescued(&stored.request);
            }
            session.progress.rescued(stored.request.id);
            self.handle(&mut session, Event::Recovered { job, request: stored.request, keys });
        }
        self.handle(&mut session, Event::Tick);
        session
    }

    /// Lives through a session, up to its end or what befalls it.
    fn session(&mut self, session: &mut Session<'_>, fortune: Fortune) {
        let mut fortune = Some(fortune);
        while session.brain.end().is_none() && self.violation.is_none() {
            match fortune {
                Some(Fortune::Kill(events)) if session.events >= events => return,
                Some(Fortune::Signal(events)) if session.events >= events => {
                    fortune = None;
                    self.handle(session, Event::Stop(StopReason::Signal(StopSignal::Terminate)));
                }
                Some(Fortune::Deadline(events)) if session.events >= events => {
                    fortune = None;
                    self.handle(session, Event::Stop(StopReason::Deadline));
                }
                Some(_) | None => self.step(session),
            }
        }
    }

    fn step(&mut self, session: &mut Session<'_>) {
        self.report.events += 1;
        if self.report.events > MOST_EVENTS {
            return self.fail(Invariant::Terminates, "too many events".into());
        }
        let due = self.agenda.first_key_value().map(|((due, _), _)| *due);
        let wake = session.brain.wake_at().map(|wake| session.started + wake);
        match (due, wake) {
            (None, None) => self.fail(Invariant::Terminates, "nothing will ever happen again".into()),
            (due, Some(wake)) if due.is_none_or(|due| wake < due) => {
                self.now = self.now.max(wake);
                self.handle(session, Event::Tick);
                if session.brain.wake_at().is_some_and(|wake| session.started + wake <= self.now) {
                    self.fail(Invariant::Sleeps, "after a tick, the next one is due at once".into());
                }
            }
            (Some(_), _) => {
                let ((due, _), (number, happening)) = self.agenda.pop_first().expect("it was there");
                self.now = self.now.max(due);
                self.happen(session, number, happening);
            }
            (None, Some(_)) => unreachable!("covered by the guard"),
        }
    }

    fn happen(&mut self, session: &mut Session<'_>, number: u64, happening: Happening) {
        // Of a killed runner only what has left is still of concern.
        let alive = number == session.number;
        match happening {
            Happening::Arrive(call) => self.arrive(call),
            Happening::Finish(call) => self.finish(call),
            Happening::Deliver(event) if alive => self.deliver(session, event),
            Happening::Read(command) if alive => self.read(session, &command),
            Happening::CommitIsDue if alive => self.commit(session),
            Happening::Committed if alive => self.committed(session),
            Happening::Slot(job) if alive => self.slot(session, job),
            Happening::Leave(call) if alive => self.leave(session, call),
            Happening::Reply(call, event) if alive => self.reply(session, call, event),
            Happening::Deliver(_)
            | Happening::Read(_)
            | Happening::CommitIsDue
            | Happening::Committed
            | Happening::Slot(_)
            | Happening::Leave(_)
            | Happening::Reply(..) => {}
        }
    }

    fn end(&mut self, mut session: Session<'_>) {
        match session.brain.end() {
            Some(end) => {
                self.report.ends.push((self.now, end.clone()));
                for (at, job) in session.jobs.iter().enumerate() {
                    if *session.brain.tally(at) != self.queue.tallies[*job] {
                        self.fail(Invariant::SumsAgree, format!("job {job} at the end"));
                    }
                }
                if let Some(since) = session.account.open_since() {
                    session.progress.everyone_waits(self.now.saturating_sub(since));
                }
                if end == End::Complete {
                    match session.progress.check() {
                        Ok(groups) => self.report.bounds_checked += groups,
                        Err(what) => self.fail(Invariant::UnrelatedDoNotWait, what),
                    }
                }
            }
            // Killed in the middle of a commit: it is durable or it is not.
            None => {
                if let Some(changes) = session.committing
                    && self.dice.random_bool(0.5)
                {
                    changes.into_iter().for_each(|change| drop(self.write(change)));
                }
            }
        }
        if let Some(what) = session.order.overtaken() {
            self.fail(Invariant::NobodyIsOvertaken, what);
        }
        let most = most(session.memory, &session.in_memory);
        if most > MOST_IN_MEMORY * session.jobs.len() {
            self.fail(Invariant::MemoryIsBounded, format!("{most} requests"));
        }
        self.report.most_in_memory = self.report.most_in_memory.max(most);
    }

    fn check_the_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let rows: u64 = self.night.jobs.iter().flat_map(|job| &job.requests).map(Request::row_count).sum();
        let pending: u64 = self.queue.tallies.iter().map(|tally| tally[Outcome::Pending]).sum();
        if (self.outcomes.len() as u64, pending) != (rows, 0) {
            self.fail(Invariant::EveryRowOnce, format!("{} of {rows} rows have an outcome", self.outcomes.len()));
        }
    }

    fn fail(&mut self, invariant: Invariant, what: String) {
        self.violation.get_or_insert(Violation { invariant, at: self.now, what });
    }

    fn on(&mut self, session: &Session<'_>, due: Duration, happening: Happening) {
        self.agenda.insert((due, self.agenda_length), (session.number, happening));
        self.agenda_length += 1;
    }

    /// Puts an event into the loop's inbox, which keeps their order.
    fn tell(&mut self, session: &mut Session<'_>, event: Event) {
        let due = (self.now + self.night.weather.lag).max(session.inbox_after);
        session.inbox_after = due;
        self.on(session, due, Happening::Deliver(event));
    }

    fn keys(&self, job: usize, request: &Request) -> Keys {
        self.night.jobs[job].operation.keys(request)
    }
}
