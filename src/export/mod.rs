//! Exports the results of a run: one result row per input row, in input order, usable as input again.
//!
//! The queue stores requests by account, and results are wanted by row. One pass over the requests therefore
//! distributes their rows to ranges of rows (`spill`). One pass over the ranges sorts each of them and adds what the
//! queue stores by row: exceptions, skipped rows, and line numbers. Everything is read in one transaction, because rows
//! move between requests while a run is sent. Memory holds a few ranges of rows and the buffers of the spill.

mod atomic_file;
mod error;
mod lines;
mod outlet;
mod own_rows;
mod range;
mod results_digest;
mod spill;
mod split_folder;
#[cfg(test)]
mod tests;
mod used_files;

use crate::domain::ids::RequestId;
use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;

use crate::certificate::LeafSource;
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::queue::{QueueError, Reader, RequestResult, Run, Snapshot};
pub use atomic_file::{PRIVATE, READABLE, atomic_file, write_file};
pub use error::ExportError;
use lines::Layout;
pub use outlet::Outlet;
pub use own_rows::OwnRows;
use own_rows::OwnRowsJoin;
pub use results_digest::results_digest;
use spill::{SentRow, Spill};
pub use split_folder::{SplitFolder, earlier_files, split_file};
pub use used_files::refuse_used_file;

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A header and one line per row. Groups are joined by `|`; a cell is empty if the row did not set the field.
    Csv,
    /// One object per line, with the fields that the row set, as values of their own types.
    Jsonl,
}

/// The minimum of rows per range: the data of so few rows stays in the processor's cache.
const MIN_RANGE_ROWS: u64 = 1 << 13;
/// The maximum of ranges: each has its own buffer in the spill.
const MAX_RANGES: u64 = 1 << 11;
/// Ranges that are formatted at the same time, each by its own thread.
const PARALLEL_RANGES: usize = 2;

/// How rows are divided into outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// All rows are in one output.
    None,
    /// The rows of each outcome have an output of their own.
    ByOutcome,
}

/// What is exported, and how.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions<'a> {
    /// The format of the rows.
    pub format: Format,
    /// Only rows with these outcomes; none: all rows.
    pub only: Option<&'a [Outcome]>,
    /// How the rows are divided.
    pub division: Division,
    /// Counts the rows that are written, for the progress.
    pub rows: &'a AtomicU64,
    /// The folder for temporary data: about 60 bytes per row in an unlinked file, if the run is large.
    pub folder: &'a Path,
}

impl ExportOptions<'_> {
    /// The outcomes whose rows are exported, each once and in their usual sequence.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let is_chosen = |outcome: &Outcome| self.only.is_none_or(|only| only.contains(outcome));
        Outcome::ALL.into_iter().filter(is_chosen).collect()
    }
}

/// Writes the results of a run to one output, or to one for each of [`ExportOptions::outcomes`], as the division says.
/// Returns the rows written, by outcome. With `own`, each row has the user's own columns in place of the operation's.
///
/// # Errors
/// Where reading or writing fails, and where a row does not have exactly one outcome.
pub async fn write(
    reader: &Reader,
    run: &Run,
    options: ExportOptions<'_>,
    own: Option<OwnRows>,
    outputs: &mut [impl Write],
) -> Result<Tally, ExportError> {
    let range_rows = run.row_count.cast_unsigned().div_ceil(MAX_RANGES).max(MIN_RANGE_ROWS);
    write_ranges(range_rows, reader, run, (options, None), own, outputs).await
}

/// Writes the leaves of a certificate of the run to a [`Tree`](crate::certificate::Tree), in row order. Returns the
/// rows by outcome. Temporary data is in `folder`.
///
/// # Errors
/// As in [`write()`].
pub async fn write_leaves(
    reader: &Reader,
    run: &Run,
    source: LeafSource,
    folder: &Path,
    tree: &mut impl Write,
) -> Result<Tally, ExportError> {
    let range_rows = run.row_count.cast_unsigned().div_ceil(MAX_RANGES).max(MIN_RANGE_ROWS);
    let (format, division, rows) = (Format::Jsonl, Division::None, &AtomicU64::new(0));
    let options = ExportOptions { format, only: None, division, rows, folder };
    write_ranges(range_rows, reader, run, (options, Some(Arc::new(source))), None, std::slice::from_mut(tree)).await
}

