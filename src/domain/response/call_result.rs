//! The result of one call, as far as the next decision depends on it.

/// How one call ended.
///
/// The variants part what is known about the call's effect: answered, certainly never sent, or unknown.
/// The texts say why in words for people; no decision reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// HTTP 200 with this body. Its `ErrorCode` holds the verdict: the API answers 200 even to failures
    /// (page "REST API overview").
    Body(Vec<u8>),
    /// Another HTTP status: something before the API answered, 502 for one. The call may have arrived.
    Status(u16),
    /// No byte of the request left: connection refused, name not found, no connection in time.
    NotSent(String),
    /// The server could not prove who it is: its certificate or the TLS handshake was refused, so no byte of the
    /// request left. Asking again does not change that.
    UntrustedServer(String),
    /// Sent, or perhaps sent, and not answered: time-out, reset, closed, cut short, too long. It may have arrived.
    NoAnswer(String),
}
