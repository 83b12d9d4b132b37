//! The Merkle tree of RFC 6962 over leaves that arrive one after another, with memory for one hash per level.

use std::io::{self, Write};

use super::hashing::{Digest, hash_node, sha256};
use super::leaf::next_leaf;
use super::proof::RowProof;

/// A tree that grows. It takes the leaves that [`LeafSource`](super::LeafSource) makes; each write has whole leaves.
#[derive(Debug, Default)]
pub struct Tree {
    /// Complete subtrees, each larger than the next.
    subtrees: Vec<Subtree>,
    rows: u64,
    proofs: Vec<GrowingProof>,
}

#[derive(Debug, Clone, Copy)]
struct Subtree {
    first: u64,
    rows: u64,
    hash: Digest,
}

/// The proof of a row whose path is not complete.
#[derive(Debug)]
struct GrowingProof {
    at: u64,
    row: Vec<u8>,
    path: Vec<Digest>,
}

impl Tree {
    fn add(&mut self, hash: Digest, proof: Option<&[u8]>) {
        let at = self.rows;
        self.proofs.extend(proof.map(|row| GrowingProof { at, row: row.to_vec(), path: Vec::new() }));
        self.rows += 1;
        let mut last = Subtree { first: at, rows: 1, hash };
        while let Some(before) = self.subtrees.pop_if(|before| before.rows == last.rows) {
            last = join(before, last, &mut self.proofs);
        }
        self.subtrees.push(last);
    }

    /// The number of its leaves, its root, and the proofs of the rows that are wanted.
    pub fn finish(mut self) -> (u64, Digest, Vec<Vec<u8>>) {
        let Some(mut last) = self.subtrees.pop() else { return (0, sha256(&[]), Vec::new()) };
        while let Some(before) = self.subtrees.pop() {
            last = join(before, last, &mut self.proofs);
        }
        let proofs = self.proofs.iter().map(|proof| RowProof::bytes(&proof.row, &proof.path));
        (self.rows, last.hash, proofs.collect())
    }
}

fn join(left: Subtree, right: Subtree, proofs: &mut [GrowingProof]) -> Subtree {
    for proof in proofs.iter_mut().filter(|proof| proof.at >= left.first) {
        proof.path.push(if proof.at < right.first { right.hash } else { left.hash });
    }
    Subtree { first: left.first, rows: left.rows + right.rows, hash: hash_node(&left.hash, &right.hash) }
}

impl Write for Tree {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some((hash, proof)) = next_leaf(&mut rest) {
            self.add(hash, proof);
        }
        assert!(rest.is_empty(), "each write has whole leaves");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
