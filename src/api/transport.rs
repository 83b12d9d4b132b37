//! How HTTP is spoken: one reqwest client that neither retries, nor follows, nor tells on us.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, redirect, retry, tls};
use rustls::pki_types::CertificateDer;

use super::{ApiError, Proxy};
use crate::domain::response::call_result::CallResult;

/// The longest wait for a connection, name lookup and TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest that one call takes, from the first step of connecting to the last byte of the answer. The server
/// gives up after 3 s (page "REST API overview"), so a client that waits longer learns what became of the call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Most servers close theirs after 60 s or more; who closes first does not send
/// a call into a connection that is being closed, which would leave it in doubt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What differs from one client to another; the time-outs and authorities only in tests.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// The longest wait for a connection, TLS handshake included.
    pub connect_timeout: Duration,
    /// The longest that a whole call may take.
    pub call_timeout: Duration,
    /// Whom to trust.
    pub roots: Roots,
    /// The proxy that calls go through.
    pub proxy: Option<Proxy>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { connect_timeout: CONNECT_TIMEOUT, call_timeout: CALL_TIMEOUT, roots: Roots::System, proxy: None }
    }
}

/// The authorities whose certificates are believed.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Those of the machine (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`); Mozilla's, built in, where it has none.
    System,
    /// These alone.
    Only(Vec<CertificateDer<'static>>),
}

/// Builds the client for up to `width` calls at once.
pub(super) fn build(width: usize, tuning: &Tuning) -> Result<reqwest::Client, ApiError> {
    // Fails where one is installed already, which then is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = || base(width, tuning);
    match &tuning.roots {
        Roots::Only(roots) => base().and_then(|base| trusting(base, roots)),
        Roots::System => base().and_then(ClientBuilder::build).or_else(|error| {
            tracing::warn!(%error, "no certificates of the system could be read, using the built-in ones");
            trusting(base()?, webpki_root_certs::TLS_SERVER_ROOT_CERTS)
        }),
    }
    .map_err(|error| ApiError::Setup(cause(&error).to_string()))
}

fn trusting(base: ClientBuilder, roots: &[CertificateDer<'static>]) -> reqwest::Result<reqwest::Client> {
    let roots: Result<Vec<_>, _> = roots.iter().map(|root| Certificate::from_der(root)).collect();
    base.tls_certs_only(roots?).build()
}

/// HTTP/1.1, because one stalled HTTP/2 connection stalls every call in flight. No retry, since a second attempt must
/// pass the limiter; no redirect and no referer, since the URL holds the signature.
fn base(width: usize, tuning: &Tuning) -> reqwest::Result<ClientBuilder> {
    let base = reqwest::Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(width)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .connect_timeout(tuning.connect_timeout)
        // What the server's machine has not taken in by then is dropped. Else a call whose connection was closed long
        // ago could still arrive once a network works again.
        .tcp_user_timeout(tuning.call_timeout)
        .timeout(tuning.call_timeout)
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .tls_version_min(tls::Version::TLS_1_2)
        .user_agent(concat!("imbulk/", env!("CARGO_PKG_VERSION")));
    // reqwest would read the environment by itself, pass over what it cannot use, and tell nobody.
    Ok(match &tuning.proxy {
        // Through CONNECT a proxy sees no more than the host.
        Some(proxy) => base.proxy(reqwest::Proxy::all(proxy.url())?),
        None => base.no_proxy(),
    })
}

/// Reads a failed call: what it says about whether the call arrived. A proxy is named, since it may be the one
/// that cannot be reached.
pub(super) fn failure(error: &reqwest::Error, proxy: Option<&Proxy>) -> CallResult {
    let why = cause(error).to_string();
    if !error.is_connect() {
        return CallResult::NoAnswer(why);
    }
    let why = match proxy {
        Some(proxy) => format!("through the proxy {proxy}: {why}"),
        None => why,
    };
    // While connecting, rustls itself complains about certificates and protocol; a connection that merely broke
    // during the handshake is an error of the socket.
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return CallResult::UntrustedServer(why);
    }
    CallResult::NotSent(why)
}

/// The innermost cause: the layers above it only say that they failed.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// The error and its causes. `io::Error::source` skips the error that it wraps, hence the detour.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    })
}
