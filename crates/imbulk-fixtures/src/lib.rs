//! What tests, benchmarks and fuzz targets share that is made of imbulk's own types: bound operations, and properties
//! of all input.
//!
//! The crate `imbulk-testkit` is separate, because what checks the program shares no code with it.

pub mod operations;
pub mod properties;
