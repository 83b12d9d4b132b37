//! Requests: reading, sending, splitting and requeueing them.

pub(in crate::queue) mod changes;
pub(in crate::queue) mod edit;
pub(in crate::queue) mod filling;
pub(in crate::queue) mod first_items;
pub(in crate::queue) mod pending;
pub(in crate::queue) mod protect;
pub(in crate::queue) mod request_row;
pub(in crate::queue) mod requeue;
pub(in crate::queue) mod skipped_rows;
