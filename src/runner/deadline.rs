//! `stop.until`: a moment on the wall clock.

use jiff::Zoned;

use crate::clock;
use crate::domain::job::TimeOfDay;

/// The next time at which the clock shows a time of day, counted from the start. The clock is looked at again and
/// again, so that it may be set, or the machine sleep, in between.
#[derive(Debug)]
pub struct Deadline(Zoned);

impl Deadline {
    /// The next time at which the clock shows it.
    pub fn starting_now(until: TimeOfDay) -> Option<Self> {
        until.next_after(&clock::local_now()).map(Self)
    }

    pub(super) fn has_come(&mut self) -> bool {
        clock::local_now() >= self.0
    }
}
