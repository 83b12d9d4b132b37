//! Pings of a monitoring service, in the manner of healthchecks.io.
//!
//! Everybody who knows the URL can report a success, so it is treated as a secret: messages show only its host.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use super::transport::{self, Tuning};
use super::{Endpoint, Proxies};
use crate::domain::hint::Hint;
use crate::domain::response::call_result::CallResult;

/// The URL that a success is reported to.
#[derive(Clone)]
pub struct PingUrl {
    url: Url,
    /// Scheme, host and port.
    endpoint: Endpoint,
}

/// What a ping reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingKind {
    /// The run starts.
    Start,
    /// It was a success.
    Success,
    /// It was none: the exit code.
    Failure(u8),
}

/// Why a text is not the URL of a monitoring service. It is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingUrlError {
    /// It is not an https or http URL with a host.
    #[error("is not the URL of a server")]
    NotAUrl,
    /// It is an `http` URL to another machine.
    #[error("is plain http to another machine: others on the network could read the URL and the summary")]
    PlainHttp,
}

impl Hint for PingUrlError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("write it like https://hc-ping.com/UUID".into())
    }
}

impl FromStr for PingUrl {
    type Err = PingUrlError;

    fn from_str(text: &str) -> Result<Self, PingUrlError> {
        let url = Url::parse(text).map_err(|_| PingUrlError::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(PingUrlError::NotAUrl);
        }
        // The rules of endpoints hold for scheme, host and port.
        let endpoint = url.origin().ascii_serialization().parse().map_err(|_| PingUrlError::PlainHttp)?;
        Ok(Self { url, endpoint })
    }
}

/// Scheme, host and port.
impl fmt::Display for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.endpoint)
    }
}

impl fmt::Debug for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PingUrl {
    /// Sends a ping with this body once.
    ///
    /// # Errors
    /// The cause, without the URL.
    pub async fn send(&self, kind: PingKind, body: String, proxies: &Proxies) -> Result<(), String> {
        let proxy = proxies.towards(&self.endpoint).map_err(|error| error.to_string())?;
        let tuning = Tuning { proxy, ..Tuning::default() };
        let client = transport::build(1, &tuning).map_err(|error| error.to_string())?;
        match client.post(self.url_of(kind)).body(body).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("the server answered with status {}", response.status().as_u16())),
            Err(error) => match transport::failure(&error.without_url(), tuning.proxy.as_ref()) {
                CallResult::NotSent(why) | CallResult::UntrustedServer(why) | CallResult::NoAnswer(why) => Err(why),
                CallResult::Body(_) | CallResult::Status(_) => Err("no answer".to_owned()),
            },
        }
    }

    /// The URL of a ping. A query stays where it is.
    fn url_of(&self, kind: PingKind) -> Url {
        let mut url = self.url.clone();
        let last = match kind {
            PingKind::Start => "start".to_owned(),
            PingKind::Success => return url,
            PingKind::Failure(code) => code.to_string(),
        };
        // Only URLs without a host have no segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&last);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_and_exit_code_are_appended_to_the_path() {
        let of = |url: &str, kind| url.parse::<PingUrl>().unwrap().url_of(kind).to_string();
        let url = "https://hc-ping.com/key/purge?create=1";
        assert_eq!(of(url, PingKind::Start), "https://hc-ping.com/key/purge/start?create=1");
        assert_eq!(of(url, PingKind::Success), url);
        assert_eq!(of("http://127.0.0.1:8000/ping/x/", PingKind::Failure(4)), "http://127.0.0.1:8000/ping/x/4");
        assert_eq!(of("https://example.com", PingKind::Start), "https://example.com/start");
    }

    #[test]
    fn the_path_is_never_shown() {
        let url: PingUrl = "https://anna:geheim@hc-ping.com/geheim?geheim".parse().unwrap();
        assert_eq!((format!("{url:?}"), url.to_string()), (url.to_string(), "https://hc-ping.com/…".to_owned()));
        for wrong in ["geheim", "ftp://example.com/geheim", "http://example.com/geheim", "https:///", ""] {
            let error = wrong.parse::<PingUrl>().unwrap_err();
            assert!(!error.with_hint().contains("geheim"), "{wrong}: {error}");
        }
    }
}
