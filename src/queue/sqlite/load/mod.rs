//! Storing a new run.

pub(in crate::queue) mod batch_insert;
pub(in crate::queue) mod loader;
