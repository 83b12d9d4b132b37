//! The way to the API: where it is, who asks, and one call at a time.
//!
//! The signature is in the URL of every call, so the URL is built last, in one function of [`endpoint`], and is
//! never printed: no error, `Debug` or log line of this module holds it, the signature or the key.

pub mod client;
pub mod endpoint;
mod proxy;
pub mod session;
mod transport;
pub mod usersig;

pub use client::{CALL_TIMEOUT, Call, Client};
pub use endpoint::{Endpoint, EndpointError, Region};
pub use proxy::{PROXY_VARIABLES, Proxies, Proxy, ProxyError};
pub use session::{Credentials, Renewal};
pub use transport::{Roots, Tuning};
pub use usersig::{SecretError, SecretKey, UserSig, sign};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The HTTP client could not be built: most likely the system's certificates and the built-in ones failed alike.
    #[error("cannot set up HTTPS: {0}")]
    Setup(String),
}
