//! Rows as leaves.
//!
//! The leaves of a run pass from the threads that make them to the tree as bytes, one leaf after another: a hash, and
//! the length of the row's proof without its path, which follows. The length is 0 unless the row names the account
//! that a proof is for.

use super::hashing::{Digest, RunSecret, commit, hash_leaf};
use super::proof::{CertifiedRow, ProvenId, ProvenRow};

/// A row of which a leaf is made.
#[derive(Debug)]
pub struct LeafRow<'a> {
    /// What the leaf says of it.
    pub facts: CertifiedRow,
    /// The From_Account, for operations on pairs.
    pub from: Option<Option<&'a str>>,
    /// The account.
    pub account: Option<&'a str>,
}

/// Makes the leaves of a run.
#[derive(Debug)]
pub struct LeafSource {
    /// The operation of the run.
    pub operation: String,
    /// The secret of the run.
    pub secret: RunSecret,
    /// The account whose rows are proved.
    pub wanted: Option<String>,
}

impl LeafSource {
    /// Appends the leaf of a row.
    pub fn append(&self, row: LeafRow<'_>, out: &mut Vec<u8>) {
        let LeafRow { facts, from, account } = row;
        let salts = self.secret.salts(facts.row);
        let wanted = self.wanted.as_deref();
        let mut proven = ProvenRow { facts, ids: Vec::with_capacity(2) };
        let ids = from.into_iter().chain([account]);
        for (id, salt) in ids.zip(salts) {
            proven.ids.push(match id {
                Some(id) if wanted == Some(id) => ProvenId::Shown { salt, id: id.to_owned() },
                id => ProvenId::Hidden(commit(&salt, id)),
            });
        }
        out.extend(proven.leaf(&self.operation));
        let encoded = if proven.shows_an_id() { proven.encode() } else { Vec::new() };
        out.extend(u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(encoded);
    }
}

/// The next leaf of these bytes, and the proof of its row without a path if the row is wanted.
pub(super) fn next_leaf<'a>(bytes: &mut &'a [u8]) -> Option<(Digest, Option<&'a [u8]>)> {
    let (hash, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (encoded, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
    *bytes = rest;
    Some((*hash, (!encoded.is_empty()).then_some(encoded)))
}

impl ProvenRow {
    /// The hash of its leaf.
    pub(super) fn leaf(&self, operation: &str) -> Digest {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(u32::try_from(operation.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(operation.as_bytes());
        self.facts.encode(&mut bytes);
        bytes.push(u8::try_from(self.ids.len()).unwrap_or(u8::MAX));
        self.ids.iter().for_each(|id| bytes.extend(id.commitment()));
        hash_leaf(&bytes)
    }
}
