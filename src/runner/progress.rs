//! Takes the snapshots that are shown and written to the queue.

use tokio::time::Instant;

use super::{NOTE_EVERY, Runner};
use crate::clock;
use crate::domain::change::Change;
use crate::domain::ids::RunId;
use crate::domain::progress::{Bottleneck, Heartbeat, ProgressSnapshot};
use crate::domain::rate_limit::speed::{Pressure, Speed};
use crate::domain::response::outcome::Outcome;
use crate::domain::schedule::{JobNo, WaitingFor};
use crate::domain::session_state::SessionState;

impl Runner<'_> {
    pub(super) fn snapshot(&self) -> ProgressSnapshot {
        let jobs = 0..self.jobs.len();
        let rows = |outcome| jobs.clone().map(|job| self.schedule.tally(job)[outcome]).sum::<u64>();
        let total = jobs.clone().map(|job| self.schedule.tally(job).total()).sum();
        let done = total - rows(Outcome::Pending);
        ProgressSnapshot {
            elapsed: self.started.elapsed(),
            rows_done: done,
            rows_total: Some(total),
            items: done - self.done_before,
            calls: self.calls.iter().map(|calls| calls.counts().calls).sum(),
            failed: rows(Outcome::Failed) + rows(Outcome::InDoubt),
            in_flight: jobs.clone().map(|job| self.schedule.in_flight(job) as u64).sum(),
            bottleneck: self.bottleneck(),
            state: self.state(),
        }
    }

    fn state(&self) -> SessionState {
        SessionState {
            throttled: self.throttled(),
            outage: self.schedule.outage(self.started.elapsed()),
            retry_budget_is_empty: self.schedule.retry_budget_is_empty(),
            open_canaries: self.schedule.open_canaries(),
            usersig: self.jobs.iter().map(|job| job.client.usersig_generation()).max().unwrap_or_default(),
            refused_usersig: self.refused_usersig,
            stopping: self.schedule.stopping().cloned(),
        }
    }

    /// Writes the progress to the queue at an interval.
    pub(super) fn note(&mut self, now: &ProgressSnapshot) {
        let rates = self.meter.rates(now);
        if self.noted.is_some_and(|noted| noted.elapsed() < NOTE_EVERY) {
            return;
        }
        self.noted = Some(Instant::now());
        let heartbeat = Heartbeat::new(now, rates, clock::now().as_millisecond());
        let (paused, others): (Vec<JobNo>, Vec<JobNo>) =
            (0..self.jobs.len()).partition(|job| self.control.pause(*job).is_some());
        for job in paused {
            let bottleneck = self.control.pause(job).cloned().map(Bottleneck::Paused);
            self.note_runs(&[job], Heartbeat { bottleneck, ..heartbeat.clone() });
        }
        self.note_runs(&others, heartbeat);
    }

    fn note_runs(&mut self, jobs: &[JobNo], heartbeat: Heartbeat) {
        let runs: Vec<RunId> = jobs.iter().map(|job| self.jobs[*job].plan.run).collect();
        if !runs.is_empty() {
            self.recorder.write(Change::NoteProgress { runs, heartbeat }, false);
        }
    }

    fn bottleneck(&self) -> Option<Bottleneck> {
        if self.schedule.stopping().is_some() {
            return Some(Bottleneck::Draining);
        }
        if self.schedule.is_paused() {
            return self.control.any_pause().cloned().map(Bottleneck::Paused);
        }
        if let Some(outage) = self.schedule.outage(self.started.elapsed()) {
            return Some(Bottleneck::Outage(outage));
        }
        if let Some(calls_per_second) = self.throttled() {
            return Some(Bottleneck::Throttled { calls_per_second });
        }
        self.schedule.waiting_for().map(|waits| match waits {
            WaitingFor::Accounts => Bottleneck::BusyAccounts,
            WaitingFor::Delays => Bottleneck::Backoff,
        })
    }

    /// The calls per second that are sent now, if the API throttles.
    fn throttled(&self) -> Option<u32> {
        let speeds = self.jobs.iter().map(|job| job.limiter.status()).flat_map(|status| [status.command, status.app]);
        let slowest = speeds.filter(is_throttled).min_by(|a, b| a.allowed.total_cmp(&b.allowed))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the cap")]
        let calls_per_second = slowest.allowed as u32;
        Some(calls_per_second)
    }
}

fn is_throttled(speed: &Speed) -> bool {
    match speed.pressure {
        Pressure::None => false,
        Pressure::Paused { .. } | Pressure::Recovering | Pressure::Probing => true,
    }
}
