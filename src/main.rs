//! The `imbulk` command.

fn main() {}
