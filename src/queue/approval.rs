//! Approvals as callers see them.

/// The approval with which a run has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApproval {
    /// The BLAKE3 digest of the file that was signed.
    pub request: String,
    /// The fingerprint of the key of the person who asked.
    pub requester: String,
    /// The fingerprint of the key of the person who approved.
    pub approver: String,
}
