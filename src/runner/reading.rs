//! Requests that the schedule asks for, read from the queue beside the loop.

use super::{Inbound, Runner};
use crate::domain::ids::RequestId;
use crate::domain::schedule::{Event, JobNo};
use crate::queue::QueueError;

impl Runner<'_> {
    pub(super) fn fetch(&self, job: JobNo, after: RequestId, limit: u32) {
        let (reader, run, last) = (self.reader.clone(), self.jobs[job].scheduled.run, self.jobs[job].last_request);
        self.read(async move {
            let requests = reader.page(run, after, last, limit).await?;
            Ok(Event::Page { job, requests })
        });
    }

    pub(super) fn read_parked(&self, job: JobNo, request: RequestId) {
        let reader = self.reader.clone();
        self.read(async move { Ok(Event::ParkedRead { job, request: reader.request(request).await? }) });
    }

    fn read(&self, read: impl Future<Output = Result<Event, QueueError>> + Send + 'static) {
        let to_loop = self.to_loop.clone();
        tokio::spawn(async move {
            let inbound = match read.await {
                Ok(event) => Inbound::Event(event),
                Err(error) => Inbound::Broken(error.into()),
            };
            // The loop is gone only when all is over.
            let _over = to_loop.send(inbound);
        });
    }
}
