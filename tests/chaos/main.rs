//! Every fault that we can make, against the real binary, and a checker that reads three sides: what was asked, what the
//! server saw, and what the queue says. docs/explanation/reliability.md has the promises, the figures and the commands.

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
