//! The app that tests send to.

/// Its SDKAppID.
pub const APP: u64 = 1_400_000_001;
/// The account that signs the calls.
pub const ADMIN: &str = "administrator";
/// Its secret key. No other text contains it, so that a test can search for it.
pub const KEY: &str = "5f61f048f77fe5ed5f61f048f77fe5ed-marked-key+/=";
/// A cap that no test reaches.
pub const FAST: u32 = 5_000;
