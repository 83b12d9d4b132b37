//! The file in which processes share the call limit.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imbulk_fixtures::properties::ledger_file(data));
