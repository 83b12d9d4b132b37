//! `imbulk doctor`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::doctor;
use crate::domain::exit::Exit;
use crate::session::{Examined, examine};
use crate::settings::Env;

/// Shows what prevents a run of the job. Exits 4 if something does.
pub(super) async fn doctor(args: &cli::DoctorArgs, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let target = if args.sandbox { Examined::Sandbox } else { Examined::App };
    let findings = examine(&args.job, env, queue, target).await?;
    super::print(&doctor::text(&findings))?;
    Ok(if doctor::is_usable(&findings) { Exit::Done } else { Exit::Halted })
}
