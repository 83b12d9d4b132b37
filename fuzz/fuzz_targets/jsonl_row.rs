//! Records of a JSONL file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imbulk_fixtures::properties::jsonl_row(data));
