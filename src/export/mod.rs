//! The results of a run: a line per input row, in input order, usable as input again.
//!
//! Requests lie in the queue by account, rows by number are wanted. So one pass over the requests deals what they
//! say of their rows out to ranges of rows (`spill`), and one pass over the ranges puts each in order and adds what
//! the queue keeps by row: exceptions, rows set aside, and lines of the files. All of it is read in one snapshot, as
//! rows move between requests while a run goes on. Memory: a few ranges of rows, and the spill's buffers.

mod atomic_file;
mod error;
mod lines;
mod outlet;
mod range;
mod spill;
#[cfg(test)]
mod tests;
mod used_files;

use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::row::RowNo;
use crate::queue::{QueueError, Reader, RequestResult, Run, Snapshot};
pub use atomic_file::atomic_file;
pub use error::ExportError;
use lines::Layout;
pub use outlet::Outlet;
use spill::{Record, Spill};
pub use used_files::refuse_used_file;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A header and a line per row. Groups are joined by `|`; a cell is empty where the row did not set the tag.
    Csv,
    /// An object per line, with the tags that the row set, as the types that they have.
    Jsonl,
}

/// The fewest rows of a range: what is kept of them stays close to the processor.
const ROWS: u64 = 1 << 13;
/// The most ranges: each has a buffer of its own in the spill.
const RANGES: u64 = 1 << 11;
/// So many ranges are made into lines at once, each on a thread of its own.
const AT_ONCE: usize = 2;

/// Writes the results of a run, of the rows that ended as `only` says. Returns the rows written, by outcome.
///
/// Records pass through an unlinked file in `folder` where they are many: some 60 bytes a row.
///
/// # Errors
/// Where reading or writing fails, and where a row is not found exactly once.
pub async fn write(
    reader: &Reader,
    run: &Run,
    format: Format,
    only: Option<&[Outcome]>,
    folder: &Path,
    out: &mut impl Write,
) -> Result<Tally, ExportError> {
    let range = run.row_count.cast_unsigned().div_ceil(RANGES).max(ROWS);
    write_by(range, reader, run, format, only, folder, out).await
}

/// As [`write()`], with ranges of so many rows.
async fn write_by(
    range: u64,
    reader: &Reader,
    run: &Run,
    format: Format,
    only: Option<&[Outcome]>,
    folder: &Path,
    out: &mut impl Write,
) -> Result<Tally, ExportError> {
    let rows = run.row_count.cast_unsigned();
    let mut snapshot = reader.snapshot().await?;
    // Before the first line: one that has lost its own exception would say that it succeeded.
    let tally = snapshot.check_sums(run).await?;
    let sources = snapshot.input_files(run.id).await?.into_iter().map(|file| file.name).collect();
    let mut spill = Spill::new(folder, rows, range);
    deal(&mut snapshot, run, &mut spill).await?;

    let layout = Arc::new(Layout::new(format, run.operation()?.shape(), run.tags(), sources, only));
    out.write_all(&layout.head()?).map_err(ExportError::Output)?;
    let (mut written, mut found) = (Tally::default(), Tally::default());
    let mut in_the_making = VecDeque::new();
    let mut first: RowNo = 0;
    loop {
        if first < rows && in_the_making.len() < AT_ONCE {
            let end = rows.min(first + range);
            // What can't be read is told in its place: the lines before it are good, and written.
            let range = rows_of(&mut snapshot, run, &mut spill, first..end).await;
            let layout = Arc::clone(&layout);
            in_the_making.push_back(spawn_blocking(move || range?.write(&layout)));
            first = end;
        } else if let Some(next) = in_the_making.pop_front() {
            let range = next.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
            out.write_all(&range.lines).map_err(ExportError::Output)?;
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

/// What is known of these rows, a range of the spill.
async fn rows_of(
    snapshot: &mut Snapshot,
    run: &Run,
    spill: &mut Spill,
    rows: Range<RowNo>,
) -> Result<range::Rows, ExportError> {
    Ok(range::Rows {
        records: spill.read(rows.start)?,
        exceptions: snapshot.exceptions(run.id, rows.clone()).await?,
        skipped: snapshot.skipped_rows(run.id, rows.clone()).await?,
        line_spans: snapshot.line_spans(run.id, rows.clone()).await?,
        first: rows.start,
        end: rows.end,
    })
}

/// Deals what the requests say of their rows out to the ranges of rows: those of a page while SQLite reads the next.
async fn deal(snapshot: &mut Snapshot, run: &Run, spill: &mut Spill) -> Result<(), ExportError> {
    let mut page = snapshot.request_results(run.id, 0).await?;
    while let Some(last) = page.last() {
        let reading = snapshot.request_results(run.id, last.id());
        let keeping = async { page.iter().try_for_each(|request| keep(request, spill)) };
        let (next, kept) = tokio::join!(reading, keeping);
        kept?;
        page = next?;
    }
    Ok(())
}

fn keep(request: &RequestResult, spill: &mut Spill) -> Result<(), ExportError> {
    let items = request.items()?;
    let earlier = request.earlier_codes()?;
    for item in &items {
        let mut record = Record {
            row: item.row,
            from: request.from().unwrap_or_default(),
            account: item.account.as_str(),
            tags: "",
            earlier: &earlier,
            attempts: request.attempts(),
            outcome: request.outcome(),
            finished_at: request.finished_at(),
        };
        let Some(updates) = &item.updates else {
            spill.keep(request.id(), record)?;
            continue;
        };
        for (row, tags) in updates.iter() {
            let tags = serde_json::to_string(tags)
                .map_err(|error| QueueError::Damaged(format!("tags of row {row}: {error}")))?;
            record.row = *row;
            spill.keep(request.id(), Record { tags: &tags, ..record })?;
        }
    }
    Ok(())
}
