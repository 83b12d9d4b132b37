//! The interface of the scheduler: the real schedule, or one with a planted bug.

use std::time::Duration;

use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Action, End, Event, Schedule, ScheduleTime, ScheduledJob, StopReason};

/// The operations that the simulated world uses. Moments are times since the start of the session.
pub(crate) trait SchedulerUnderTest {
    fn handle(&mut self, now: Duration, event: Event) -> Vec<Action>;
    fn wake_at(&self) -> Option<Duration>;
    fn ends(&self) -> Option<Vec<End>>;
    fn stop_of(&self, job: usize) -> Option<&StopReason>;
    /// The number of probes that were sent in the current outage of a job's app. None if there is no outage.
    fn probes(&self, job: usize) -> Option<u32>;
    fn tally(&self, job: usize) -> &Tally;
}

/// Creates the scheduler of each session.
pub(crate) type MakeScheduler = dyn Fn(Vec<ScheduledJob>, u64) -> Box<dyn SchedulerUnderTest>;

impl SchedulerUnderTest for Schedule {
    fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.handle(ScheduleTime::after_start(now), event)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.wake_at().map(ScheduleTime::since_start)
    }

    fn ends(&self) -> Option<Vec<End>> {
        let end = |stop: Option<StopReason>| stop.map_or(End::Complete, End::Stopped);
        self.is_over().then(|| self.stops().into_iter().map(end).collect())
    }

    fn stop_of(&self, job: usize) -> Option<&StopReason> {
        self.stop_of(job)
    }

    fn probes(&self, job: usize) -> Option<u32> {
        self.outage(self.app_of(job), ScheduleTime::START).map(|outage| outage.probes)
    }

    fn tally(&self, job: usize) -> &Tally {
        self.tally(job)
    }
}

/// The real schedule, without a bug.
pub(crate) fn real_scheduler(jobs: Vec<ScheduledJob>, seed: u64) -> Box<dyn SchedulerUnderTest> {
    Box::new(Schedule::new(jobs, seed))
}
