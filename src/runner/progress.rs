//! Takes the snapshots that are shown and written to the queue.

use std::collections::HashMap;

use super::Runner;
use crate::domain::bottleneck::{SpeedFigures, ThrottledRate, bottleneck};
use crate::domain::progress::ProgressSnapshot;
use crate::domain::rate_limit::speed::{Pressure, Speed};
use crate::domain::response::outcome::Outcome;
use crate::domain::session_state::SessionState;
use crate::rate_limiter::LimiterStatus;

impl Runner<'_> {
    pub(super) fn snapshot(&mut self) -> ProgressSnapshot {
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
            cap: self.cap(),
            bottleneck: None,
            state: self.state(),
        };
        self.rates = self.meter.rates(&snapshot);
        snapshot.bottleneck = bottleneck(&self.speed_figures(&snapshot));
        snapshot
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
            throttled: self.throttle().map(|rate| rate.calls_per_second),
            outage: self.schedule.outage(self.now()),
            retry_budget_is_empty: self.schedule.retry_budget_is_empty(),
            open_canaries: self.schedule.open_canaries(),
            close_fuses: self.schedule.close_fuses(),
            usersig: self.jobs.iter().map(|job| job.client.usersig_generation()).max().unwrap_or_default(),
            refused_usersig: self.refused_usersig,
            stops: self.stops(),
            is_stopping: self.schedule.is_stopping(),
        }
    }

    fn speed_figures(&self, now: &ProgressSnapshot) -> SpeedFigures {
        SpeedFigures {
            cap: now.cap,
            calls_per_second: self.rates.calls,
            throttle: self.throttle(),
            in_flight: now.in_flight,
            reached_max_in_flight: self.schedule.reached_max_in_flight(),
            median_latency: self.latencies.median(),
            waiting: self.schedule.waiting(),
            canary: self.schedule.canary_progress(),
            outage: self.schedule.outage(self.now()),
            retry_budget_is_empty: self.schedule.retry_budget_is_empty(),
            pause: self.control.any_pause().filter(|_| self.schedule.is_paused()).cloned(),
            is_stopping: self.schedule.is_stopping(),
        }
    }

    /// The calls per second of all commands that are being sent, as far as the limit of the app allows them.
    fn cap(&self) -> u32 {
        let mut caps: HashMap<&str, (u32, u32)> = HashMap::new();
        for (_, job) in self.jobs.iter().enumerate().filter(|(job, _)| self.schedule.is_sending(*job)) {
            let LimiterStatus { command, app } = job.limiter.status();
            caps.insert(job.scheduled.operation.name, (command.cap.get(), app.cap.get()));
        }
        let app = caps.values().map(|(_, app)| *app).min().unwrap_or_default();
        caps.values().fold(0, |sum: u32, (command, _)| sum.saturating_add(*command)).min(app)
    }

    /// The rate of the throttle, if the API throttles.
    fn throttle(&self) -> Option<ThrottledRate> {
        let speeds = self.jobs.iter().map(|job| job.limiter.status()).flat_map(|status| [status.command, status.app]);
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
