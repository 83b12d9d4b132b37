//! Certificates: a Merkle tree over the rows of a run, and a statement about it that the user signs with ssh
//! (docs/decisions/0043).
//!
//! # Invariants
//!
//! - A proof reveals one row and one account. Everything else in it is a hash that depends on a salt of 128 bits.
//! - `docs/verify_certificate.py` accepts and refuses the same files. A change of a format here is a change there.

mod check;
mod files;
mod hashing;
mod leaf;
mod proof;
mod statement;
#[cfg(test)]
mod tests;
mod tree;

pub use check::Checked;
pub use files::{CertificateFiles, NotValid, signature_of};
pub use hashing::{Digest, RunSecret, SECRET_BYTES, hex, sha256};
pub use leaf::{LeafRow, LeafSource};
pub use proof::{CertifiedRow, RowProof};
pub use statement::{CertificateStatement, CertifiedInput, NAMESPACE, PROVES, RELIES_ON, SCHEMA};
pub use tree::Tree;
