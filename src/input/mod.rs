//! Opens the sources of a job and reads their rows lazily: CSV and JSONL, plain or compressed, from files, globs or
//! standard input.
//!
//! A source is read from its start to its end as often as needed, always with the same rows in the same order. A
//! row that can't be sent is handed over as a `RejectedRow` and never takes another one with it; an [`InputError`] is
//! kept for sources of which no row can be trusted.

mod columns;
mod compression;
mod csv;
mod encoding;
mod error;
mod file_format;
mod jsonl;
mod notes;
mod open;
mod outline;
mod own_cells;
mod own_results;
mod paths;
mod read_progress;
mod row;
mod source;
mod stamp;
#[cfg(test)]
mod testing;
mod watch;

pub use columns::Misfit;
pub use error::{InputError, Problem};
pub use file_format::{Compression, UnsupportedFormat};
pub use open::{open, spool};
pub use outline::{HeaderReading, Outline, outline};
pub use own_cells::OwnCells;
pub use read_progress::ReadProgress;
pub use row::Sink;
pub use source::{Source, count_reads};
pub use stamp::Stamp;
