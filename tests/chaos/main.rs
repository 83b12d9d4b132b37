//! Every fault that we can make, against the real binary, and a checker that reads three sides: what was asked, what the
//! server saw, and what the queue says. docs/explanation/reliability.md has the promises, the figures and the commands.

#[path = "../harness/mod.rs"]
mod harness;

mod checker;
mod clocks;
mod disk;
mod flips;
mod hell;
mod hostile;
mod kills;
mod network;
mod power;
mod rate;
mod secrets;
