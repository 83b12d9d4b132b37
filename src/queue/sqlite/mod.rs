//! The store in one SQLite file. Only this folder contains SQL and uses the types of the database driver.
//!
//! `file`, `connection`, `error` and `checksum` are its base; `store` and `reader` open the file; `runs`, `load`,
//! `requests` and `read` contain the statements. Each uses only those before it.

pub(in crate::queue) mod bulk_insert;
pub(in crate::queue) mod busy;
pub(in crate::queue) mod checksum;
pub(in crate::queue) mod connection;
pub(in crate::queue) mod error;
pub(in crate::queue) mod file;
mod ids;
pub(in crate::queue) mod load;
mod opening;
pub(in crate::queue) mod read;
pub(in crate::queue) mod reader;
pub(in crate::queue) mod requests;
pub(in crate::queue) mod runs;
mod states;
pub(in crate::queue) mod store;
pub(in crate::queue) mod upgrade;
pub(in crate::queue) mod verification;
