//! What the test programs of imbulk share: a workspace for the real binary, rows, servers, and two checkers.
//!
//! [`results_check`] compares the results of a run with the accounts and friend lists of the sandbox afterwards.
//! [`journal_check`] compares the sandbox's journal of calls with the queue and with the results.

pub mod app;
pub mod earlier_queue;
pub mod http;
pub mod job_file;
pub mod journal_check;
pub mod process;
pub mod requirements;
pub mod reseal;
pub mod results_check;
pub mod rows;
pub mod scripted_server;
pub mod terminal;
pub mod tls;
pub mod workspace;

pub use app::{ADMIN, APP, FAST, KEY};
pub use job_file::JobFile;
pub use process::{PATIENCE, ProgramOutput, RunningProgram, program};
pub use workspace::{Workspace, WorkspaceSetup};
