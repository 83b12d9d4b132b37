//! Lines that a thread writes, so that no output delays or ends a run.
//!
//! Standard error or a log file may be a pipe without a reader, a stopped terminal, a file on a full disk, or closed.
//! Lines therefore wait in a list of limited length. A line that does not fit or cannot be written is dropped and
//! counted.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines of the log that may wait; more are dropped. A burst of `-vv` fits.
const MAX_LOG_LINES: usize = 4096;
/// Messages may wait beyond that: a log that is too long hides no error.
const MAX_LINES: usize = MAX_LOG_LINES + 1024;
/// Bytes that may wait. Few lines have more than some hundred.
const MAX_BYTES: usize = 4 << 20;
/// A writer that writes nothing for this long counts as blocked …
const BLOCKED_AFTER: Duration = Duration::from_millis(500);
/// … and a slow one is waited for no longer than this at the end.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The wait after a descriptor that does not block has refused a write.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Lines between the threads that produce them and the thread that writes them.
#[derive(Debug, Default)]
pub struct LineWriter {
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

impl LineWriter {
    /// Adds a line of the log. Never blocks.
    pub fn push_log(&self, line: Vec<u8>) {
        self.push(line, MAX_LOG_LINES);
    }

    /// Adds a message, for which there is space even if the log has filled its share. Never blocks.
    pub fn push_message(&self, line: Vec<u8>) {
        self.push(line, MAX_LINES);
    }

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

    /// How many lines were dropped.
    pub fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    /// Writes the lines, and never returns.
    pub fn write_to(&self, out: &mut impl Write) {
        let mut is_torn = false;
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
            let written = write_line(out, &line, &mut is_torn);
            let mut waiting = self.waiting();
            waiting.writing = false;
            waiting.taken += 1;
            waiting.dropped += u64::from(written.is_err());
            self.changed.notify_all();
        }
    }

    /// Waits until all lines are written. It does not wait for a blocked reader.
    pub fn drain(&self) {
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

/// Writes a whole line. If only its beginning can be written, the next line starts on a line of its own.
fn write_line(out: &mut impl Write, mut line: &[u8], is_torn: &mut bool) -> std::io::Result<()> {
    if *is_torn {
        write_some(out, b"\n")?;
        *is_torn = false;
    }
    let length = line.len();
    while !line.is_empty() {
        let written = write_some(out, line).inspect_err(|_| *is_torn = line.len() < length)?;
        line = &line[written..];
    }
    out.flush()
}

/// Writes one byte or more. Waits while the descriptor does not accept any.
fn write_some(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<usize> {
    loop {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(RETRY_AFTER),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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

    fn start() -> (Arc<LineWriter>, Sender<std::io::Result<()>>, Receiver<Vec<u8>>) {
        let lines = Arc::new(LineWriter::default());
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
        let lines = LineWriter::default();
        lines.push(vec![b'x'; MAX_BYTES], MAX_LINES);
        lines.push(vec![b'x'], MAX_LINES);
        assert_eq!((lines.dropped(), lines.waiting().lines.len()), (1, 1));
    }

    /// Writes three bytes of a line, then nothing, then everything.
    struct FullOnce {
        writes: u32,
        written: Vec<u8>,
    }

    impl Write for FullOnce {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.writes += 1;
            let length = match self.writes {
                1 => 3,
                2 => return Err(ErrorKind::StorageFull.into()),
                _ => bytes.len(),
            };
            self.written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_one_that_was_cut_off_starts_on_a_line_of_its_own() {
        let (mut disk, mut is_torn) = (FullOnce { writes: 0, written: Vec::new() }, false);
        write_line(&mut disk, b"lost line\n", &mut is_torn).unwrap_err();
        write_line(&mut disk, b"next line\n", &mut is_torn).unwrap();
        assert_eq!(disk.written, b"los\nnext line\n");
        assert!(!is_torn);
    }
}
