//! Decides what is sent when. Each event leads to actions; time is an argument, and a seed decides random delays.
//!
//! A request moves through these stages (`stage.rs`):
//!
//! ```text
//! Stored ─────┐
//! Parked ─────┼─► AwaitingLease ──► Ready ──► Intending ──► AwaitingSlot ──► InFlight ──► Recording ──► Stored
//! Recovered ──┤                       ▲           │               │                           │
//! BackingOff ─┘                       └──── Withdrawing ◄─────────┘                           │
//!     ▲                                                                                       │
//!     └─────────────────────────────── items that are sent again ─────────────────────────────┘
//! ```
//!
//! | to | when |
//! | --- | --- |
//! | `Parked` | [`Event::Page`] brings a request of which an account is crowded, or written by a recovered request |
//! | `Recovered` | [`Event::Recovered`] brings it |
//! | `AwaitingLease` | [`Event::Page`], [`Event::ParkedRead`], `Changed::Reopened`, or the end of its delay |
//! | `Ready` | all its accounts are free, perhaps at once; or, with its lease, a call is withdrawn or repeated |
//! | `Intending` | it has its turn; `Change::Intend` follows |
//! | `AwaitingSlot` | `Changed::Intended`; [`Action::Send`] follows |
//! | `Withdrawing` | [`Event::HeldBack`], or its job is paused or stops; `Change::Withdraw` follows |
//! | `InFlight` | [`Event::Sent`] |
//! | `Recording` | [`Event::Replied`]; `Change::Record` follows |
//! | `BackingOff` | `Changed::Recorded`, with the items that are sent again |
//! | `Stored` | `Changed::Recorded`, or its job stops: before its intent, or after its intent was withdrawn |
//!
//! A request holds the lease of all accounts that it writes from `Ready` until its result is on disk. After a call
//! without an answer, the result is stored only when the server cannot be writing any more. A request is `sending` on
//! disk as long as it may be in flight, so the accounts are safe across a kill as well. Waiting requests use no thread
//! and no connection.

mod admission;
mod app;
mod backoff;
mod breaker;
mod canary;
mod dispatch;
mod event;
mod job;
mod leases;
mod lifecycle;
mod parking;
mod pausing;
mod recovered;
mod request_state;
mod retry_budget;
mod scheduled_job;
mod stage;
mod stop;
mod stopping;
mod time;
mod timers;
mod usersig_state;
mod waiting;

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::change::Change;
use super::ids::RequestId;
use super::outage::Outage;
use super::response::tally::Tally;
pub use app::AppNo;
use app::AppState;
pub use backoff::delay;
pub use event::{Action, CallToSend, Event};
use job::JobState;
use leases::{LeaseId, Leases};
use parking::Parking;
use recovered::RecoveredRequests;
use request_state::{PendingRecord, RequestState};
pub use scheduled_job::{JobNo, ScheduledJob};
use stage::{Stage, StageCounts};
pub use stop::{CloseFuse, DeadlineKey, End, StopReason, StopScope, StopSignal, StoredStops};
pub use time::{CONNECT_AFTER_CHECK, QUARANTINE, ScheduleTime};
use timers::{Timer, Timers};

/// How many requests a page has.
const REQUESTS_PER_PAGE: u32 = 256;

/// A map by our own numbers or by hashes of accounts. No attacker chooses these keys, so a fast hash is safe.
type Numbered<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// The schedule of all jobs that run together.
#[derive(Debug)]
pub struct Schedule {
    jobs: Vec<JobState>,
    apps: Vec<AppState>,
    leases: Leases,
    /// Requests that wait for their lease or have it, until they are answered.
    requests: Numbered<RequestId, RequestState>,
    /// Requests that wait for their lease.
    waiting: Numbered<LeaseId, RequestId>,
    /// Answered requests whose result is not on disk yet.
    pending_records: Numbered<RequestId, PendingRecord>,
    parking: Parking,
    recovered: RecoveredRequests,
    timers: Timers,
    rng: SmallRng,
}

