//! One call: an HTTP request and its answer.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use super::current_signature::{Credentials, CurrentSignature, Renewal};
use super::transport::{self, Tuning};
use super::{ApiError, Endpoint, Proxy};
use crate::clock;
use crate::domain::request::account::UserId;
use crate::domain::response::call_result::CallResult;
use crate::fail_point::{FailPoint, guarded};

pub use super::transport::CALL_TIMEOUT;

/// The maximum size of an answer that is read. An answer to 1000 items has about 100 KB.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// Makes calls in the name of one admin of one app.
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    sdkappid: NonZeroU64,
    identifier: UserId,
    proxy: Option<Proxy>,
    signature: Mutex<CurrentSignature>,
}

/// The result of a call.
#[derive(Debug)]
pub struct Call {
    /// The response, or why there is none.
    pub result: CallResult,
    /// The generation of the signature used, for [`Client::renew`].
    pub generation: u64,
    /// The time from the first byte sent to the last one read; zero if none was sent. The time to connect is not
    /// included: a later call on the same connection does not need it, so including it would overestimate the shortest
    /// round trip.
    pub round_trip: Duration,
    /// The number that the server received with it.
    pub random: u32,
    /// From its begin to its end, connecting included.
    pub took: Duration,
    /// The time that the server gave its response (header `Date`).
    pub server_time: Option<Timestamp>,
}

impl Client {
    /// A client for up to `width` calls at once. `tuning`: its proxy; tests also set other time-outs and certificate
    /// authorities.
    pub fn new(
        endpoint: Endpoint,
        sdkappid: NonZeroU64,
        identifier: UserId,
        credentials: Credentials,
        width: NonZeroU32,
        tuning: &Tuning,
    ) -> Result<Self, ApiError> {
        let width = usize::try_from(width.get()).unwrap_or(usize::MAX);
        Ok(Self {
            http: transport::build(width, tuning)?,
            signature: Mutex::new(CurrentSignature::new(credentials, sdkappid, identifier.clone(), clock::now())),
            endpoint,
            sdkappid,
            identifier,
            proxy: tuning.proxy.clone(),
        })
    }

    /// Sends `body` (JSON, never empty) once to the command at `path`, and waits for the response.
    ///
    /// If the future is dropped before its end, the connection is closed, and the call may have arrived.
    pub async fn call(&self, path: &'static str, body: Vec<u8>) -> Call {
        let random = rand::random();
        let (url, generation) = self.sign(path, random);
        let started = Instant::now();
        let sent = Arc::new(OnceLock::new());
        let (result, server_time) = self
            .send(url, TimedBody::new(body, Arc::clone(&sent)))
            .await
            .unwrap_or_else(|error| (transport::failure(&error.without_url(), self.proxy.as_ref()), None));
        let round_trip = sent.get().map(Instant::elapsed).unwrap_or_default();
        Call { result, generation, round_trip, server_time, random, took: started.elapsed() }
    }

    /// After a 70001 to a call of this `generation`: makes a new signature, unless one was made after the refusal of
    /// another call.
    pub fn renew(&self, generation: u64) -> Renewal {
        self.signature().renew(generation, clock::now())
    }

    /// The generation of the signature in use.
    pub fn usersig_generation(&self) -> u64 {
        self.signature().generation()
    }

    /// The URL of a call, signed, and the generation of the signature.
    fn sign(&self, path: &str, random: u32) -> (Url, u64) {
        let mut signature = self.signature();
        let (usersig, generation) = signature.current(clock::now());
        let url = self.endpoint.url(path, self.sdkappid, &self.identifier, usersig, random);
        (url, generation)
    }

    /// A panic in another thread does not damage the signature, because it is never half changed.
    fn signature(&self) -> MutexGuard<'_, CurrentSignature> {
        self.signature.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, url: Url, body: TimedBody) -> reqwest::Result<(CallResult, Option<Timestamp>)> {
        let json = HeaderValue::from_static("application/json");
        let request = self.http.post(url).header(CONTENT_TYPE, json);
        let sent = request.body(reqwest::Body::wrap(body)).send();
        let response = guarded(FailPoint::Send, sent).await?;
        let time = server_time(&response);
        if response.status() != StatusCode::OK {
            return Ok((CallResult::Status(response.status().as_u16()), time));
        }
        guarded(FailPoint::Read, read(response)).await.map(|result| (result, time))
    }
}

/// The header `Date` of a response.
fn server_time(response: &Response) -> Option<Timestamp> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

/// If an answer is not read to its end, its connection is closed.
async fn read(mut response: Response) -> reqwest::Result<CallResult> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if answer.len() + chunk.len() > MAX_ANSWER {
            return Ok(CallResult::NoAnswer(format!("the answer is longer than {MAX_ANSWER} bytes")));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(CallResult::Body(answer))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("sdkappid", &self.sdkappid)
            .field("identifier", &self.identifier)
            .finish_non_exhaustive()
    }
}

/// The body of a request, which notes when it is fetched. The connection does so when it writes the head, just before
/// the first byte leaves.
struct TimedBody {
    bytes: Bytes,
    sent: Arc<OnceLock<Instant>>,
}

impl TimedBody {
    fn new(body: Vec<u8>, sent: Arc<OnceLock<Instant>>) -> Self {
        Self { bytes: body.into(), sent }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.sent.get_or_init(Instant::now);
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
