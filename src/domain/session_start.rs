//! What is stored when a session begins to send a run, for the report on the run.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard::GuardValue;

/// Who began a session, and with which limits and guards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStart {
    /// The user, as the machine names it.
    pub user: String,
    /// The name of the machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The version of imbulk.
    pub version: String,
    /// The id of the plan that was sent.
    pub plan: String,
    /// `stop.window` or `stop.until`, as the job file writes it.
    pub daily: Option<DailyLimit>,
    /// `stop.max_runtime`.
    pub max_runtime: Option<Duration>,
    /// Calls per second of the operation's API command.
    pub calls_per_second: NonZeroU32,
    /// Calls per second of all commands to the app.
    pub app_calls_per_second: NonZeroU32,
    /// The guards that were checked before the first call.
    pub guards: Vec<GuardValue>,
    /// Ids of the protected list, the admin accounts included.
    pub protected_ids: u64,
    /// Patterns of the protected list.
    pub protected_patterns: u64,
    /// Items of the canary; 0: no canary.
    pub canary: u64,
    /// The fuse: the share of failed items at which the run halts.
    pub failed_share: f64,
    /// The share of items that were already done at which it halts; none: no limit.
    pub max_already_done: Option<f64>,
    /// Both shares count from this number of items on.
    pub after_items: u64,
    /// `guard.hold`.
    pub hold: Option<Duration>,
    /// Whether accounts that are online are left out.
    pub unless_online: bool,
}

/// The time of day that limits a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DailyLimit {
    /// `02:00-06:00 Asia/Shanghai`
    Window(String),
    /// `06:00`
    Until(String),
}
