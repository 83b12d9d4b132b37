//! `imbulk verify-certificate`

use super::error::Error;
use crate::certificate::{CertificateFiles, Checked, NotValid};
use crate::cli::VerifyCertificateArgs;
use crate::domain::exit::Exit;
use crate::domain::timestamp::rfc3339;
use crate::report::visible;
use crate::session::SessionError;
use crate::stderr::tell_error;

/// Checks the files that are given.
pub(super) fn verify_certificate(args: VerifyCertificateArgs) -> Result<Exit, Error> {
    let VerifyCertificateArgs { certificate, proof: proofs, previous, allowed_signers } = args;
    let files = CertificateFiles { certificate, previous, proofs, allowed_signers };
    match files.verify() {
        Ok(checked) => super::print(&text(&checked, files.previous.len())),
        Err(NotValid::Invalid(why)) => {
            tell_error(visible(&why).into_owned());
            Ok(Exit::DoneWithFailures)
        }
        Err(NotValid::Unchecked(message)) => Err(SessionError::Usage(message).into()),
    }
}

fn text(Checked { statement, signer, rows }: &Checked, previous: usize) -> String {
    let (job, target) = (visible(&statement.job), visible(&statement.target));
    let mut text = format!("valid: certificate {} of job {job} on {target}\n", statement.number);
    text.push_str(&format!("run {}: {}, {} rows", visible(&statement.run), statement.operation, statement.rows));
    let principal = signer.principal.as_ref().map(|principal| format!("{principal}, "));
    let signed_by = format!("{}{}", principal.unwrap_or_default(), signer.key);
    let outcomes = statement.outcomes.iter().filter(|(_, rows)| **rows > 0);
    outcomes.for_each(|(outcome, rows)| text.push_str(&format!(", {rows} {outcome}")));
    text.push_str(&format!("\nfinished at {}\nsigned by {}\n", visible(&statement.finished_at), visible(&signed_by)));
    if signer.principal.is_none() {
        text.push_str("anybody can make such a key: --allowed-signers compares it with the keys that you trust\n");
    }
    if previous > 0 {
        text.push_str(&format!("the chain is complete: {} certificates\n", statement.number));
    } else if statement.number > 1 {
        text.push_str("the chain was not checked: name the earlier certificates with --previous\n");
    }
    for row in rows {
        let input = usize::try_from(row.facts.input).ok().and_then(|at| statement.inputs.get(at));
        let input = input.map_or("", |input| &input.name);
        let ids: Vec<_> = row.ids().map(visible).collect();
        let place = format!("{}:{}", visible(input), row.facts.line);
        text.push_str(&format!("proved: {} ({place}): {}", ids.join(", "), row.facts.outcome));
        row.facts.code.iter().for_each(|code| text.push_str(&format!(", code {code}")));
        row.facts.finished_at.iter().for_each(|at| text.push_str(&format!(", at {}", rfc3339(*at))));
        if let Some((verified, at)) = row.facts.verified {
            text.push_str(&format!(", {} at {}", verified.name(), rfc3339(at)));
        }
        text.push('\n');
    }
    text
}
