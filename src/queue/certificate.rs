//! Certificates as callers see them.

/// A certificate that was made of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its position in the chain of its job and target, from 1.
    pub number: u64,
    /// The SHA-256 of its statement, in hexadecimal digits.
    pub head: String,
    /// The root of its tree, in hexadecimal digits.
    pub root: String,
}
