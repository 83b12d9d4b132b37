//! Takes the snapshots that are shown and written to the queue.

use std::collections::HashMap;
use std::time::Duration;

use super::{Runner, RunnerJob};
use crate::domain::bottleneck::{Bottleneck, SpeedFigures, ThrottledRate, bottleneck};
use crate::domain::progress::{LatencyMeter, ProgressSnapshot, RateMeter};
use crate::domain::rate_limit::speed::{Pressure, Speed};
use crate::domain::response::outcome::Outcome;
use crate::domain::schedule::{AppNo, JobNo};
use crate::domain::session_state::{AppCondition, SessionState};
use crate::rate_limiter::LimiterStatus;

/// What is measured of an app.
#[derive(Debug, Default)]
pub(super) struct AppMeter {
    meter: RateMeter,
    pub(super) latencies: LatencyMeter,
    /// What limits the speed of its jobs.
    pub(super) bottleneck: Option<Bottleneck>,
    /// The generation of the UserSig that the API refused last, and the code of the refusal.
    pub(super) refused_usersig: Option<(u64, i64)>,
}

impl Runner<'_> {
    pub(super) fn take_snapshot(&mut self) -> ProgressSnapshot {
        let jobs = 0..self.jobs.len();
        let rows = |outcome| jobs.clone().map(|job| self.schedule.tally(job)[outcome]).sum::<u64>();
        let total = jobs.clone().map(|job| self.schedule.tally(job).total()).sum();
        let done = total - rows(Outcome::Pending);
        let mut snapshot = ProgressSnapshot {
            elapsed: self.started.elapsed(),
            rows_done: done,
            rows_total: Some(total),
            bytes: None,
            units: done - self.done_before,
            calls: self.calls.iter().map(|calls| calls.counts().calls).sum(),
            failed: rows(Outcome::Failed) + rows(Outcome::InDoubt),
            in_flight: self.in_flight(),
            cap: self.schedule.app_numbers().map(|app| self.cap(app)).sum(),
            bottleneck: None,
            slowest_app: None,
            state: self.state(),
        };
        for app in self.schedule.app_numbers() {
            let figures = self.speed_figures(app, snapshot.elapsed);
            self.apps[app].bottleneck = bottleneck(&figures);
        }
        if let Some(app) = self.slowest_app() {
            snapshot.bottleneck.clone_from(&self.apps[app].bottleneck);
            let differs = self.apps.iter().any(|other| other.bottleneck != snapshot.bottleneck);
            snapshot.slowest_app = self.schedule.named_app(app).filter(|_| differs);
        }
        snapshot
    }

    /// The app with the most rows left, if any app goes on.
    fn slowest_app(&self) -> Option<AppNo> {
        let rows_left = |app| self.jobs_of(app).map(|job| self.schedule.tally(job)[Outcome::Pending]).sum::<u64>();
        self.schedule.app_numbers().max_by_key(|app| (!self.schedule.app_is_stopping(*app), rows_left(*app)))
    }

    /// The jobs of an app.
    fn jobs_of(&self, app: AppNo) -> impl Iterator<Item = JobNo> {
        (0..self.jobs.len()).filter(move |job| self.schedule.app_of(*job) == app)
    }

    /// Calls in flight, of all jobs.
    fn in_flight(&self) -> u64 {
        (0..self.jobs.len()).map(|job| self.schedule.in_flight(job) as u64).sum()
    }

    /// Requests that were sent and have no result on disk, of all jobs.
    pub(super) fn unrecorded(&self) -> u64 {
        (0..self.jobs.len()).map(|job| self.schedule.unrecorded(job) as u64).sum()
    }

    fn state(&self) -> SessionState {
        SessionState {
            apps: self.schedule.app_numbers().map(|app| self.condition(app)).collect(),
            open_canaries: self.schedule.open_canaries(),
            close_fuses: self.schedule.close_fuses(),
            stops: self.stops(),
            is_stopping: self.schedule.is_stopping(),
        }
    }

    fn condition(&self, app: AppNo) -> AppCondition {
        AppCondition {
            app: self.schedule.named_app(app),
            throttled: self.throttle(app).map(|rate| rate.calls_per_second),
            outage: self.schedule.outage(app, self.now()),
            retry_budget_is_empty: self.schedule.retry_budget_is_empty(app),
            usersig: self.jobs_of(app).map(|job| self.jobs[job].client.usersig_generation()).max().unwrap_or_default(),
            refused_usersig: self.apps[app].refused_usersig,
        }
    }

    fn speed_figures(&mut self, app: AppNo, elapsed: Duration) -> SpeedFigures {
        let calls = self.jobs_of(app).map(|job| self.calls[job].counts().calls).sum();
        let measured = ProgressSnapshot { elapsed, calls, ..ProgressSnapshot::default() };
        let calls_per_second = self.apps[app].meter.rates(&measured).calls;
        SpeedFigures {
            cap: self.cap(app),
            calls_per_second,
            throttle: self.throttle(app),
            in_flight: self.jobs_of(app).map(|job| self.schedule.in_flight(job) as u64).sum(),
            reached_max_in_flight: self.schedule.reached_max_in_flight(app),
            median_latency: self.apps[app].latencies.median(),
            waiting: self.schedule.waiting(app),
            canary: self.schedule.canary_progress(app),
            outage: self.schedule.outage(app, self.now()),
            retry_budget_is_empty: self.schedule.retry_budget_is_empty(app),
            pause: self
                .jobs_of(app)
                .find_map(|job| self.control.pause(job))
                .filter(|_| self.schedule.is_paused(app))
                .cloned(),
            is_stopping: self.schedule.app_is_stopping(app),
        }
    }

    /// The calls per second of all commands of an app that are being sent, as far as the limit of the app allows them.
    fn cap(&self, app: AppNo) -> u32 {
        let mut caps: HashMap<&str, (u32, u32)> = HashMap::new();
        for job in self.jobs_of(app).filter(|job| self.schedule.is_sending(*job)) {
            let RunnerJob { limiter, scheduled, .. } = &self.jobs[job];
            let LimiterStatus { command, app } = limiter.status();
            caps.insert(scheduled.operation.name, (command.cap.get(), app.cap.get()));
        }
        let app = caps.values().map(|(_, app)| *app).min().unwrap_or_default();
        caps.values().fold(0, |sum: u32, (command, _)| sum.saturating_add(*command)).min(app)
    }

    /// The rate of the throttle, if the API throttles the app.
    fn throttle(&self, app: AppNo) -> Option<ThrottledRate> {
        let speeds = self
            .jobs_of(app)
            .map(|job| self.jobs[job].limiter.status())
            .flat_map(|status| [status.command, status.app]);
        let slowest = speeds.filter(is_throttled).min_by(|a, b| a.allowed.total_cmp(&b.allowed))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the cap")]
        let calls_per_second = slowest.allowed as u32;
        let resumes_in = match slowest.pressure {
            Pressure::Paused { remaining } => Some(remaining),
            Pressure::None | Pressure::Recovering | Pressure::Probing => None,
        };
        Some(ThrottledRate { calls_per_second, resumes_in })
    }
}

fn is_throttled(speed: &Speed) -> bool {
    match speed.pressure {
        Pressure::None => false,
        Pressure::Paused { .. } | Pressure::Recovering | Pressure::Probing => true,
    }
}
