//! The arguments of `imbulk certify` and `imbulk verify-certificate`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `imbulk certify`.
#[derive(Debug, Args)]
pub struct CertifyArgs {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// File to write, readable only by its owner
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// ssh key that signs: a private key, or a public key whose private key the agent has
    #[arg(long, value_name = "FILE", required_unless_present = "prove")]
    pub key: Option<PathBuf>,
    /// Write the proof of this account in place of a certificate
    ///
    /// A proof has at most 1 kB and belongs to the last certificate of the run. If several rows name the account, each
    /// has a file of its own: FILE, FILE-2, FILE-3, with the extension of FILE.
    #[arg(long, value_name = "ID", conflicts_with = "key")]
    pub prove: Option<String>,
}

/// Arguments of `imbulk verify-certificate`.
#[derive(Debug, Args)]
pub struct VerifyCertificateArgs {
    /// Certificate; its signature is in FILE.sig
    #[arg(value_name = "FILE")]
    pub certificate: PathBuf,
    /// Proofs that must lead to the root of the certificate
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub proof: Vec<PathBuf>,
    /// All certificates before this one, in any order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub previous: Vec<PathBuf>,
    /// Keys that may sign, as `ssh-keygen -Y verify` reads them; without it, any key may
    #[arg(long, value_name = "FILE")]
    pub allowed_signers: Option<PathBuf>,
}
