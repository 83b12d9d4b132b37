//! Properties of all inputs. The fuzz targets search for inputs that violate them; the ordinary tests check the seeds.

#![allow(dead_code, reason = "each fuzz target is a program that uses one of them")]

mod answer;
mod job_file;
mod ledger;
mod rows;

pub(crate) use answer::answer;
pub(crate) use job_file::job_file;
pub(crate) use ledger::ledger_file;
pub(crate) use rows::{csv_row, jsonl_row};

/// Panics if the bytes violate the property.
type Property = fn(&[u8]);

/// The properties, by the name of the fuzz target.
pub(crate) const ALL: [(&str, Property); 5] = [
    ("csv_row", csv_row),
    ("jsonl_row", jsonl_row),
    ("answer", answer),
    ("job_file", job_file),
    ("ledger_file", ledger_file),
];

/// The first byte, which chooses options, and the rest.
fn split(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