impl Schedule {
    /// A schedule for these jobs. `seed` decides the random delays.
    pub fn new(jobs: Vec<ScheduledJob>, seed: u64) -> Self {
        Self {
            apps: AppState::of(&jobs),
            jobs: jobs.into_iter().map(JobState::new).collect(),
            leases: Leases::default(),
            requests: Numbered::default(),
            waiting: Numbered::default(),
            pending_records: Numbered::default(),
            parking: Parking::default(),
            recovered: RecoveredRequests::default(),
            timers: Timers::default(),
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// Takes in an event and returns what the runner must do, in this order.
    ///
    /// # Panics
    /// If the event cannot follow the earlier ones. Then the runner or the queue has a bug, and stopping is safer than
    /// sending.
    #[must_use]
    pub fn handle(&mut self, now: ScheduleTime, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Recovered { job, request, keys } => self.recovered(now, job, request, &keys),
            Event::Page { job, requests } => self.page(job, requests),
            Event::ParkedRead { job, request } => self.parked_read(job, request, &mut out),
            Event::Sent(request) => self.sent(now, request),
            Event::HeldBack(id) => self.withdraw(id, Stage::AwaitingSlot, &mut out),
            Event::Replied { request, result, generation } => {
                self.replied(now, request, &result, generation, &mut out);
            }
            Event::Changed(changed) => self.changed(now, changed, &mut out),
            Event::NotRenewed { job, code, fallback } => self.not_renewed(job, code, fallback, &mut out),
            Event::Tick => {}
            Event::Stop(reason) => self.stop((0..self.jobs.len()).collect(), &reason, &mut out),
            Event::DayUsedUp { job, day } => {
                self.stop(self.jobs_of(self.app_of(job)), &StopReason::CallsPerDay(day), &mut out);
            }
            Event::Pause(job) => self.pause(job, &mut out),
            Event::Resume(job) => self.jobs[job].resume(),
            Event::SetRate { job, calls_per_second } => self.jobs[job].set_rate(calls_per_second),
        }
        self.watch_pauses(now);
        self.fire_timers(now, &mut out);
        self.stop_if_patience_is_over(now, &mut out);
        self.fetch(&mut out);
        self.dispatch(now, &mut out);
        out
    }

    /// When [`Event::Tick`] is due.
    pub fn wake_at(&self) -> Option<ScheduleTime> {
        // A probe that cannot be sent is never due. Otherwise the runner would wake again and again for nothing.
        let has_probe = |job: &JobState| !job.ready().is_empty() && job.may_send_more();
        let may_probe = |app: &AppNo| self.states_of(*app).any(has_probe);
        let probes = self.app_numbers().filter(may_probe).filter_map(|app| self.apps[app].breaker.next_probe_at());
        let give_ups = self.app_numbers().filter_map(|app| self.patience_ends_at(app));
        self.timers.next_due().into_iter().chain(probes).chain(give_ups).min()
    }

    /// Whether no job goes on. After an outage requests may still be `sending` on disk. The next session treats them as
    /// after a kill.
    pub fn is_over(&self) -> bool {
        let is_over = |app: AppNo| self.apps[app].abandons_calls || self.states_of(app).all(JobState::is_over);
        self.app_numbers().all(is_over)
    }

    /// Why a job stops, if it does.
    pub fn stop_of(&self, job: JobNo) -> Option<&StopReason> {
        self.jobs[job].stop()
    }

    /// Why each job stops, if it does.
    pub fn stops(&self) -> Vec<Option<StopReason>> {
        self.jobs.iter().map(|job| job.stop().cloned()).collect()
    }

    /// Whether no job goes on: each is over or stops, and at least one stops.
    pub fn is_stopping(&self) -> bool {
        are_stopping(self.jobs.iter())
    }

    /// Whether no job of an app goes on.
    pub fn app_is_stopping(&self, app: AppNo) -> bool {
        are_stopping(self.states_of(app))
    }

    /// Whether nothing of a job is left to do in this session.
    pub fn job_is_over(&self, job: JobNo) -> bool {
        self.jobs[job].is_over()
    }

    /// Whether requests of a job are left that may be sent.
    pub fn is_sending(&self, job: JobNo) -> bool {
        !self.jobs[job].is_over() && self.jobs[job].is_active()
    }

    /// Rows of a job by outcome, as far as they are on disk.
    pub fn tally(&self, job: JobNo) -> &Tally {
        &self.jobs[job].scheduled.tally
    }

    /// How many requests of a job have left and have no result on disk yet.
    pub fn unrecorded(&self, job: JobNo) -> usize {
        self.jobs[job].counts().sent()
    }

    /// How many calls of a job were sent and are not answered yet.
    pub fn in_flight(&self, job: JobNo) -> usize {
        self.jobs[job].counts().requests(Stage::InFlight)
    }

    /// Items of all requests from their intent to their stored result.
    pub fn items_under_way(&self) -> u64 {
        self.counts().map(StageCounts::items_under_way).sum::<usize>() as u64
    }

    /// The outage of an app, if there is one.
    pub fn outage(&self, app: AppNo, now: ScheduleTime) -> Option<Outage> {
        self.apps[app].breaker.outage(now)
    }

    /// Whether the circuit breaker of an app is open because its retry budget cannot pay for a repetition.
    pub fn retry_budget_is_empty(&self, app: AppNo) -> bool {
        self.apps[app].breaker.retry_budget_is_empty()
    }

    /// The jobs whose canary has not passed.
    pub fn open_canaries(&self) -> Vec<JobNo> {
        (0..self.jobs.len()).filter(|job| self.jobs[*job].canary.is_open()).collect()
    }

    /// The jobs that came close to their fuse.
    pub fn close_fuses(&self) -> Vec<CloseFuse> {
        let of = |(job, state): (JobNo, &JobState)| {
            let failed_share = state.scheduled.stop.failed_share;
            state.close_fuse().map(|counts| CloseFuse { job, counts, failed_share })
        };
        self.jobs.iter().enumerate().filter_map(of).collect()
    }

    fn counts(&self) -> impl Iterator<Item = &StageCounts> {
        self.jobs.iter().map(JobState::counts)
    }

    /// Requests from their intent to their stored result.
    fn under_way(&self) -> usize {
        self.counts().map(StageCounts::under_way).sum()
    }

    fn fire_timers(&mut self, now: ScheduleTime, out: &mut Vec<Action>) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Release(lease) => self.release(lease, out),
                Timer::Rejoin(job, request, _) if self.jobs[job].stop().is_some() => {
                    self.jobs[job].moved(Stage::BackingOff, Stage::Stored, request.items.len(), false);
                }
                Timer::Rejoin(job, request, previous) => {
                    let keys = self.keys_of(job, &request);
                    self.request_lease((job, request, keys), Stage::BackingOff, Some(previous));
                }
                Timer::PrepareAgain(state) => self.prepare_again(state, out),
                Timer::Record(job, settlement) => {
                    let run = self.jobs[job].scheduled.run;
                    out.push(Action::commit_now(Change::Record { run, settlement }));
                }
                Timer::Reopen(id) => out.push(Action::commit_now(Change::Reopen(id))),
                Timer::AbandonCalls(app) => self.apps[app].abandons_calls = true,
            }
        }
    }
}

/// Whether none of these jobs goes on: each is over or stops, and at least one stops.
fn are_stopping<'a>(jobs: impl Iterator<Item = &'a JobState> + Clone) -> bool {
    let goes_on = |job: &JobState| job.stop().is_none() && !job.is_over();
    !jobs.clone().any(goes_on) && jobs.into_iter().any(|job| job.stop().is_some())
}
