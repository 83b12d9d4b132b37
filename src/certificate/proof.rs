//! The proof of one row: what the row says, and the hashes beside its path to the root. The form is binary, because the
//! path of ten million rows has 768 bytes, and base64 alone would make it 1 kB.

use super::hashing::{Digest, SALT_BYTES, commit, hash_node};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;

/// The first bytes of a proof.
const MAGIC: &[u8] = b"imbulk proof 1\n";

/// What a certificate says of a row, apart from its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedRow {
    /// The row, from 0.
    pub row: u64,
    /// The number of its input file, from 0.
    pub input: u32,
    /// Its line.
    pub line: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// The code that decided it.
    pub code: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
    /// What the last verification showed, and when.
    pub verified: Option<(Verified, i64)>,
}

/// The row of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRow {
    /// What is said of it.
    pub facts: CertifiedRow,
    pub(super) ids: Vec<ProvenId>,
}

/// An id of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProvenId {
    /// The account that the proof is for.
    Shown {
        /// Its salt.
        salt: [u8; SALT_BYTES],
        /// The id.
        id: String,
    },
    /// Another account: only its commitment.
    Hidden(Digest),
}

/// The proof of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProof {
    /// The row.
    pub row: ProvenRow,
    path: Vec<Digest>,
}

impl RowProof {
    /// The bytes of a proof: the row as [`ProvenRow::encode`] writes it, then the path from the leaf to the root.
    pub(super) fn bytes(row: &[u8], path: &[Digest]) -> Vec<u8> {
        let mut bytes = row.to_vec();
        bytes.push(u8::try_from(path.len()).unwrap_or(u8::MAX));
        path.iter().for_each(|hash| bytes.extend(hash));
        bytes
    }

    /// Reads a proof; none if the bytes are not exactly one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes.strip_prefix(MAGIC)?;
        let row = ProvenRow::read(&mut bytes)?;
        let hashes = take::<1>(&mut bytes)?[0];
        let path = (0..hashes).map(|_| take(&mut bytes)).collect::<Option<_>>()?;
        (bytes.is_empty() && row.shows_an_id()).then_some(Self { row, path })
    }

    /// The root of the tree of `rows` rows to which the proof leads (RFC 6962, 2.1.1); none if its path does not fit.
    pub(super) fn root(&self, operation: &str, rows: u64) -> Option<Digest> {
        let (mut at, mut last) = (self.row.facts.row, rows.checked_sub(1)?);
        if at > last {
            return None;
        }
        let mut hash = self.row.leaf(operation);
        for beside in &self.path {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                hash = hash_node(beside, &hash);
                while at != 0 && at.is_multiple_of(2) {
                    (at, last) = (at / 2, last / 2);
                }
            } else {
                hash = hash_node(&hash, beside);
            }
            (at, last) = (at / 2, last / 2);
        }
        (last == 0).then_some(hash)
    }
}

impl CertifiedRow {
    /// The bytes of the leaf and of a proof.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.row.to_be_bytes());
        bytes.extend(self.input.to_be_bytes());
        bytes.extend(self.line.to_be_bytes());
        bytes.push(position(Outcome::ALL.iter().position(|outcome| *outcome == self.outcome)));
        for number in [self.code, self.finished_at] {
            bytes.push(u8::from(number.is_some()));
            number.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        }
        match self.verified {
            Some((verified, at)) => {
                bytes.push(1 + position(Verified::ALL.iter().position(|it| *it == verified)));
                bytes.extend(at.to_be_bytes());
            }
            None => bytes.push(0),
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (row, input, line) = (take(bytes)?, take(bytes)?, take(bytes)?);
        Some(Self {
            row: u64::from_be_bytes(row),
            input: u32::from_be_bytes(input),
            line: u64::from_be_bytes(line),
            outcome: *Outcome::ALL.get(usize::from(take::<1>(bytes)?[0]))?,
            code: optional(bytes).ok()?,
            finished_at: optional(bytes).ok()?,
            verified: match take::<1>(bytes)?[0] {
                0 => None,
                verified => {
                    let verified = *Verified::ALL.get(usize::from(verified) - 1)?;
                    Some((verified, i64::from_be_bytes(take(bytes)?)))
                }
            },
        })
    }
}

impl ProvenRow {
    /// The ids that the proof reveals: the same account, maybe on both sides of a pair.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().filter_map(|id| match id {
            ProvenId::Shown { id, .. } => Some(id.as_str()),
            ProvenId::Hidden(_) => None,
        })
    }

    pub(super) fn shows_an_id(&self) -> bool {
        self.ids().next().is_some()
    }

    /// A proof without its path.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.facts.encode(&mut bytes);
        bytes.push(position(Some(self.ids.len())));
        for id in &self.ids {
            match id {
                ProvenId::Shown { salt, id } => {
                    bytes.push(1);
                    bytes.extend(salt);
                    bytes.extend(u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend(id.as_bytes());
                }
                ProvenId::Hidden(commitment) => {
                    bytes.push(0);
                    bytes.extend(commitment);
                }
            }
        }
        bytes
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let facts = CertifiedRow::read(bytes)?;
        let ids = (0..take::<1>(bytes)?[0]).map(|_| ProvenId::read(bytes)).collect::<Option<_>>()?;
        Some(Self { facts, ids })
    }
}

impl ProvenId {
    pub(super) fn commitment(&self) -> Digest {
        match self {
            Self::Shown { salt, id } => commit(salt, Some(id)),
            Self::Hidden(commitment) => *commitment,
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match take::<1>(bytes)?[0] {
            0 => take(bytes).map(Self::Hidden),
            1 => {
                let (salt, length) = (take(bytes)?, take(bytes)?);
                let (id, rest) = bytes.split_at_checked(u32::from_be_bytes(length).try_into().ok()?)?;
                *bytes = rest;
                Some(Self::Shown { salt, id: std::str::from_utf8(id).ok()?.to_owned() })
            }
            _other => None,
        }
    }
}

/// The bytes are not those of a proof.
struct Malformed;

/// A number below 255 as a byte.
fn position(number: Option<usize>) -> u8 {
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or_else(|| unreachable!("the list is short"))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn optional(bytes: &mut &[u8]) -> Result<Option<i64>, Malformed> {
    match take::<1>(bytes).ok_or(Malformed)?[0] {
        0 => Ok(None),
        1 => take(bytes).map(i64::from_be_bytes).map(Some).ok_or(Malformed),
        _other => Err(Malformed),
    }
}
