//! Sends one request: waits for a slot, makes the call, and passes on the reply.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{Level, debug, enabled};

use super::Inbound;
use crate::api::{Call, Client};
use crate::domain::ids::RequestId;
use crate::domain::response::answer::Answer;
use crate::domain::response::call_result::CallResult;
use crate::domain::schedule::{CallToSend, Event, StopSignal};
use crate::rate_limiter::{CommandLimiter, NoPermit};

/// Whether requests that were not sent yet are held back: after the first signal, even before the loop handles it, and
/// when the loop sets it.
#[derive(Clone)]
pub(super) struct HoldBack {
    signal: watch::Receiver<Option<StopSignal>>,
    by_loop: watch::Sender<bool>,
}

impl HoldBack {
    pub(super) fn new(signal: watch::Receiver<Option<StopSignal>>) -> Self {
        Self { signal, by_loop: watch::Sender::new(false) }
    }

    /// One that is not set, apart from a signal.
    pub(super) fn for_later(&self) -> Self {
        Self::new(self.signal.clone())
    }

    pub(super) fn set(&self) {
        self.by_loop.send_replace(true);
    }

    fn is_set(&self) -> bool {
        *self.by_loop.borrow() || self.signal.borrow().is_some()
    }

    async fn until_set(&self) {
        let (mut by_loop, mut signal) = (self.by_loop.subscribe(), self.signal.clone());
        tokio::select! {
            _ = by_loop.wait_for(|set| *set) => {}
            _ = signal.wait_for(Option::is_some) => {}
        }
    }
}

/// Makes one call for a request.
pub(super) struct Sender {
    pub(super) call: CallToSend,
    pub(super) path: &'static str,
    /// The call may not start after this moment.
    pub(super) not_after: Option<Instant>,
    pub(super) client: Arc<Client>,
    pub(super) limiter: CommandLimiter,
    pub(super) hold_back: HoldBack,
    pub(super) to_loop: mpsc::UnboundedSender<Inbound>,
}

impl Sender {
    pub(super) async fn run(self) {
        let permit = tokio::select! {
            biased;
            () = self.hold_back.until_set() => return self.tell(Event::HeldBack(self.call.request)),
            () = until(self.not_after) => return self.tell(Event::HeldBack(self.call.request)),
            permit = self.limiter.acquire() => permit,
        };
        let permit = match permit {
            Ok(permit) => permit,
            Err(NoPermit::DayUsedUp(day)) => {
                self.tell(Event::DayUsedUp { job: self.call.job, day });
                return self.tell(Event::HeldBack(self.call.request));
            }
            Err(NoPermit::Ledger(error)) => {
                let _over = self.to_loop.send(Inbound::Broken(error.into()));
                return self.tell(Event::HeldBack(self.call.request));
            }
        };
        // The permit may have taken longer than a moment: then it is a slot spent for nothing.
        if self.hold_back.is_set() || self.not_after.is_some_and(|end| end < Instant::now()) {
            permit.not_sent();
            return self.tell(Event::HeldBack(self.call.request));
        }
        // The limiter allows the call from here on, so the time is taken here and not where the loop reads it.
        let CallToSend { job, request, kind, items, number, body, .. } = self.call;
        let _over = self.to_loop.send(Inbound::Begun { job, request, kind, at: Instant::now() });
        let call = self.client.call(self.path, body).await;
        if enabled!(Level::DEBUG) {
            log_call(request, self.path, (items, number), &call);
        }
        let Call { result, generation, round_trip, took, .. } = call;
        match result {
            CallResult::Body(_) | CallResult::Status(_) => permit.answered(round_trip),
            CallResult::NotSent(_) | CallResult::UntrustedServer(_) => permit.not_sent(),
            CallResult::NoAnswer(_) => permit.unanswered(),
        }
        let event = Event::Replied { request, result, generation };
        let _over = self.to_loop.send(Inbound::Replied { job, event, took });
    }

    fn tell(&self, event: Event) {
        // The loop is gone only when all is over.
        let _over = self.to_loop.send(Inbound::Event(event));
    }
}

/// Until this moment, or forever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// One line of the log. Reading the code from the answer again is for `-vv` only.
fn log_call(request: RequestId, command: &str, (items, call_number): (usize, u32), call: &Call) {
    let (status, code, error) = match &call.result {
        CallResult::Body(body) => (Some(200), Answer::parse(body).ok().map(|answer| answer.code), None),
        CallResult::Status(status) => (Some(*status), None, None),
        CallResult::NotSent(why) | CallResult::UntrustedServer(why) | CallResult::NoAnswer(why) => {
            (None, None, Some(why.as_str()))
        }
    };
    let duration_ms = u64::try_from(call.took.as_millis()).unwrap_or(u64::MAX);
    let (request, random) = (request.get(), call.random);
    debug!(
        event = "call",
        request, items, call_number, command, random, status, code, error, duration_ms, "call ended"
    );
}
