//! The result of one call, as far as the next decision depends on it.

/// The result of one call.
///
/// The variants differ in what is known about the call's effect: answered, certainly never sent, or unknown. The texts
/// are for people; no decision reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// HTTP 200 with this body. Its `ErrorCode` is the verdict, because the API uses status 200 for failures, too (page
    /// "REST API overview").
    Body(Vec<u8>),
    /// Another HTTP status, such as 502: the answer came from a part in front of the API. The call may have arrived.
    Status(u16),
    /// No byte of the request was sent: connection refused, name not found, or no connection in time.
    NotSent(String),
    /// The certificate of the server or its TLS handshake was refused, so no byte of the request was sent. Another
    /// attempt would end in the same way.
    UntrustedServer(String),
    /// The request was sent, or may have been, and was not answered: time-out, reset, closed, cut off, or too long. It
    /// may have arrived.
    NoAnswer(String),
}

/// Whether this HTTP status, which is not 200, says that the call was accepted. It does not say what the API did with
/// the items.
pub const fn says_accepted(status: u16) -> bool {
    matches!(status, 200..=299 | 303)
}

impl CallResult {
    /// The body of a response with HTTP status 200.
    pub fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Body(body) => Some(body),
            Self::Status(_) | Self::NotSent(_) | Self::UntrustedServer(_) | Self::NoAnswer(_) => None,
        }
    }

    /// Whether the request was sent, or may have been.
    pub const fn was_sent(&self) -> bool {
        match self {
            Self::Body(_) | Self::Status(_) | Self::NoAnswer(_) => true,
            Self::NotSent(_) | Self::UntrustedServer(_) => false,
        }
    }
}
