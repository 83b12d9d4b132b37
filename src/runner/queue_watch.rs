//! Checks that the queue is still the file with its name, that it is writable, and that its WAL is not too long.

use std::time::Duration;

use tokio::time::Instant;

use super::{CALLS_END_AFTER_LOSS, Event, Runner, RunnerError, StopReason, StopSignal};
use crate::domain::guard::Bytes;
use crate::queue::{Busy, Identity, Loss, QueueError};

/// A stop by a signal waits for a lock of another program no longer than this.
const TO_RECORD: Duration = Duration::from_secs(5);
/// SQLite copies the WAL into the file at 8 MiB, unless a long read transaction prevents it.
const LONG_WAL: u64 = 128 << 20;

/// What the runner watches about the queue.
pub(super) struct QueueWatch {
    pub(super) identity: Identity,
    pub(super) busy: Busy,
    /// When it was found to be lost, and how.
    pub(super) lost: Option<(Instant, Loss)>,
    pub(super) signalled: Option<(Instant, StopSignal)>,
    /// The length of the WAL at the last warning about it.
    pub(super) wal_reported: u64,
}

impl Runner<'_> {
    pub(super) fn stop_by(&mut self, signal: StopSignal) {
        self.queue_watch.signalled = Some((Instant::now(), signal));
        self.handle(Event::Stop(StopReason::Signal(signal)));
    }

    /// Stops where the queue is lost, and ends where waiting on is of no use.
    pub(super) fn look_at_the_queue(&mut self) -> Result<(), RunnerError> {
        self.check_wal_length();
        match &self.queue_watch.lost {
            Some((since, _)) if since.elapsed() >= CALLS_END_AFTER_LOSS => return self.refuse_lost_queue(),
            Some(_) => {}
            None => {
                if let Some(loss) = self.queue_watch.identity.loss() {
                    self.queue_watch.lost = Some((Instant::now(), loss));
                    self.handle(Event::Stop(StopReason::QueueLost));
                }
            }
        }
        if let Some((since, signal)) = self.queue_watch.signalled
            && since.elapsed() >= TO_RECORD
            && self.queue_watch.busy.waits_for().is_some_and(|waits| waits >= TO_RECORD)
        {
            return Err(self.busy(Some(signal)));
        }
        Ok(())
    }

    /// Fails where the queue is lost.
    pub(super) fn refuse_lost_queue(&mut self) -> Result<(), RunnerError> {
        let found = self.queue_watch.lost.take().map(|(_, loss)| loss);
        let Some(loss) = found.or_else(|| self.queue_watch.identity.loss()) else {
            return Ok(());
        };
        let (queue, now) = (self.queue_watch.identity.path().to_owned(), self.take_snapshot());
        Err(RunnerError::Lost { queue, loss, recorded: now.units, unrecorded: self.unrecorded() })
    }

    /// The loss of the queue in place of an error that it may have led to.
    pub(super) fn explain(&mut self, error: RunnerError) -> RunnerError {
        match (self.refuse_lost_queue(), error) {
            (Err(lost), _) => lost,
            (Ok(()), RunnerError::Queue(QueueError::Locked(_))) => self.busy(None),
            (Ok(()), error) => error,
        }
    }

    fn busy(&self, signal: Option<StopSignal>) -> RunnerError {
        let queue = self.queue_watch.identity.path().to_owned();
        RunnerError::Busy { queue, signal, unrecorded: self.unrecorded() }
    }

    fn check_wal_length(&mut self) {
        let Some(disk) = self.reader.disk_space(0) else { return };
        if disk.wal.0 >= LONG_WAL.max(self.queue_watch.wal_reported.saturating_mul(2)) {
            self.queue_watch.wal_reported = disk.wal.0;
            tracing::warn!(
                event = "long_queue_log",
                queue = %self.reader.path().display(),
                bytes = disk.wal.0,
                "the WAL of the queue has {}, because another program keeps a read transaction open; the run stops \
                 before the disk is full",
                Bytes(disk.wal.0)
            );
        }
    }
}
