//! Properties of all inputs. The fuzz targets search for inputs that violate them; the ordinary tests check the seeds.

mod answer;
mod job_file;
mod ledger;
mod rows;

use imbulk::domain::operation::{ALL as ALL_OPERATIONS, Operation};

pub use answer::answer;
pub use job_file::job_file;
pub use ledger::ledger_file;
pub use rows::{csv_row, jsonl_row};

/// Panics if the bytes violate the property.
pub type Property = fn(&[u8]);

/// The properties, by the name of the fuzz target.
pub const ALL: [(&str, Property); 5] = [
    ("csv_row", csv_row),
    ("jsonl_row", jsonl_row),
    ("answer", answer),
    ("job_file", job_file),
    ("ledger_file", ledger_file),
];

/// The operation that a byte chooses, of all there are, and what is left of the byte to choose from.
fn operation(choice: u8) -> (&'static Operation, u8) {
    let count = u8::try_from(ALL_OPERATIONS.len()).expect("few operations");
    (ALL_OPERATIONS[usize::from(choice % count)], choice / count)
}

/// The first byte, which chooses options, and the rest.
fn split(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
