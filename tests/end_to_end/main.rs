//! The real binary against the stand-in for the API: real SQLite, real sockets, real `kill -9`.

mod again;
mod bench;
mod checker;
mod faults;
mod halts;
mod inputs;
mod kills;
mod lies;
mod operations;
mod outputs;
mod rows;
mod secrets;
mod sending;
mod together;
