//! Storing a new run.

pub(in crate::queue) mod batch_insert;
mod carried_items;
pub(in crate::queue) mod carry;
pub(in crate::queue) mod loader;
