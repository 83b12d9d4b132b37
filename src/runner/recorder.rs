//! The only writer of the queue. Changes that arrive during one commit go into the next transaction.
//!
//! Changes that are not urgent are kept for some milliseconds, so that one commit, with its write to the disk, serves
//! several calls.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backup_writer::{BackupError, BackupWriter};
use super::{Inbound, RunnerError};
use crate::clock;
use crate::domain::backup::BackupLine;
use crate::domain::change::Change;
use crate::domain::ids::RunId;
use crate::domain::schedule::Event;
use crate::queue::{Queue, QueueError};

/// No more changes join a transaction once it has this many, so that the first of them does not wait too long.
const MAX_CHANGES_PER_TRANSACTION: usize = 512;

/// How long a change that is not urgent waits for others. At 200 calls per second, four changes arrive in this time. If
/// the process is killed then, four more requests are in doubt.
const COMMIT_DELAY: Duration = Duration::from_millis(20);

/// The loop's handle on the writer.
pub(super) struct Recorder {
    writes: mpsc::UnboundedSender<Vec<Change>>,
    /// The changes that are not handed over yet.
    held: Vec<Change>,
    /// When these changes are handed over.
    due: Option<Instant>,
    /// Gives the queue back once all is written.
    queue: oneshot::Receiver<Queue>,
}

impl Recorder {
    /// `backups`: those of the runs that have one.
    pub(super) fn start(queue: Queue, backups: Vec<BackupWriter>, to_loop: mpsc::UnboundedSender<Inbound>) -> Self {
        let (writes, inbox) = mpsc::unbounded_channel();
        let (give_back, taken_back) = oneshot::channel();
        tokio::spawn(async move {
            match record(queue, backups, inbox, &to_loop).await {
                // Nobody waits for the queue when the loop has ended in an error.
                Ok(queue) => drop(give_back.send(queue)),
                Err(error) => drop(to_loop.send(Inbound::Broken(error))),
            }
        });
        Self { writes, held: Vec::new(), due: None, queue: taken_back }
    }

    /// In place of one that is finished.
    pub(super) fn ended() -> Self {
        Self { writes: mpsc::unbounded_channel().0, held: Vec::new(), due: None, queue: oneshot::channel().1 }
    }

