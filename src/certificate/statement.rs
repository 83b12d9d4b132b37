//! The statement of a certificate: the text that is signed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::response::outcome::{Count, Outcome};

/// The namespace of the signature.
pub const NAMESPACE: &str = "imbulk-certificate";

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// What a certificate proves.
pub const PROVES: &str = "The owner of the key stated at certified_at that the run ended with these outcomes, and \
                          fixed one leaf per row. A proof shows the row of one account. No row can be added, \
                          removed or changed later without another root.";

/// What a certificate relies on.
pub const RELIES_ON: [&str; 5] = [
    "the outcomes in the queue, which imbulk recorded from the answers of the server",
    "the clock of the machine that ran imbulk",
    "the owner of the key, who could sign another statement, and the privacy of that key",
    "SHA-256 and the signature of ssh-keygen",
    "for the end of the chain: a copy of the latest certificate that others keep",
];

/// A statement about a finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateStatement {
    /// The version of this format.
    pub schema: u32,
    /// What the certificate proves.
    pub proves: String,
    /// What it relies on.
    pub relies_on: Vec<String>,
    /// The job.
    pub job: String,
    /// The target.
    pub target: String,
    /// The id of the run.
    pub run: String,
    /// The operation.
    pub operation: String,
    /// The options of the operation and their values.
    pub options: BTreeMap<String, String>,
    /// The position of the certificate in the chain of its job and target, from 1.
    pub number: u64,
    /// The SHA-256 of the previous certificate; none for the first one.
    pub previous: Option<String>,
    /// Rows of the run, which are the leaves of the tree.
    pub rows: Count,
    /// Rows by outcome.
    pub outcomes: BTreeMap<Outcome, Count>,
    /// The input files, in the sequence in which proofs number them.
    pub inputs: Vec<CertifiedInput>,
    /// The BLAKE3 digest of the input.
    pub input_digest: String,
    /// When the first call was allowed (RFC 3339).
    pub started_at: String,
    /// When the last row got its outcome (RFC 3339).
    pub finished_at: String,
    /// When the statement was made (RFC 3339).
    pub certified_at: String,
    /// The root of the Merkle tree, in hexadecimal digits.
    pub root: String,
    /// The fingerprint of the key that signs.
    pub key: String,
    /// The program and its version.
    pub program: String,
}

/// A file of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedInput {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: Count,
}

impl CertificateStatement {
    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(self).expect("texts and numbers are JSON");
        format!("{text}\n").into_bytes()
    }
}
