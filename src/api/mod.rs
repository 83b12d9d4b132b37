//! Access to the API: its address, the signature of the caller, and one call at a time.
//!
//! The signature is in the URL of every call. So the URL is built last, in one function of [`endpoint`], and is never
//! printed: no error, `Debug` output or log line of this module contains it, the signature or the key.

pub mod client;
pub mod current_signature;
pub mod endpoint;
mod ping;
mod proxy;
mod transport;
pub mod usersig;

pub use client::{CALL_TIMEOUT, Call, Client};
pub use current_signature::{Credentials, Renewal};
pub use endpoint::{Endpoint, EndpointError, Region};
pub use ping::{PingKind, PingUrl, PingUrlError};
pub use proxy::{PROXY_VARIABLES, Proxies, Proxy, ProxyError};
pub use transport::{Roots, Tuning};
pub use usersig::{SecretError, SecretKey, UserSig, sign};

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The HTTP client could not be built. The probable cause is that neither the certificates of the system nor the
    /// built-in ones could be used.
    #[error("cannot set up HTTPS: {0}")]
    Setup(String),
}
