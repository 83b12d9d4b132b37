//! The real binary against the stand-in for the API: real SQLite, real sockets, real `kill -9`.

mod again;
mod claims;
mod environment;
mod faults;
mod guards;
mod halts;
mod holding;
mod inputs;
mod lies;
mod names;
mod operations;
mod outputs;
mod plans;
mod round_trip;
mod sending;
mod shared;
mod stops;
mod together;
