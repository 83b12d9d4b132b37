//! Sends one request: waits for a slot, makes the call, and passes on the reply.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Inbound;
use crate::api::{Call, Client};
use crate::domain::ids::RequestId;
use crate::domain::response::call_result::CallResult;
use crate::domain::schedule::{Event, JobNo};
use crate::rate_limiter::CommandLimiter;

/// Sends one request once.
pub(super) struct Sender {
    pub(super) job: JobNo,
    pub(super) request: RequestId,
    pub(super) path: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) client: Arc<Client>,
    pub(super) limiter: CommandLimiter,
    pub(super) hold_back: CancellationToken,
    pub(super) to_loop: mpsc::UnboundedSender<Inbound>,
}

impl Sender {
    pub(super) async fn run(self) {
        let permit = tokio::select! {
            biased;
            () = self.hold_back.cancelled() => return self.tell(Event::HeldBack(self.request)),
            permit = self.limiter.acquire() => permit,
        };
        let permit = match permit {
            Ok(permit) => permit,
            Err(error) => {
                let _over = self.to_loop.send(Inbound::Broken(error.into()));
                return self.tell(Event::HeldBack(self.request));
            }
        };
        // The permit may have taken longer than a moment: then it is a slot spent for nothing.
        if self.hold_back.is_cancelled() {
            permit.not_sent();
            return self.tell(Event::HeldBack(self.request));
        }
        self.tell(Event::Sent { job: self.job, request: self.request });
        let Self { request, path, body, client, to_loop, .. } = self;
        let Call { result, generation, round_trip } = client.call(path, body).await;
        match result {
            CallResult::Body(_) | CallResult::Status(_) => permit.answered(round_trip),
            CallResult::NotSent(_) | CallResult::UntrustedServer(_) => permit.not_sent(),
            CallResult::NoAnswer(_) => permit.unanswered(),
        }
        let _over = to_loop.send(Inbound::Event(Event::Replied { request, result, generation }));
    }

    fn tell(&self, event: Event) {
        // The loop is gone only when all is over.
        let _over = self.to_loop.send(Inbound::Event(event));
    }
}
