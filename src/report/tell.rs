//! What is said to people beside the data.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error, if anybody still reads it.
///
/// `eprintln!` panics where nobody does (`2>&1 | head -1`), and a run must not end in the middle for want of a reader:
/// what became of its rows stands in the queue.
pub fn tell(text: impl Display) {
    // There is no better place to complain of standard error.
    let _ = writeln!(std::io::stderr(), "{text}");
}