    /// Takes a change. Its event comes once it is on disk.
    pub(super) fn write(&mut self, change: Change, urgent: bool) {
        self.held.push(change);
        let wait = if urgent { Duration::ZERO } else { COMMIT_DELAY };
        let due = Instant::now() + wait;
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When [`Recorder::hand_over`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what was taken, if it is time.
    pub(super) fn hand_over(&mut self) {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.flush();
        }
    }

    /// Hands over all that is held.
    pub(super) fn flush(&mut self) {
        self.due = None;
        if !self.held.is_empty() {
            // The writer ends early only with an error, which it has sent to the loop.
            let _ended = self.writes.send(std::mem::take(&mut self.held));
        }
    }

    /// Waits until all changes are written. The loop no longer reads its inbox, so an error of the last writes is read
    /// here.
    pub(super) async fn finish(mut self, inbox: &mut mpsc::UnboundedReceiver<Inbound>) -> Result<Queue, RunnerError> {
        self.flush();
        drop(self.writes);
        if let Ok(queue) = self.queue.await {
            return Ok(queue);
        }
        while let Ok(inbound) = inbox.try_recv() {
            if let Inbound::Broken(error) = inbound {
                return Err(error);
            }
        }
        Err(QueueError::Unexpected("the recorder ended early".to_owned()).into())
    }
}

async fn record(
    mut queue: Queue,
    mut backups: Vec<BackupWriter>,
    mut inbox: mpsc::UnboundedReceiver<Vec<Change>>,
    to_loop: &mpsc::UnboundedSender<Inbound>,
) -> Result<Queue, RunnerError> {
    let mut has_failed = false;
    while let Some(mut batch) = inbox.recv().await {
        while batch.len() < MAX_CHANGES_PER_TRANSACTION
            && let Ok(more) = inbox.try_recv()
        {
            batch.extend(more);
        }
        if !has_failed && let Err(error) = with_backup(&mut backups, &mut batch).await {
            has_failed = true;
            let _over = to_loop.send(Inbound::Broken(error.into()));
        }
        if has_failed {
            // Without its backup, no change may follow: on disk these requests are still about to be read for.
            batch.retain(|change| lines_of(change).is_none());
        }
        for changed in queue.write(batch, clock::now().as_millisecond()).await? {
            let _over = to_loop.send(Inbound::Event(Event::Changed(changed)));
        }
    }
    on_a_thread(move || backups.iter_mut().try_for_each(BackupWriter::finish)).await?;
    Ok(queue)
}

/// What a change has read for a backup, and of which run.
fn lines_of(change: &Change) -> Option<(RunId, &[BackupLine])> {
    let Change::Record { run, settlement } = change else { return None };
    (!settlement.lines.is_empty()).then_some((*run, settlement.lines.as_slice()))
}

/// Writes what the changes have read for backups. The parts are stored in the same transaction as the changes. After an
/// error there is no writer any more.
async fn with_backup(backups: &mut Vec<BackupWriter>, batch: &mut Vec<Change>) -> Result<(), BackupError> {
    let lines = batch.iter().filter_map(lines_of).map(|(run, lines)| (run, lines.to_vec()));
    let lines: Vec<(RunId, Vec<BackupLine>)> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut writers = std::mem::take(backups);
    let append = move || {
        let mut parts = Vec::new();
        for backup in &mut writers {
            let own = lines.iter().filter(|(run, _)| *run == backup.run()).flat_map(|(_, lines)| lines.iter().cloned());
            let own: Vec<BackupLine> = own.collect();
            if !own.is_empty() {
                parts.push(Change::StoreBackup(backup.append(&own)?));
            }
        }
        Ok((writers, parts))
    };
    let (writers, parts) = on_a_thread(append).await?;
    *backups = writers;
    batch.extend(parts);
    Ok(())
}

/// Does what waits for the disk.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down after an error of the loop, so the result is not needed any more.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RequestId;

    fn recorder() -> (Recorder, mpsc::UnboundedReceiver<Vec<Change>>) {
        let (writes, handed_over) = mpsc::unbounded_channel();
        (Recorder { writes, held: Vec::new(), due: None, queue: oneshot::channel().1 }, handed_over)
    }

    #[tokio::test]
    async fn what_is_not_urgent_is_handed_over_with_the_first_that_is() {
        let (mut recorder, mut handed_over) = recorder();
        recorder.write(Change::Reopen(RequestId::new(1)), false);
        recorder.write(Change::Reopen(RequestId::new(2)), false);
        recorder.hand_over();
        assert!(handed_over.try_recv().is_err(), "it waits for others");
        recorder.write(Change::Reopen(RequestId::new(3)), true);
        recorder.hand_over();
        assert_eq!(handed_over.try_recv().expect("something urgent").len(), 3);
        assert_eq!(recorder.due(), None);
    }

    #[tokio::test]
    async fn what_is_not_urgent_is_handed_over_once_the_first_of_it_has_waited_long_enough() {
        let (mut recorder, mut handed_over) = recorder();
        let before = Instant::now();
        recorder.write(Change::Reopen(RequestId::new(1)), false);
        let due = recorder.due().expect("it is held");
        assert!(due >= before + COMMIT_DELAY);
        recorder.write(Change::Reopen(RequestId::new(2)), false);
        assert_eq!(recorder.due(), Some(due), "the later one makes it no later");
        tokio::time::sleep_until(due).await;
        recorder.hand_over();
        assert_eq!(handed_over.try_recv().expect("it is time").len(), 2);
    }
}
