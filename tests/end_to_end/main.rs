//! The real binary against the stand-in for the API: real SQLite, real sockets, real `kill -9`.

#[path = "../harness/mod.rs"]
mod harness;

mod again;
mod faults;
mod halts;
mod holding;
mod inputs;
mod lies;
mod operations;
mod outputs;
mod sending;
mod shared;
mod stops;
mod together;
