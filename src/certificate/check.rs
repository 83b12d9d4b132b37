//! Checks a certificate, its chain and proofs. Signatures are checked before.

use super::hashing::{Digest, hex, sha256};
use super::proof::{ProvenRow, RowProof};
use super::statement::{CertificateStatement, SCHEMA};
use crate::domain::response::outcome::Outcome;
use crate::ssh::SshSigner;

/// A certificate file whose signature is valid.
#[derive(Debug)]
pub(super) struct Given {
    /// How messages name the file.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Who signed it.
    pub(super) signer: SshSigner,
}

/// What holds.
#[derive(Debug)]
pub struct Checked {
    /// The statement of the certificate.
    pub statement: CertificateStatement,
    /// Who signed it.
    pub signer: SshSigner,
    /// The rows that the proofs show.
    pub rows: Vec<ProvenRow>,
}

/// Checks a certificate, that `previous` is the complete chain before it (in any order; empty: not asked for), and
/// that each proof leads to its root.
///
/// # Errors
/// The first thing that does not hold.
pub(super) fn check(certificate: Given, previous: &[Given], proofs: &[(String, Vec<u8>)]) -> Result<Checked, String> {
    let statement = statement_of(&certificate)?;
    if !previous.is_empty() {
        check_chain(&statement, previous)?;
    }
    let rows = proofs.iter().map(|(name, bytes)| {
        let proof = RowProof::read(bytes).ok_or_else(|| format!("{name}: this is not a complete proof"))?;
        let root: Option<Digest> = proof.root(&statement.operation, statement.rows);
        if root.is_none_or(|root| hex(&root) != statement.root) {
            return Err(format!("{name}: the proof does not lead to the root of {}", certificate.name));
        }
        let input = usize::try_from(proof.row.facts.input).ok().and_then(|at| statement.inputs.get(at));
        input.map(|_| proof.row).ok_or_else(|| format!("{name}: {} has no such input file", certificate.name))
    });
    let rows = rows.collect::<Result<_, _>>()?;
    Ok(Checked { statement, signer: certificate.signer, rows })
}

fn statement_of(Given { name, bytes, signer: SshSigner { key, .. } }: &Given) -> Result<CertificateStatement, String> {
    let statement: CertificateStatement =
        serde_json::from_slice(bytes).map_err(|error| format!("{name}: this is not a certificate: {error}"))?;
    if statement.schema != SCHEMA {
        return Err(format!("{name}: the format {} is not known", statement.schema));
    }
    let total = statement.outcomes.values().try_fold(0_u64, |sum, rows| sum.checked_add(*rows));
    if total != Some(statement.rows) {
        return Err(format!("{name}: the outcomes do not add up to {} rows", statement.rows));
    }
    if statement.outcomes.get(&Outcome::Pending).is_some_and(|rows| *rows > 0) {
        return Err(format!("{name}: some rows are pending"));
    }
    if statement.key != *key {
        return Err(format!("{name}: it names the key {}, but {key} signed it", statement.key));
    }
    if statement.number == 0 || (statement.number == 1) != statement.previous.is_none() {
        return Err(format!("{name}: it names no previous certificate, or is not the first one"));
    }
    Ok(statement)
}

/// Follows the chain from a certificate to the first one. Every file must be a part of it.
fn check_chain(newest: &CertificateStatement, previous: &[Given]) -> Result<(), String> {
    let mut left =
        previous.iter().map(|given| Ok((given, statement_of(given)?))).collect::<Result<Vec<_>, String>>()?;
    left.sort_by_key(|(_, statement)| statement.number);
    let mut after = newest.clone();
    while let Some((given, statement)) = left.pop() {
        let follows = after.previous.as_deref() == Some(&hex(&sha256(&given.bytes)))
            && statement.number.checked_add(1) == Some(after.number)
            && (&statement.job, &statement.target) == (&after.job, &after.target);
        if !follows {
            return Err(format!("{}: certificate {} of the chain does not follow it", given.name, after.number));
        }
        after = statement;
    }
    match after.previous {
        None => Ok(()),
        Some(_) => Err(format!("certificate {} of the chain is missing", after.number - 1)),
    }
}
