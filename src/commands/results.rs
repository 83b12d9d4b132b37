//! `imbulk results`

use std::io::{BufWriter, Write};
use std::path::Path;

use super::error::Error;
use super::exit::Exit;
use super::prepare::folder_of;
use super::select::find;
use crate::cli::{self, ResultFormat};
use crate::queue::Reader;
use crate::report::ReportError;
use crate::report::file::atomic_file;
use crate::report::results::{self, Format};

/// Writes a line per row.
pub(super) async fn results(args: &cli::Results, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    let format = match args.format {
        ResultFormat::Csv => Format::Csv,
        ResultFormat::Jsonl => Format::Jsonl,
    };
    let (only, folder) = (args.outcome.as_deref(), folder_of(path));
    match &args.output {
        Some(file) => {
            let fill = async |out: &mut _| results::write(&reader, &run, format, only, &folder, out).await;
            atomic_file(file, fill).await?;
        }
        None => {
            let mut out = BufWriter::new(std::io::stdout());
            let written = results::write(&reader, &run, format, only, &folder, &mut out).await;
            let flushed = out.flush().map_err(ReportError::Output);
            heard_enough(written.map(drop).and(flushed))?;
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
