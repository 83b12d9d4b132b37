//! End-to-end tests: the real binary with the sandbox, SQLite, sockets and signals.

mod again;
mod claims;
mod completions;
mod control;
mod daily;
mod environment;
mod faults;
mod guards;
mod halts;
mod holding;
mod inputs;
mod json_schemas;
mod logs;
mod metrics;
mod names;
mod notifications;
mod operations;
mod outputs;
mod plans;
mod results_check_selftest;
mod round_trip;
mod sending;
mod shared;
mod status;
mod stops;
mod together;
