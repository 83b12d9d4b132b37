//! `imbulk results`

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Error;
use crate::cli::{self, ResultFormat};
use crate::domain::exit::Exit;
use crate::domain::progress::{Phase, ProgressSnapshot};
use crate::export::{
    self, Division, ExportError, ExportOptions, Format, Outlet, OwnRows, PRIVATE, SplitFolder, atomic_file,
    earlier_files, refuse_used_file, split_file,
};
use crate::queue::{Reader, Run, folder_of};
use crate::report::split_sums::{SplitFile, SplitSums};
use crate::session::{OwnInput, SessionError, StepDisplay, find, own_input, refuse_forgotten};
use crate::settings::Env;

/// Exports one result row per input row.
pub(super) async fn results(args: &cli::ResultsArgs, env: &Env, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    refuse_forgotten(&run)?;
    let format = match args.format {
        ResultFormat::Csv => Format::Csv,
        ResultFormat::Jsonl => Format::Jsonl,
    };
    let folder = folder_of(path);
    let own = if args.with_input { Some(own_rows(&run, format, env, folder).await?) } else { None };
    let rows = Arc::new(AtomicU64::new(0));
    let division = if args.split.is_some() { Division::ByOutcome } else { Division::None };
    let options = ExportOptions { format, only: args.outcome.as_deref(), division, rows: &rows, folder };
    let shown = || {
        let (rows, rows_total) = (Arc::clone(&rows), Some(run.row_count.cast_unsigned()));
        StepDisplay::new(Phase::Export, move |elapsed| {
            let rows_done = rows.load(Ordering::Relaxed);
            ProgressSnapshot { elapsed, rows_done, rows_total, units: rows_done, ..ProgressSnapshot::default() }
        })
    };
    if let Some(folder) = &args.split {
        for file in earlier_files(folder)? {
            refuse_used_file(&file, &reader, env.secret_key_files()).await?;
        }
        let _shown = shown();
        split(folder, &reader, &run, (options, own)).await?;
        return Ok(Exit::Done);
    }
    match &args.output {
        Some(file) => {
            refuse_used_file(file, &reader, env.secret_key_files()).await?;
            let _shown = shown();
            let fill = async |out: &mut _| export::write(&reader, &run, options, own, std::slice::from_mut(out)).await;
            atomic_file(file, PRIVATE, fill).await?;
        }
        None => {
            // On a terminal the rows themselves show the progress.
            let shown = (!std::io::stdout().is_terminal()).then(shown);
            let mut out = Outlet::to(std::io::stdout(), folder);
            let written = export::write(&reader, &run, options, own, std::slice::from_mut(&mut out)).await;
            // Closed before the reader of the results has taken everything: an open transaction lets the WAL grow.
            drop(reader);
            // The rows before an error are shown as well.
            let printed = out.finish();
            drop(shown);
            unless_closed(written.map(drop))?;
            unless_closed(printed)?;
        }
    }
    Ok(Exit::Done)
}

/// Begins to read the user's own columns.
async fn own_rows(run: &Run, format: Format, env: &Env, folder: &Path) -> Result<OwnRows, SessionError> {
    let OwnInput { columns, ids, delimiter, rows, jsonl } = own_input(run, env, folder).await?;
    match (format, jsonl) {
        (Format::Csv, Some(file)) => {
            let text = format!("{file}: is JSONL, whose keys differ from row to row");
            Err(SessionError::usage(text, "add --format jsonl"))
        }
        (Format::Csv | Format::Jsonl, _) => Ok(OwnRows { columns, ids, delimiter, rows }),
    }
}

/// Writes a folder with one file per outcome, and their sums.
async fn split(
    folder: &Path,
    reader: &Reader,
    run: &Run,
    (options, own): (ExportOptions<'_>, Option<OwnRows>),
) -> Result<(), Error> {
    let outcomes = options.outcomes();
    let mut files = SplitFolder::create(folder, options.format, &outcomes)?;
    let written = export::write(reader, run, options, own, files.files()).await;
    let written = written.map_err(|error| files.name(error))?;
    let file = |outcome| SplitFile { outcome, file: split_file(outcome, options.format), rows: written[outcome] };
    let sums = SplitSums::new(run, outcomes.into_iter().map(file).collect());
    let sums = serde_json::to_string_pretty(&sums).expect("texts and numbers are JSON");
    Ok(files.finish(format!("{sums}\n").as_bytes())?)
}

/// A reader that closes the pipe (`| head`) is no error.
fn unless_closed(written: Result<(), ExportError>) -> Result<(), ExportError> {
    match written {
        Err(ExportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
