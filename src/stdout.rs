//! Prints to standard output: the data of a command.

use std::io::{ErrorKind, Result, Write};

use serde::Serialize;

use crate::stderr::drain;

/// Prints a value as JSON.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// The columns of the terminal behind standard output; none if it is no terminal, or one that does not tell.
pub fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Prints a text, which ends with a line feed. A reader that closes the pipe (`| head`) is no error.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print(text: &str) -> Result<()> {
    let line_feed = if text.ends_with('\n') { "" } else { "\n" };
    // A terminal shows both streams: earlier messages have to appear first.
    drain();
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}{line_feed}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
