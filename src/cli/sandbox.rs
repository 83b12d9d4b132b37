//! The arguments of `imbulk sandbox`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use imbulk_sandbox::{FaultRule, FaultRuleError};

use crate::domain::hint::Hint;

/// Arguments of `imbulk sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Loopback address to listen on; port 0 chooses a free port
    #[arg(long, default_value = "127.0.0.1:8900", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// SDKAppID of the app that it serves
    #[arg(long, default_value_t = 1_400_000_001, env = "IMBULK_SDKAPPID", value_name = "N")]
    pub sdkappid: u64,
    /// Admin account of the app
    #[arg(long, default_value = "administrator", env = "IMBULK_IDENTIFIER", value_name = "ID")]
    pub identifier: String,
    /// Latency of every call, such as 50ms
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub latency: jiff::SignedDuration,
    /// Random extra latency per call, from 0 to this
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub jitter: jiff::SignedDuration,
    /// Fault to inject, as COMMAND:KIND:WHEN; may be repeated
    #[arg(long = "fault", value_name = "FAULT", value_parser = fault_rule)]
    pub faults: Vec<FaultRule>,
    /// Share of accounts and friendships that do not exist, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub missing: f64,
    /// Share of friendships that do not exist, if it is not that of the accounts
    #[arg(long, value_name = "SHARE")]
    pub missing_friends: Option<f64>,
    /// Profile of another server, which the sandbox imitates
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Seed: equal seeds give the same faults and the same missing accounts
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Hint for FaultRuleError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Self::hint(self).into())
    }
}

fn fault_rule(text: &str) -> Result<FaultRule, String> {
    text.parse().map_err(|error: FaultRuleError| error.with_hint())
}
