//! The hashes of a certificate. The first byte of each hashed text says what it is, so that no leaf is taken for an
//! inner node (RFC 6962).

use std::fmt;

use ring::digest::{Context, SHA256, digest};
use ring::hmac;

/// A SHA-256 hash.
pub type Digest = [u8; 32];

/// Bytes of the secret of a run.
pub const SECRET_BYTES: usize = 32;
/// Bytes of the salt of an id.
pub(super) const SALT_BYTES: usize = 16;

const LEAF: u8 = 0;
const NODE: u8 = 1;
const ID: u8 = 2;

/// The salts of the two ids of a row.
pub(super) type Salts = [[u8; SALT_BYTES]; 2];

/// The secret from which the salts of a run are made. Without it, ids in leaves cannot be guessed.
#[derive(Clone)]
pub struct RunSecret(hmac::Key);

impl RunSecret {
    /// The secret with these random bytes.
    pub fn new(bytes: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The salts of a row: the two halves of HMAC-SHA256 of its number.
    pub(super) fn salts(&self, row: u64) -> Salts {
        let tag = hmac::sign(&self.0, &row.to_be_bytes());
        let (halves, _rest) = tag.as_ref().as_chunks();
        [halves[0], halves[1]]
    }
}

impl fmt::Debug for RunSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunSecret")
    }
}

/// The SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    fixed(digest(&SHA256, bytes))
}

/// A hash as text.
pub fn hex(hash: &Digest) -> String {
    hash.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// The hash of an encoded row.
pub(super) fn hash_leaf(encoded: &[u8]) -> Digest {
    hash(LEAF, &[encoded])
}

/// The hash of an inner node.
pub(super) fn hash_node(left: &Digest, right: &Digest) -> Digest {
    hash(NODE, &[left, right])
}

/// The commitment to an id of a row. A rejected row may lack one.
pub(super) fn commit(salt: &[u8; SALT_BYTES], id: Option<&str>) -> Digest {
    hash(ID, &[salt, &[u8::from(id.is_some())], id.unwrap_or_default().as_bytes()])
}

fn hash(kind: u8, parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[kind]);
    parts.iter().for_each(|part| context.update(part));
    fixed(context.finish())
}

fn fixed(digest: ring::digest::Digest) -> Digest {
    digest.as_ref().try_into().unwrap_or_else(|_| unreachable!("SHA-256 has 32 bytes"))
}
