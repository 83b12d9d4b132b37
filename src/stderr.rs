//! Messages for people, which a thread writes to standard error.
//!
//! Standard error may be a pipe without a reader, a stopped terminal, a file on a full disk, or closed. None of these
//! may delay or end a run, whose outcomes are in its queue: see [`LineWriter`]. Each message is an event of the log as
//! well, so that a log file has it with its time.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};

use crate::line_writer::LineWriter;

/// The target of messages among the events of the log. Standard error has them already.
pub const MESSAGE: &str = "imbulk::message";
/// The target of the events on a run that standard error shows also without `-v`, unless it is a terminal: the start
/// and the end, and the progress in between.
pub const RUN: &str = "imbulk::run";

static STDERR: LazyLock<LineWriter> = LazyLock::new(|| {
    // Where no thread can be made, all lines are dropped and counted.
    let _dropped =
        std::thread::Builder::new().name("stderr".to_owned()).spawn(|| STDERR.write_to(&mut std::io::stderr()));
    LineWriter::default()
});

/// Whether standard error is a terminal on which the cursor can be moved.
static SHOWS_BARS: AtomicBool = AtomicBool::new(false);
/// Whether standard error shows all events of the log.
static SHOWS_EVENTS: AtomicBool = AtomicBool::new(false);
/// The bar that is on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// The bar is drawn at most this often per second.
const DRAWS_PER_SECOND: u8 = 20;

/// Sets what standard error shows.
pub fn set_up(shows_bars: bool, shows_events: bool) {
    SHOWS_BARS.store(shows_bars, Ordering::Relaxed);
    SHOWS_EVENTS.store(shows_events, Ordering::Relaxed);
}

/// A bar at the bottom of the terminal, if there is one. Messages and lines of the log are written above it.
pub fn show_bar() -> Option<ProgressBar> {
    if !SHOWS_BARS.load(Ordering::Relaxed) {
        return None;
    }
    let terminal = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWS_PER_SECOND);
    let bar = ProgressBar::with_draw_target(None, terminal);
    let before = bar_on_terminal().replace(bar.clone());
    before.iter().for_each(ProgressBar::finish_and_clear);
    Some(bar)
}

/// Removes the bar from the terminal.
pub fn remove_bar() {
    let bar = bar_on_terminal().take();
    bar.iter().for_each(ProgressBar::finish_and_clear);
}

/// Every step under the lock is complete in itself.
fn bar_on_terminal() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes above the bar, if there is one.
fn above_bar(write: impl FnOnce()) {
    let bar = bar_on_terminal().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a line for a person at a terminal, unless the log shows the same event there.
pub fn tell_terminal(text: impl Display) {
    if SHOWS_BARS.load(Ordering::Relaxed) && !SHOWS_EVENTS.load(Ordering::Relaxed) {
        above_bar(|| STDERR.push_message(format!("{text}\n").into_bytes()));
    }
}

/// Writes a message to standard error, if anybody reads it, and to the log file. Never blocks.
pub fn tell(text: impl Display) {
    tracing::info!(target: MESSAGE, event = "message", "{text}");
    above_bar(|| STDERR.push_message(format!("{text}\n").into_bytes()));
}

/// The same for an error.
pub fn tell_error(text: impl Display) {
    tracing::error!(target: MESSAGE, event = "message", "{text}");
    above_bar(|| STDERR.push_message(format!("{text}\n").into_bytes()));
}

/// Waits until all messages are written, so that standard output follows them. It does not wait for a blocked reader.
pub fn drain() {
    STDERR.drain();
}

/// The same at the end of the process. Says how many lines were dropped.
pub fn finish() {
    remove_bar();
    let dropped = STDERR.dropped();
    if dropped > 0 {
        tell(format!("{dropped} lines for standard error could not be written and were dropped"));
    }
    STDERR.drain();
}

/// Where lines of the log go. Each write is a whole line.
#[derive(Debug, Clone, Copy)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        above_bar(|| STDERR.push_log(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The columns of the terminal behind standard error.
pub fn columns() -> usize {
    Terminal::default().width().into()
}

/// The terminal behind standard error, for progress bars: a picture that nobody takes is not drawn.
#[derive(Debug, Default)]
struct Terminal {
    picture: Mutex<Vec<u8>>,
}

impl Terminal {
    fn add(&self, text: &str) {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text.as_bytes());
    }

    fn move_by(&self, n: usize, direction: char) {
        if n > 0 {
            self.add(&format!("\x1b[{n}{direction}"));
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        /// Of terminals that do not tell.
        const USUAL: u16 = 80;
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        if size == 0 { USUAL } else { size }
    }

    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        self.move_by(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        self.move_by(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        self.move_by(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        self.move_by(n, 'D');
        Ok(())
    }

    fn write_line(&self, line: &str) -> std::io::Result<()> {
        self.add(&format!("{line}\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.add(text);
        Ok(())
    }

    fn clear_line(&self) -> std::io::Result<()> {
        self.add("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> std::io::Result<()> {
        let mut picture = std::mem::take(&mut *self.picture.lock().unwrap_or_else(PoisonError::into_inner));
        if !picture.is_empty() {
            // The terminal echoes Ctrl-C as ^C: at the end of a full line that would move the picture by one line.
            picture.push(b'\r');
            STDERR.push_log(picture);
        }
        Ok(())
    }
}
