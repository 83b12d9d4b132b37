//! `imbulk doctor`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::doctor;
use crate::domain::exit::Exit;
use crate::session::{Consent, Examined, conformance, examine};
use crate::settings::Env;
use crate::stderr::tell;

/// Shows what prevents a run of the job. Exits 4 if something does. With `--conformance` and a job that can run, prints
/// the profile of the server. Exits 3 if it differs from what imbulk expects.
pub(super) async fn doctor(args: &cli::DoctorArgs, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let target = if args.sandbox { Examined::Sandbox } else { Examined::App };
    let findings = examine(&args.job, env, queue, target).await?;
    if !doctor::is_usable(&findings) || !args.conformance {
        super::print(&doctor::text(&findings))?;
        return Ok(if doctor::is_usable(&findings) { Exit::Done } else { Exit::Halted });
    }
    let consent = if args.yes { Consent::Given } else { Consent::Ask };
    let profile = conformance(&args.job, env, args.sandbox, consent).await?;
    tell(profile.text());
    super::print_json(&profile)?;
    Ok(if profile.differences.is_empty() { Exit::Done } else { Exit::DoneWithFailures })
}
