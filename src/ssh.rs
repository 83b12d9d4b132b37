//! Signatures that `ssh-keygen -Y` makes and checks. imbulk has no cryptography of its own for them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::domain::hint::Message;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";
/// The length of the lines that ssh-keygen writes.
const LINE: usize = 70;

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSigner {
    /// The fingerprint of the key, such as `SHA256:…`.
    pub key: String,
    /// The name in the allowed_signers file; none if no such file was given.
    pub principal: Option<String>,
}

/// Why a signature is not accepted.
#[derive(Debug)]
pub enum SignatureError {
    /// It is not valid, or its key is not allowed.
    Refused(String),
    /// It could not be checked.
    Unchecked(Message),
}

/// Signs these bytes with a private key, or with the key of the agent that belongs to a public key. ssh-keygen asks for
/// a passphrase.
pub fn sign(key: &Path, namespace: &str, bytes: &[u8]) -> Result<String, Message> {
    let mut command = Command::new("ssh-keygen");
    let output = output(command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(key), bytes)?;
    if !output.status.success() {
        let text = format!("{}: ssh-keygen cannot sign with this key: {}", key.display(), said(&output.stderr));
        return Err(Message::new(text).add_hint("name a private key, or a public key whose private key the agent has"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The fingerprint of a key.
pub fn fingerprint(key: &Path) -> Result<String, Message> {
    let output = output(Command::new("ssh-keygen").arg("-lf").arg(key), &[])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.split(' ').find(|word| word.starts_with("SHA256:")).map(str::to_owned);
    found.filter(|_| output.status.success()).ok_or_else(|| {
        let text = format!("{}: ssh-keygen reads no key here: {}", key.display(), said(&output.stderr));
        Message::new(text).add_hint("name a key that `ssh-keygen -t ed25519` made")
    })
}

/// Checks a signature of these bytes, and with an allowed_signers file also whether its key is allowed.
pub fn check(
    signature: &str,
    namespace: &str,
    bytes: &[u8],
    allowed_signers: Option<&Path>,
) -> Result<SshSigner, SignatureError> {
    if !is_canonical(signature) {
        return Err(SignatureError::Refused("this is not a signature as ssh-keygen writes it".to_owned()));
    }
    let cannot_keep =
        |error| SignatureError::Unchecked(Message::new(format!("cannot write a temporary file: {error}")));
    let mut file = tempfile::NamedTempFile::new().map_err(cannot_keep)?;
    file.write_all(signature.as_bytes()).map_err(cannot_keep)?;
    let ask = |action: &str, signers: Option<(&Path, Option<&str>)>| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", action, "-n", namespace, "-s"]).arg(file.path());
        if let Some((signers, principal)) = signers {
            command.arg("-f").arg(signers);
            principal.iter().for_each(|name| _ = command.args(["-I", name]));
        }
        let output = output(&mut command, bytes).map_err(SignatureError::Unchecked)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(SignatureError::Refused(said(&[output.stdout, output.stderr].concat())))
    };
    let said = ask("check-novalidate", None)?;
    let key = said.trim_end().rsplit_once(" key ").map_or_else(String::new, |(_, key)| key.to_owned());
    let Some(signers) = allowed_signers else { return Ok(SshSigner { key, principal: None }) };
    let principals = ask("find-principals", Some((signers, None)))?;
    let principal = principals.lines().next().unwrap_or_default().to_owned();
    ask("verify", Some((signers, Some(&principal))))?;
    Ok(SshSigner { key, principal: Some(principal) })
}

/// Whether this is a signature in the only form that ssh-keygen writes: it would also read other ones.
fn is_canonical(signature: &str) -> bool {
    let body = signature.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let Some(lines) = body.and_then(|body| body.strip_suffix('\n')) else { return false };
    let mut lines = lines.split('\n').peekable();
    let mut fits = true;
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        fits &= if is_last { (1..=LINE).contains(&line.len()) } else { line.len() == LINE };
        fits &= line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    }
    fits
}

/// Runs ssh-keygen with these bytes on standard input.
fn output(command: &mut Command, stdin: &[u8]) -> Result<Output, Message> {
    let failed = |error: std::io::Error| {
        Message::new(format!("cannot run ssh-keygen: {error}")).add_hint("install OpenSSH 8.9 or later")
    };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        // It need not read all of it.
        let _closed = pipe.write_all(stdin);
    }
    child.wait_with_output().map_err(failed)
}

/// What ssh-keygen said, on one line.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
