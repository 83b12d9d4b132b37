//! The file of a queue: its owner, its identity, its WAL and its disk.

pub(in crate::queue) mod free_space;
pub(in crate::queue) mod identity;
pub(in crate::queue) mod lock;
pub(in crate::queue) mod wal_check;
