//! Reads the files of a certificate and checks their signatures.

use std::path::{Path, PathBuf};

use super::check::{Checked, Given, check};
use super::statement::NAMESPACE;
use crate::domain::hint::Message;
use crate::ssh::{self, SignatureError};

/// The files that are checked together.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// All certificates before it; empty: the chain is not checked.
    pub previous: Vec<PathBuf>,
    /// Proofs for it.
    pub proofs: Vec<PathBuf>,
    /// The keys that may sign.
    pub allowed_signers: Option<PathBuf>,
}

/// Why the files are not accepted.
#[derive(Debug)]
pub enum NotValid {
    /// This does not hold.
    Invalid(String),
    /// It could not be checked.
    Unchecked(Message),
}

impl CertificateFiles {
    /// Checks everything that the files claim.
    pub fn verify(&self) -> Result<Checked, NotValid> {
        let certificate = self.given(&self.certificate)?;
        let previous = self.previous.iter().map(|file| self.given(file)).collect::<Result<Vec<_>, _>>()?;
        let proofs = self.proofs.iter().map(|file| Ok((file.display().to_string(), read(file)?)));
        let proofs = proofs.collect::<Result<Vec<_>, _>>()?;
        check(certificate, &previous, &proofs).map_err(NotValid::Invalid)
    }

    /// A certificate whose signature is valid.
    fn given(&self, file: &Path) -> Result<Given, NotValid> {
        let (bytes, signature) = (read(file)?, read(&signature_of(file))?);
        let name = file.display().to_string();
        let text = String::from_utf8_lossy(&signature);
        let signer = ssh::check(&text, NAMESPACE, &bytes, self.allowed_signers.as_deref());
        let signer = signer.map_err(|error| match error {
            SignatureError::Refused(why) => NotValid::Invalid(format!("{name}: the signature is not valid: {why}")),
            SignatureError::Unchecked(message) => NotValid::Unchecked(message),
        })?;
        Ok(Given { name, bytes, signer })
    }
}

/// The file of the signature: ssh-keygen gives it the same name.
pub fn signature_of(certificate: &Path) -> PathBuf {
    let mut name = certificate.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn read(file: &Path) -> Result<Vec<u8>, NotValid> {
    let hint = "a certificate FILE and its signature FILE.sig belong together";
    let unreadable = |error| Message::new(format!("{}: {error}", file.display())).add_hint(hint);
    std::fs::read(file).map_err(|error| NotValid::Unchecked(unreadable(error)))
}
