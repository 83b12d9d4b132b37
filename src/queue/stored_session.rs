//! The sessions of a run, for its report.

use crate::domain::call_counts::CallCounts;
use crate::domain::session_start::SessionStart;

/// A session that sent a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// When it began, in milliseconds since 1970.
    pub began_at: i64,
    /// Who began it, and with which limits.
    pub start: SessionStart,
    /// Its calls of the run; none while it sends, and if it was killed.
    pub calls: Option<CallCounts>,
}
