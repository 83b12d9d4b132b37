//! The decisions of imbulk, without input or output.
//!
//! Nothing here uses tokio, SQLite, HTTP, the clock, a random generator, the environment or the terminal. Time and
//! random numbers are arguments, and decisions are return values. A test can therefore simulate thousands of nights in
//! a second, and every rule about the API is in one place.

pub mod approval;
pub mod backup;
pub mod bottleneck;
pub mod call_counts;
pub mod call_settings;
pub mod change;
pub mod control;
pub mod exit;
pub mod forget;
pub mod guard;
pub mod heartbeat;
pub mod hint;
pub mod ids;
pub mod job;
pub mod language;
pub mod next_round;
pub mod operation;
pub mod outage;
pub mod plan_id;
pub mod progress;
pub mod rate_limit;
pub mod report_file;
pub mod request;
pub mod response;
pub mod results;
pub mod run_choice;
pub mod run_name;
pub mod schedule;
pub mod session_control;
pub mod session_start;
pub mod session_state;
pub mod source_facts;
pub mod state_change;
pub mod target;
pub mod time_limit;
pub mod time_series;
pub mod timestamp;
pub mod unusual_id;