/// Does the same in ranges of `range_rows` rows.
async fn write_ranges(
    range_rows: u64,
    reader: &Reader,
    run: &Run,
    (options, leaves): (ExportOptions<'_>, Option<Arc<LeafSource>>),
    own: Option<OwnRows>,
    outputs: &mut [impl Write],
) -> Result<Tally, ExportError> {
    let rows = run.row_count.cast_unsigned();
    let mut snapshot = reader.snapshot().await?;
    // Checked before the first row is written: a row whose exception is lost would be shown as succeeded.
    let tally = snapshot.check_sums(run).await?;
    let files = snapshot.input_files(run.id).await?;
    let (own_layout, mut own_rows) = own.map(|own| own.split(&files)).unzip();
    let sources = files.into_iter().map(|file| file.name).collect();
    let mut spill = Spill::new(options.folder, rows, range_rows);
    distribute(&mut snapshot, run, &mut spill).await?;

    let layout = Arc::new(Layout::new((&options, leaves), run.operation, run.fields().to_vec(), sources, own_layout));
    let head = layout.head()?;
    outputs.iter_mut().try_for_each(|out| out.write_all(&head)).map_err(ExportError::Output)?;
    let (mut written, mut found) = (Tally::default(), Tally::default());
    let mut formatting = VecDeque::new();
    let mut first: RowNo = 0;
    loop {
        if first < rows && formatting.len() < PARALLEL_RANGES {
            let end = rows.min(first + range_rows);
            // An error is reported at its range, after the rows before it are written.
            let range = read_range(&mut snapshot, run, (&mut spill, own_rows.as_mut()), first..end).await;
            let layout = Arc::clone(&layout);
            formatting.push_back(spawn_blocking(move || range?.format(&layout)));
            first = end;
        } else if let Some(next) = formatting.pop_front() {
            let range = next.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
            let mut parts = outputs.iter_mut().zip(&range.parts);
            parts.try_for_each(|(out, lines)| out.write_all(lines)).map_err(ExportError::Output)?;
            options.rows.fetch_add(range.found.total(), Ordering::Relaxed);
            written += range.tally;
            found += range.found;
        } else {
            break;
        }
    }
    if found == tally {
        return Ok(written);
    }
    Err(QueueError::Damaged(format!("the rows ended as {found:?}, but were counted as {tally:?}")).into())
}

/// Reads everything that is known of a range of rows.
async fn read_range(
    snapshot: &mut Snapshot,
    run: &Run,
    (spill, own_rows): (&mut Spill, Option<&mut OwnRowsJoin>),
    rows: Range<RowNo>,
) -> Result<range::RowRange, ExportError> {
    let line_spans = snapshot.line_spans(run.id, rows.clone()).await?;
    Ok(range::RowRange {
        own_rows: match own_rows {
            Some(own_rows) => own_rows.of_rows(rows.clone(), &line_spans).await?,
            None => Vec::new(),
        },
        sent_rows: spill.read(rows.start)?,
        exceptions: snapshot.exceptions(run.id, rows.clone()).await?,
        skipped: snapshot.skipped_rows(run.id, rows.clone()).await?,
        line_spans,
        verified: snapshot.verified(run.id, rows.clone()).await?,
        first: rows.start,
        end: rows.end,
    })
}

/// Distributes the rows of all requests to the spill: the rows of one page while SQLite reads the next page.
async fn distribute(snapshot: &mut Snapshot, run: &Run, spill: &mut Spill) -> Result<(), ExportError> {
    let mut page = snapshot.request_results(run.id, RequestId::BEFORE_FIRST).await?;
    while let Some(last) = page.last() {
        let reading = snapshot.request_results(run.id, last.id());
        let keeping = async { page.iter().try_for_each(|request| spill_rows(request, spill)) };
        let (next, kept) = tokio::join!(reading, keeping);
        kept?;
        page = next?;
    }
    Ok(())
}

fn spill_rows(request: &RequestResult, spill: &mut Spill) -> Result<(), ExportError> {
    let items = request.items()?;
    let earlier = request.earlier_codes()?;
    for item in &items {
        let mut sent_row = SentRow {
            row: item.row,
            from: request.from().unwrap_or_default(),
            account: item.account.as_str(),
            fields: "",
            earlier: &earlier,
            attempts: request.attempts(),
            outcome: request.outcome(),
            finished_at: request.finished_at(),
        };
        let Some(updates) = &item.updates else {
            spill.add(request.id(), sent_row)?;
            continue;
        };
        for (row, fields) in updates.iter() {
            let fields = serde_json::to_string(fields)
                .map_err(|error| QueueError::Damaged(format!("fields of row {row}: {error}")))?;
            sent_row.row = *row;
            spill.add(request.id(), SentRow { fields: &fields, ..sent_row })?;
        }
    }
    Ok(())
}
