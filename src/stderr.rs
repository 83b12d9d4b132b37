//! Messages for people, which a thread writes to standard error.
//!
//! Standard error may be a pipe without a reader, a stopped terminal, a file on a full disk, or closed. None of these
//! may delay or end a run, whose outcomes are in its queue. Lines therefore wait in a list of limited length. A line
//! that does not fit or cannot be written is dropped and counted.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::TermLike;

/// Lines of the log that may wait; beyond, they are dropped. A burst of `-vv` fits.
const MAX_LOG_LINES: usize = 4096;
/// Messages may wait beyond that: a log that is too long hides no error.
const MAX_LINES: usize = MAX_LOG_LINES + 1024;
/// Bytes that may wait. Few lines have more than some hundred.
const MAX_BYTES: usize = 4 << 20;
/// A writer that writes nothing for so long is taken for blocked …
const BLOCKED_AFTER: Duration = Duration::from_millis(500);
/// … and a slow one is waited for no longer than this at the end.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// After a descriptor that does not block has refused a write.
const RETRY_AFTER: Duration = Duration::from_millis(20);

static STDERR: LazyLock<Lines> = LazyLock::new(|| {
    // Where no thread can be made, all lines are dropped and counted.
    let _dropped =
        std::thread::Builder::new().name("stderr".to_owned()).spawn(|| STDERR.write_to(&mut std::io::stderr()));
    Lines::default()
});

/// Writes a line to standard error, if anybody reads it. Never blocks.
pub fn tell(text: impl Display) {
    STDERR.push(format!("{text}\n").into_bytes(), MAX_LINES);
}

/// Waits until all messages are written, so that standard output follows them. It does not wait for a blocked reader.
pub fn drain() {
    STDERR.drain();
}

/// The same at the end of the process. Says how many lines were dropped.
pub fn finish() {
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
        STDERR.push(line.to_vec(), MAX_LOG_LINES);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The terminal behind standard error, for progress bars: a picture that nobody takes is not drawn.
#[derive(Debug, Default)]
pub struct Terminal {
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
        let picture = std::mem::take(&mut *self.picture.lock().unwrap_or_else(PoisonError::into_inner));
        if !picture.is_empty() {
            STDERR.push(picture, MAX_LOG_LINES);
        }
        Ok(())
    }
}

/// Lines between those who tell and the thread that writes.
#[derive(Debug, Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines taken, written or not.
    taken: u64,
    /// A line is being written.
    writing: bool,
    dropped: u64,
}

impl Lines {
    fn push(&self, line: Vec<u8>, max_lines: usize) {
        let mut waiting = self.waiting();
        if waiting.lines.len() >= max_lines || waiting.bytes + line.len() > MAX_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        self.changed.notify_all();
    }

    fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    /// Writes what comes, for ever.
    fn write_to(&self, out: &mut impl Write) {
        loop {
            let mut waiting = self.waiting();
            let line = loop {
                if let Some(line) = waiting.lines.pop_front() {
                    break line;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            };
            waiting.bytes -= line.len();
            waiting.writing = true;
            drop(waiting);
            let written = write_all(out, &line);
            let mut waiting = self.waiting();
            waiting.writing = false;
            waiting.taken += 1;
            waiting.dropped += u64::from(written.is_err());
            self.changed.notify_all();
        }
    }

    fn drain(&self) {
        let (started, mut moved) = (Instant::now(), Instant::now());
        let mut waiting = self.waiting();
        let mut taken = waiting.taken;
        while (waiting.writing || !waiting.lines.is_empty())
            && moved.elapsed() < BLOCKED_AFTER
            && started.elapsed() < MAX_WAIT
        {
            let waited = self.changed.wait_timeout(waiting, BLOCKED_AFTER);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            if waiting.taken != taken {
                (taken, moved) = (waiting.taken, Instant::now());
            }
        }
    }

    /// Every step under the lock is complete in itself.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(out: &mut impl Write, mut line: &[u8]) -> std::io::Result<()> {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(RETRY_AFTER),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a write whenever it is allowed one, and says what it was.
    struct Slow {
        allowed: Receiver<std::io::Result<()>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.allowed.recv().map_err(std::io::Error::other)??;
            self.written.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Arc<Lines>, Sender<std::io::Result<()>>, Receiver<Vec<u8>>) {
        let lines = Arc::new(Lines::default());
        let (allow, allowed) = channel();
        let (written, read) = channel();
        let writer = Arc::clone(&lines);
        std::thread::spawn(move || writer.write_to(&mut Slow { allowed, written }));
        (lines, allow, read)
    }

    #[test]
    fn a_blocked_reader_blocks_nobody_and_what_does_not_fit_is_counted() {
        let (lines, allow, read) = start();
        for number in 0..MAX_LINES + 100 {
            lines.push(format!("{number}").into_bytes(), MAX_LOG_LINES);
        }
        // One more than fit may be in the writer's hands.
        let dropped = lines.dropped();
        let too_many = (MAX_LINES + 100 - MAX_LOG_LINES) as u64;
        assert!((too_many - 1..=too_many).contains(&dropped), "{dropped} of {too_many}");
        lines.push(b"an error".to_vec(), MAX_LINES);
        assert_eq!(lines.dropped(), dropped, "messages still fit beyond the log");
        lines.drain();
        for _ in 0..=MAX_LINES {
            allow.send(Ok(())).unwrap();
        }
        drop(allow);
        let written: Vec<Vec<u8>> = read.iter().take(MAX_LINES + 101 - usize::try_from(dropped).unwrap()).collect();
        assert_eq!(written.first().unwrap(), b"0");
        assert_eq!(written.last().unwrap(), b"an error");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_one_is_written() {
        let (lines, allow, read) = start();
        lines.push(b"lost".to_vec(), MAX_LINES);
        lines.push(b"kept".to_vec(), MAX_LINES);
        allow.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        allow.send(Err(ErrorKind::StorageFull.into())).unwrap();
        allow.send(Ok(())).unwrap();
        assert_eq!(read.recv().unwrap(), b"kept");
        assert_eq!(lines.dropped(), 1);
    }

    #[test]
    fn bytes_are_limited_too() {
        let lines = Lines::default();
        lines.push(vec![b'x'; MAX_BYTES], MAX_LINES);
        lines.push(vec![b'x'], MAX_LINES);
        assert_eq!((lines.dropped(), lines.waiting().lines.len()), (1, 1));
    }
}
