//! imbulk runs bulk jobs against the server API of Tencent Cloud Chat: rows of CSV or JSONL in, one recorded
//! outcome per row out.
//!
//! # The three invariants
//!
//! 1. Requests in flight never write the same account.
//! 2. The intent is durable before the bytes leave; the outcome is durable before it is counted.
//! 3. No one-second window, as the server counts it, contains more calls than the cap.
//!
//! `docs/architecture.md` states their exceptions and conditions, and describes the modules.

pub mod api;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod conformance;
pub mod doctor;
pub mod domain;
pub mod export;
pub mod fail_point;
pub mod init;
pub mod input;
pub mod intake;
pub mod line_writer;
pub mod loading;
pub mod log;
pub mod new_folder;
pub mod notify;
pub mod queue;
pub mod rate_limiter;
pub mod report;
pub mod restore;
pub mod runner;
pub mod session;
pub mod settings;
pub mod ssh;
pub mod stderr;
pub mod stdout;
pub mod stored_request;
#[cfg(test)]
mod testing;
