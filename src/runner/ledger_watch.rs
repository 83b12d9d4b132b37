//! Whether the ledger is still the file that other processes use, and whether its lock can be taken.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::{CALLS_END_AFTER_LOSS, Event, Runner, RunnerError, StopReason};
use crate::domain::hint::{Hint, Message};
use crate::rate_limiter::LedgerError;
use crate::stderr::tell;

/// A lock that is held this long is reported …
const LOCKED_LONG: Duration = Duration::from_secs(1);
/// … and then at this interval.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// What the runner knows of the ledger.
#[derive(Debug, Default)]
pub(super) struct LedgerState {
    /// When it was found that nothing may be sent any more, and why.
    lost: Option<(Instant, LedgerError)>,
    /// The time of the last report that another process holds the lock.
    reported: Option<Instant>,
}

impl Runner<'_> {
    /// Stops if the ledger is lost, ends once its calls in flight had their time, and reports a lock that is held.
    pub(super) fn look_at_the_ledger(&mut self) -> Result<(), RunnerError> {
        match &self.ledger.lost {
            Some((since, _)) if since.elapsed() >= CALLS_END_AFTER_LOSS => return self.refuse_lost_ledger(),
            Some(_) => {}
            None => {
                if let Err(error) = self.jobs.iter().try_for_each(|job| job.limiter.check()) {
                    self.lose_ledger(error);
                }
            }
        }
        self.tell_of_lock();
        Ok(())
    }

    /// Nothing more is sent; what is in flight is still recorded.
    pub(super) fn lose_ledger(&mut self, error: LedgerError) {
        if self.ledger.lost.is_none() {
            let why = Message { text: error.to_string(), hint: error.hint().map(Cow::into_owned) };
            self.ledger.lost = Some((Instant::now(), error));
            self.handle(Event::Stop(StopReason::LedgerLost(why)));
        }
    }

    /// Fails where the ledger is lost.
    pub(super) fn refuse_lost_ledger(&mut self) -> Result<(), RunnerError> {
        let Some((_, source)) = self.ledger.lost.take() else { return Ok(()) };
        let now = self.take_snapshot();
        Err(RunnerError::LedgerLost { source, recorded: now.units, unrecorded: self.unrecorded() })
    }

    fn tell_of_lock(&mut self) {
        let locked = self.jobs.iter().find_map(|job| job.limiter.locked());
        let Some((lasts, error)) = locked.filter(|(lasts, _)| *lasts >= LOCKED_LONG) else {
            return;
        };
        if !self.schedule.is_stopping() && self.ledger.reported.is_none_or(|reported| reported.elapsed() >= TELL_EVERY)
        {
            self.ledger.reported = Some(Instant::now());
            tell(format!("waiting for {} s; nothing is sent until then: {}", lasts.as_secs(), error));
        }
    }
}
