//! The body of an answer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imbulk_fixtures::properties::answer(data));
