//! Records how each run goes over time, and stores it every few seconds. Usually the transaction holds outcomes as
//! well.

use std::time::Duration;

use tokio::time::Instant;

use super::{Runner, RunnerJob};
use crate::clock;
use crate::domain::bottleneck::BottleneckKind;
use crate::domain::change::Change;
use crate::domain::request::CallKind;
use crate::domain::schedule::JobNo;
use crate::domain::time_series::{Observation, SeriesRecorder};
use crate::queue::{QueueError, Reader};

/// How often the series are stored. A kill loses what follows the last time.
const EVERY: Duration = Duration::from_secs(5);

/// The time series of the jobs of a session.
pub(super) struct SeriesOfJobs {
    stored: Option<Instant>,
    jobs: Vec<SeriesRecorder>,
}

impl SeriesOfJobs {
    /// Goes on with the series that the queue has.
    pub(super) async fn begin(jobs: &[RunnerJob], reader: &Reader) -> Result<Self, QueueError> {
        let began_at = clock::now().as_millisecond();
        let mut recorders = Vec::new();
        for RunnerJob { scheduled, .. } in jobs {
            let earlier = reader.time_series(scheduled.run).await?;
            recorders.push(SeriesRecorder::begin(earlier, began_at, scheduled.tally));
        }
        Ok(Self { stored: None, jobs: recorders })
    }
}

impl Runner<'_> {
    /// A call of a job began.
    pub(super) fn count_call(&mut self, job: JobNo, kind: CallKind, elapsed: Duration) {
        self.calls[job].begun(elapsed);
        self.series.jobs[job].call_begun(elapsed, kind);
    }

    /// A call of a job ended.
    pub(super) fn call_ended(&mut self, job: JobNo, took: Duration) {
        self.apps[self.schedule.app_of(job)].latencies.add(took);
        self.series.jobs[job].call_ended(self.started.elapsed(), took);
    }

    /// Adds the state of each job to its series.
    pub(super) fn observe_series(&mut self, elapsed: Duration) {
        for job in 0..self.jobs.len() {
            let limits = self.jobs[job].limiter.status();
            let observation = Observation {
                elapsed,
                limited_by: BottleneckKind::of(self.bottleneck_of(job).as_ref()),
                is_over: self.schedule.job_is_over(job),
                cap: limits.command.cap.get().min(limits.app.cap.get()),
                rows: *self.schedule.tally(job),
            };
            self.series.jobs[job].observe(observation);
        }
    }

    /// Stores the series if they are due.
    pub(super) fn store_series_if_due(&mut self) {
        if self.series.stored.is_none_or(|stored| stored.elapsed() >= EVERY) {
            self.store_series();
        }
    }

    /// Stores the series with the end of each job.
    pub(super) fn store_last_series(&mut self) {
        for job in 0..self.jobs.len() {
            self.series.jobs[job].end(self.schedule.stop_of(job));
        }
        self.store_series();
    }

    fn store_series(&mut self) {
        self.series.stored = Some(Instant::now());
        for (job, recorder) in self.jobs.iter().zip(&mut self.series.jobs) {
            let change = Change::StoreTimeSeries { run: job.scheduled.run, series: recorder.to_json() };
            self.recorder.write(change, false);
        }
    }
}
