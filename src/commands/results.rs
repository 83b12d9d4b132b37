//! `imbulk results`

use std::path::Path;

use super::error::Error;
use crate::cli::{self, ResultFormat};
use crate::domain::exit::Exit;
use crate::export::{self, ExportError, Format, Outlet, atomic_file, refuse_used_file};
use crate::queue::{Reader, folder_of};
use crate::session::find;
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
            refuse_used_file(file, &reader, env.secret_key_file()).await?;
            let fill = async |out: &mut _| export::write(&reader, &run, format, only, folder, out).await;
            atomic_file(file, fill).await?;
        }
        None => {
            let mut out = Outlet::to(std::io::stdout(), folder);
            let written = export::write(&reader, &run, format, only, folder, &mut out).await;
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
fn heard_enough(written: Result<(), ExportError>) -> Result<(), ExportError> {
    match written {
        Err(ExportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
