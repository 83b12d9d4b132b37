//! The interface of the scheduler: the real schedule, or one with a planted bug.

use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Action, End, Event, Now, Schedule, ScheduledJob, StopReason};

/// The operations that the simulated world uses.
pub(crate) trait SchedulerUnderTest {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Action>;
    fn wake_at(&self) -> Option<Now>;
    fn ends(&self) -> Option<Vec<End>>;
    fn stop_of(&self, job: usize) -> Option<&StopReason>;
    /// The number of probes that were sent in the current outage. None if there is no outage.
    fn probes(&self) -> Option<u32>;
    fn tally(&self, job: usize) -> &Tally;
}

/// Creates the scheduler of each session.
pub(crate) type MakeScheduler = dyn Fn(Vec<ScheduledJob>, u64) -> Box<dyn SchedulerUnderTest>;

impl SchedulerUnderTest for Schedule {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        self.handle(now, event)
    }

    fn wake_at(&self) -> Option<Now> {
        self.wake_at()
    }

    fn ends(&self) -> Option<Vec<End>> {
        self.ends()
    }

    fn stop_of(&self, job: usize) -> Option<&StopReason> {
        self.stop_of(job)
    }

    fn probes(&self) -> Option<u32> {
        self.outage(Now::ZERO).map(|outage| outage.probes)
    }

    fn tally(&self, job: usize) -> &Tally {
        self.tally(job)
    }
}

/// The real schedule, without a bug.
pub(crate) fn real_scheduler(jobs: Vec<ScheduledJob>, seed: u64) -> Box<dyn SchedulerUnderTest> {
    Box::new(Schedule::new(jobs, seed))
}
