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
    terminal_size().map(|(columns, _)| columns)
}

/// Columns and lines.
fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// A text on a terminal that is drawn again and again in the same place.
#[derive(Debug)]
pub struct Screen {
    /// The lines of the last drawing, which the next one replaces.
    lines: usize,
}

impl Screen {
    /// None without a terminal.
    pub fn new() -> Option<Self> {
        terminal_size().map(|_| Self { lines: 0 })
    }

    /// Draws a text in place of the last one. `text` gets the number of columns. Only the last drawing may be higher
    /// than the terminal. False if standard output is closed, or is no terminal any more.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub fn draw(&mut self, text: impl Fn(u16) -> String, is_last: bool) -> Result<bool> {
        let Some((columns, height)) = terminal_size() else { return Ok(false) };
        let shown = if is_last { usize::MAX } else { usize::from(height).saturating_sub(1) };
        let text = text(columns);
        let lines: Vec<&str> = text.lines().take(shown).collect();
        let up = if self.lines > 0 { format!("\u{1b}[{}F", self.lines) } else { String::new() };
        self.lines = lines.len();
        print_if_read(&format!("{up}\u{1b}[J{}", lines.join("\n")))
    }
}

/// Prints a text, which ends with a line feed. A reader that closes the pipe (`| head`) is no error.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print(text: &str) -> Result<()> {
    print_if_read(text).map(drop)
}

/// The same. False if the reader has closed the pipe.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print_if_read(text: &str) -> Result<bool> {
    let line_feed = if text.ends_with('\n') { "" } else { "\n" };
    // A terminal shows both streams: earlier messages have to appear first.
    drain();
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}{line_feed}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
