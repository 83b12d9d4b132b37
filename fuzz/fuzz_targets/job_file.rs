//! A job file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imbulk_fixtures::properties::job_file(data));
