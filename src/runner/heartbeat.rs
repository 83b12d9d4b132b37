//! Stores the progress of each run in the queue about once a second, for `imbulk status` in other processes. Usually
//! the transaction holds outcomes as well, so that it costs no write to the disk of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{Runner, RunnerJob};
use crate::clock;
use crate::domain::bottleneck::Bottleneck;
use crate::domain::change::Change;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::heartbeat::Rates;
use crate::domain::progress::{ProgressSnapshot, RateMeter};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::schedule::JobNo;

/// How often the progress is stored.
const EVERY: Duration = Duration::from_secs(1);

/// What the heartbeats of a session need.
pub(super) struct Heartbeats {
    /// When the session began, in milliseconds since 1970.
    began_at: i64,
    stored: Option<Instant>,
    jobs: Vec<JobMeter>,
}

/// What is measured of one job.
struct JobMeter {
    /// Rows by outcome when the session began.
    before: Tally,
    meter: RateMeter,
}

impl Heartbeats {
    pub(super) fn new(jobs: &[RunnerJob]) -> Self {
        let meter = |job: &RunnerJob| JobMeter { before: job.scheduled.tally, meter: RateMeter::default() };
        Self { began_at: clock::now().as_millisecond(), stored: None, jobs: jobs.iter().map(meter).collect() }
    }
}

impl Runner<'_> {
    /// Stores the heartbeats and the time series if they are due.
    pub(super) fn store_progress_if_due(&mut self, now: &ProgressSnapshot) {
        self.observe_series(now.elapsed);
        self.store_heartbeats_if_due(now);
        self.store_series_if_due();
    }

    /// Stores the last heartbeats and the time series at the end of the session.
    pub(super) fn store_last_progress(&mut self, now: &ProgressSnapshot) {
        self.observe_series(now.elapsed);
        self.heartbeats.stored = None;
        self.store_heartbeats_if_due(now);
        self.store_last_series();
    }

    /// Stores the heartbeats if they are due.
    fn store_heartbeats_if_due(&mut self, now: &ProgressSnapshot) {
        let is_due = self.heartbeats.stored.is_none_or(|stored| stored.elapsed() >= EVERY);
        for job in 0..self.jobs.len() {
            let rates = self.measure_rates(job, now.elapsed);
            if is_due {
                self.store_heartbeat(job, rates);
            }
        }
        if is_due {
            self.heartbeats.stored = Some(Instant::now());
        }
    }

    /// The rates of a job in the last seconds.
    fn measure_rates(&mut self, job: JobNo, elapsed: Duration) -> Rates {
        let JobMeter { before, meter } = &mut self.heartbeats.jobs[job];
        let units = before[Outcome::Pending].saturating_sub(self.schedule.tally(job)[Outcome::Pending]);
        let calls = self.calls[job].counts().calls;
        meter.rates(&ProgressSnapshot { elapsed, units, calls, ..ProgressSnapshot::default() })
    }

    /// What limits the speed of a job.
    pub(super) fn bottleneck_of(&self, job: JobNo) -> Option<Bottleneck> {
        let pause = self.control.pause(job).cloned().map(Bottleneck::Pause);
        pause.or_else(|| self.apps[self.schedule.app_of(job)].bottleneck.clone())
    }

    fn store_heartbeat(&mut self, job: JobNo, rates: Rates) {
        let median_latency = self.apps[self.schedule.app_of(job)].latencies.median();
        let heartbeat = Heartbeat {
            at: clock::now().as_millisecond(),
            pid: std::process::id(),
            began_at: self.heartbeats.began_at,
            before: self.heartbeats.jobs[job].before,
            calls: self.calls[job].counts().calls,
            rates,
            in_flight: self.schedule.in_flight(job) as u64,
            median_latency,
            bottleneck: self.bottleneck_of(job),
        };
        let run = self.jobs[job].scheduled.run;
        self.recorder.write(Change::StoreHeartbeat { run, heartbeat }, false);
    }
}
