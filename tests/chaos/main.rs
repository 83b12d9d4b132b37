//! Faults of every kind against the real binary: kills, power cuts, damaged files, hostile servers and inputs.
//!
//! docs/explanation/reliability.md has the promises, the figures and the commands.

mod bit_flips;
mod checker_selftest;
mod clocks;
mod disk;
mod hostile_input;
mod hostile_server;
mod kills;
mod network;
mod power;
mod rate;
mod secrets;
