//! What each command does.

pub mod explain;
