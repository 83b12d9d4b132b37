//! Ends a session whose backup cannot be written any more.

use tokio::time::Instant;

use super::{BackupError, Runner, RunnerError};
use crate::api::CALL_TIMEOUT;
use crate::domain::schedule::{Event, StopReason};

impl Runner<'_> {
    /// Nothing more is sent; the calls in flight are still recorded.
    pub(super) fn fail_backup(&mut self, error: BackupError) {
        if self.failed_backup.is_none() {
            let why = error.to_string();
            self.failed_backup = Some((Instant::now(), error));
            self.handle(Event::Stop(StopReason::BackupFailed(why)));
        }
    }

    /// Fails once no call is in flight. The requests whose backup could not be written wait for their record, so the
    /// schedule does not end by itself.
    pub(super) fn look_at_the_backup(&mut self) -> Result<(), RunnerError> {
        let is_idle = (0..self.jobs.len()).all(|job| self.schedule.in_flight(job) == 0);
        match self.failed_backup.take_if(|(since, _)| is_idle || since.elapsed() >= CALL_TIMEOUT) {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        }
    }
}
