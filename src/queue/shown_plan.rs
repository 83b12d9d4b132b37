//! The plan that `imbulk plan` showed last, with which `imbulk run` compares what it is about to send.

/// A plan that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPlan {
    /// JSON: everything that decides its id.
    pub parts: String,
    /// Milliseconds since 1970.
    pub shown_at: i64,
}
