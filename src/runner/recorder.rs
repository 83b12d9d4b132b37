//! The one task that writes to the queue: whatever comes in while one transaction is committed goes into the next.

use tokio::sync::{mpsc, oneshot};

use super::{Inbound, RunError};
use crate::clock;
use crate::domain::schedule::Event;
use crate::queue::{Queue, QueueError, Write, Written};

/// The most changes of one transaction: a bound on how long the first of them waits.
const MOST: usize = 512;

/// A handle on the task.
pub(super) struct Recorder {
    writes: mpsc::UnboundedSender<Write>,
    /// Gives the queue back once all is written.
    queue: oneshot::Receiver<Queue>,
}

impl Recorder {
    pub(super) fn start(queue: Queue, to_loop: mpsc::UnboundedSender<Inbound>) -> Self {
        let (writes, inbox) = mpsc::unbounded_channel();
        let (give_back, taken_back) = oneshot::channel();
        tokio::spawn(async move {
            match record(queue, inbox, &to_loop).await {
                // Nobody waits for the queue when the loop has ended in an error.
                Ok(queue) => drop(give_back.send(queue)),
                Err(error) => drop(to_loop.send(Inbound::Broken(error.into()))),
            }
        });
        Self { writes, queue: taken_back }
    }

    /// Hands a change over. Its event comes once it is on disk.
    pub(super) fn write(&self, write: Write) {
        // The task ends early only with an error, which it has told the loop.
        let _ended = self.writes.send(write);
    }

    /// Waits until all is written. What broke the last writes stands in the loop's inbox, which nobody else reads now.
    pub(super) async fn finish(self, inbox: &mut mpsc::UnboundedReceiver<Inbound>) -> Result<Queue, RunError> {
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
    mut inbox: mpsc::UnboundedReceiver<Write>,
    to_loop: &mpsc::UnboundedSender<Inbound>,
) -> Result<Queue, QueueError> {
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, MOST).await > 0 {
        let written = queue.write(std::mem::take(&mut batch), clock::now().as_millisecond()).await?;
        for written in written {
            let _over = to_loop.send(Inbound::Event(event(written)));
        }
    }
    Ok(queue)
}

fn event(written: Written) -> Event {
    match written {
        Written::Intended(requests) => Event::Intended(requests),
        Written::Recorded { request, parts } => Event::Recorded { request, parts },
        Written::Withdrawn(request) => Event::Withdrawn(request),
        Written::Reopened(request) => Event::Reopened(request),
    }
}
