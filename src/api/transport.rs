//! The HTTP client: one reqwest client that never retries, never follows redirects, and reveals no signature.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, redirect, retry, tls};
use rustls::pki_types::CertificateDer;

use super::{ApiError, Proxy};
use crate::domain::response::call_result::CallResult;

/// The maximum time to connect, including name lookup and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum time of one call, from the first step of connecting to the last byte of the answer. The server itself
/// stops after 3 s (page "REST API overview"), so a client that waits longer receives the result of the call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Most servers close theirs after 60 s or more. If the client closes first, it
/// never sends a call into a connection that is being closed; such a call would be in doubt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of a client. Only tests change the time-outs and authorities.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// The maximum time to connect, including the TLS handshake.
    pub connect_timeout: Duration,
    /// The maximum time of a whole call.
    pub call_timeout: Duration,
    /// The trusted certificate authorities.
    pub roots: Roots,
    /// The proxy for all calls.
    pub proxy: Option<Proxy>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { connect_timeout: CONNECT_TIMEOUT, call_timeout: CALL_TIMEOUT, roots: Roots::System, proxy: None }
    }
}

/// The trusted certificate authorities.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Those of the machine (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`). If it has none, those of Mozilla, which are
    /// built in.
    System,
    /// Only these.
    Only(Vec<CertificateDer<'static>>),
}

/// Builds the client for up to `width` calls at once.
pub(super) fn build(width: usize, tuning: &Tuning) -> Result<reqwest::Client, ApiError> {
    // This fails if a provider is already installed, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = || base(width, tuning);
    match &tuning.roots {
        Roots::Only(roots) => base().and_then(|base| trusting(base, roots)),
        Roots::System => base().and_then(ClientBuilder::build).or_else(|error| {
            tracing::warn!(%error, "the certificates of the system cannot be read; the built-in ones are used");
            trusting(base()?, webpki_root_certs::TLS_SERVER_ROOT_CERTS)
        }),
    }
    .map_err(|error| ApiError::Setup(cause(&error).to_string()))
}

fn trusting(base: ClientBuilder, roots: &[CertificateDer<'static>]) -> reqwest::Result<reqwest::Client> {
    let roots: Result<Vec<_>, _> = roots.iter().map(|root| Certificate::from_der(root)).collect();
    base.tls_certs_only(roots?).build()
}

/// HTTP/1.1, because a stalled HTTP/2 connection stalls every call in flight. No retries, since a second attempt must
/// pass the rate limiter. No redirects and no referer, since the URL contains the signature.
fn base(width: usize, tuning: &Tuning) -> reqwest::Result<ClientBuilder> {
    let base = reqwest::Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(width)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .connect_timeout(tuning.connect_timeout)
        .timeout(tuning.call_timeout)
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .tls_version_min(tls::Version::TLS_1_2)
        .user_agent(concat!("imbulk/", env!("CARGO_PKG_VERSION")));
    // The kernel drops data that the server's machine has not acknowledged by then. Otherwise a call whose connection
    // was closed long ago could still arrive when a network works again. Other systems have no such option.
    #[cfg(target_os = "linux")]
    let base = base.tcp_user_timeout(tuning.call_timeout);
    // reqwest would read the environment itself, and ignore values that it cannot use without a message.
    Ok(match &tuning.proxy {
        // With CONNECT a proxy sees only the host.
        Some(proxy) => base.proxy(reqwest::Proxy::all(proxy.url())?),
        None => base.no_proxy(),
    })
}

/// Decides what the error of a call says about whether the call arrived. The text names a proxy, because the proxy may
/// be what cannot be reached.
pub(super) fn failure(error: &reqwest::Error, proxy: Option<&Proxy>) -> CallResult {
    let why = cause(error).to_string();
    if !error.is_connect() {
        return CallResult::NoAnswer(why);
    }
    let why = match proxy {
        Some(proxy) => format!("through the proxy {proxy}: {why}"),
        None => why,
    };
    // While connecting, errors of rustls are about certificates and the protocol. If the connection only broke during
    // the handshake, the error is one of the socket.
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return CallResult::UntrustedServer(why);
    }
    CallResult::NotSent(why)
}

/// The innermost cause. The errors around it only say that they failed.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// The error and its causes. `io::Error::source` skips the error that it wraps, so that one is read separately.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    })
}
