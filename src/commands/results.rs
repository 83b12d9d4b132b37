//! `imbulk results`

use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use super::prepare::folder_of;
use super::select::find;
use crate::cli::{self, ResultFormat};
use crate::queue::Reader;
use crate::report::ReportError;
use crate::report::file::atomic_file;
use crate::report::results::{self, Format, Outlet};
use crate::settings::Env;

/// Writes a line per row.
pub(super) async fn results(args: &cli::Results, env: &Env, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    let format = match args.format {
        ResultFormat::Csv => Format::Csv,
        ResultFormat::Jsonl => Format::Jsonl,
    };
    let (only, folder) = (args.outcome.as_deref(), folder_of(path));
    match &args.output {
        Some(file) => {
            super::output::refuse_used_file(file, &reader, env.secret_key_file()).await?;
            let fill = async |out: &mut _| results::write(&reader, &run, format, only, &folder, out).await;
            atomic_file(file, fill).await?;
        }
        None => {
            let mut out = Outlet::to(std::io::stdout(), &folder);
            let written = results::write(&reader, &run, format, only, &folder, &mut out).await;
            // From now on nothing is read any more, however long the reader of the results takes.
            drop(reader);
            // What was written is shown also where the rest could not be read.
            let shown = out.finish();
            heard_enough(written.map(drop))?;
            heard_enough(shown)?;
        }
    }
    Ok(Exit::Done)
}

/// A reader that closes the pipe (`| head`) is no failure.
fn heard_enough(written: Result<(), ReportError>) -> Result<(), ReportError> {
    match written {
        Err(ReportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
