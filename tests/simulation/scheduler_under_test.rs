//! What decides: a schedule, or one whose decisions somebody tampers with.

use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Command, End, Event, JobPlan, Now, Schedule};

/// What the world asks.
pub(crate) trait SchedulerUnderTest {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Command>;
    fn wake_at(&self) -> Option<Now>;
    fn end(&self) -> Option<End>;
    fn is_stopping(&self) -> bool;
    /// How many probes were sent, while nothing else is.
    fn probes(&self) -> Option<u32>;
    fn tally(&self, job: usize) -> &Tally;
}

/// Makes one for each session.
pub(crate) type Maker = dyn Fn(Vec<JobPlan>, u64) -> Box<dyn SchedulerUnderTest>;

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

/// The schedule as it is.
pub(crate) fn honest(plans: Vec<JobPlan>, seed: u64) -> Box<dyn SchedulerUnderTest> {
    Box::new(Schedule::new(plans, seed))
}
