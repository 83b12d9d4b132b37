//! The interface of the scheduler: the real schedule, or one with a planted bug.

use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Command, End, Event, JobPlan, Now, Schedule};

/// The operations that the simulated world uses.
pub(crate) trait SchedulerUnderTest {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Command>;
    fn wake_at(&self) -> Option<Now>;
    fn end(&self) -> Option<End>;
    fn is_stopping(&self) -> bool;
    /// The number of probes that were sent in the current outage. None if there is no outage.
    fn probes(&self) -> Option<u32>;
    fn tally(&self, job: usize) -> &Tally;
}

/// Creates the scheduler of each session.
pub(crate) type MakeScheduler = dyn Fn(Vec<JobPlan>, u64) -> Box<dyn SchedulerUnderTest>;

impl SchedulerUnderTest for Schedule {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.handle(now, event)
    }

    fn wake_at(&self) -> Option<Now> {
        self.wake_at()
    }

    fn end(&self) -> Option<End> {
        self.end()
    }

    fn is_stopping(&self) -> bool {
        self.stopping().is_some()
    }

    fn probes(&self) -> Option<u32> {
        self.outage(Now::ZERO).map(|outage| outage.probes)
    }

    fn tally(&self, job: usize) -> &Tally {
        self.tally(job)
    }
}

/// The real schedule, without a bug.
pub(crate) fn real_scheduler(plans: Vec<JobPlan>, seed: u64) -> Box<dyn SchedulerUnderTest> {
    Box::new(Schedule::new(plans, seed))
}
