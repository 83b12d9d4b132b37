//! imbulk runs bulk jobs against the server API of Tencent Cloud Chat: rows of CSV or JSONL in, one recorded
//! outcome per row out.
//!
//! # The three invariants
//!
//! 1. **Requests in flight write no account in common**, of all that they name. The unit of exclusion is the *set* of
//!    accounts that a request names and writes, leased all or nothing over all jobs of a queue. Friends whom only the
//!    server knows (friend_delete_all, both ways) the server keeps apart: it refuses the second call with 30008.
//! 2. **The intent is on disk before the bytes leave; the outcome is on disk before it is counted.** A request that
//!    is found `sending` at start may have arrived. That is the whole crash protocol.
//! 3. **No one-second window, as the server counts it, holds more calls than the cap**, retries included, however the
//!    network delays, bunches and loses them. Decision 0002 says what is taken for granted: a way there that was steady
//!    does not become much faster at one stroke.

pub mod api;
pub mod cli;
pub mod clock;
pub mod commands;
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
pub mod queue;
pub mod rate_limiter;
pub mod report;
pub mod runner;
pub mod session;
pub mod settings;
pub mod stderr;
pub mod stdout;
pub mod stored_request;
#[cfg(test)]
mod testing;
