//! What must hold of any bytes at all. The fuzz targets hunt for bytes of which it does not; the ordinary tests hold it
//! against the seeds.

#![allow(dead_code, reason = "each fuzz target is a program of its own that uses its part")]

mod answer;
mod job_file;
mod ledger;
mod rows;

pub(crate) use answer::answer;
pub(crate) use job_file::job_file;
pub(crate) use ledger::ledger_file;
pub(crate) use rows::{csv_row, jsonl_row};

/// Panics where the bytes break it.
type Property = fn(&[u8]);

/// What must hold of the bytes, by the name of the fuzz target.
pub(crate) const ALL: [(&str, Property); 5] = [
    ("csv_row", csv_row),
    ("jsonl_row", jsonl_row),
    ("answer", answer),
    ("job_file", job_file),
    ("ledger_file", ledger_file),
];

/// The first byte, which chooses, and the rest.
fn split(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
