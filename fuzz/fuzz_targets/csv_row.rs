//! Rows of a CSV file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imbulk_fixtures::properties::csv_row(data));
