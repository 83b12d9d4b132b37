//! Passes results to a reader that may be slow, or stop reading (`| less`).
//!
//! Results are read from the queue in one transaction, and while it is open SQLite's log grows. The export therefore
//! never waits for the reader of the results: bytes that do not fit in memory wait in an unlinked file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::ExportError;

/// Bytes that may wait in memory; more wait in the file.
const WAITING_BYTES: usize = 8 << 20;
/// Bytes per read of the file.
const BYTES_PER_READ: usize = 1 << 20;

/// Takes results at any speed and passes them on at the speed of their reader.
#[derive(Debug)]
pub struct Outlet {
    shared: Arc<OutletState>,
    folder: PathBuf,
    memory: usize,
    thread: JoinHandle<Result<(), ExportError>>,
}

#[derive(Debug, Default)]
struct OutletState {
    state: Mutex<WaitingOutput>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WaitingOutput {
    /// Bytes that come before those in the file.
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The file; once it exists, all further bytes go there.
    file: Option<File>,
    written: u64,
    read: u64,
    /// Whether the export has written everything.
    ended: bool,
    /// Whether the reader has stopped reading.
    closed: bool,
}

/// The next bytes for the reader.
enum Next {
    Bytes(Vec<u8>),
    /// A part of the file: offset and length.
    FilePart(File, u64, usize),
    End,
}

impl Outlet {
    /// Passes bytes to `out`; a temporary file is made in `folder` if the reader is slow.
    pub fn to(out: impl Write + Send + 'static, folder: &Path) -> Self {
        Self::with_memory(WAITING_BYTES, out, folder)
    }

    fn with_memory(memory: usize, mut out: impl Write + Send + 'static, folder: &Path) -> Self {
        let shared = Arc::new(OutletState::default());
        let (theirs, temporary) = (Arc::clone(&shared), folder.to_owned());
        let thread = std::thread::spawn(move || {
            let passed = theirs.pass_on(&mut out, &temporary);
            theirs.state().closed = true;
            passed
        });
        Self { shared, folder: folder.to_owned(), memory, thread }
    }

    /// Waits until the reader has read everything.
    pub fn finish(self) -> Result<(), ExportError> {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        self.thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        if state.file.is_none() && state.bytes + bytes.len() > self.memory {
            state.file = Some(tempfile::tempfile_in(&self.folder)?);
        }
        match &mut state.file {
            Some(file) => {
                file.write_all(bytes)?;
                state.written += bytes.len() as u64;
            }
            None => {
                state.bytes += bytes.len();
                state.waiting.push_back(bytes.to_vec());
            }
        }
        self.shared.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl OutletState {
    fn pass_on(&self, out: &mut impl Write, folder: &Path) -> Result<(), ExportError> {
        loop {
            let bytes = match self.next(folder)? {
                Next::Bytes(bytes) => bytes,
                Next::FilePart(file, start, length) => {
                    let mut bytes = vec![0; length];
                    file.read_exact_at(&mut bytes, start).map_err(temporary(folder))?;
                    bytes
                }
                Next::End => return out.flush().map_err(ExportError::Output),
            };
            out.write_all(&bytes).map_err(ExportError::Output)?;
        }
    }

    fn next(&self, folder: &Path) -> Result<Next, ExportError> {
        let mut state = self.state();
        loop {
            if let Some(bytes) = state.waiting.pop_front() {
                state.bytes -= bytes.len();
                return Ok(Next::Bytes(bytes));
            }
            if state.read < state.written
                && let Some(file) = &state.file
            {
                let file = file.try_clone().map_err(temporary(folder))?;
                let (start, left) = (state.read, state.written - state.read);
                let length = usize::try_from(left).unwrap_or(BYTES_PER_READ).min(BYTES_PER_READ);
                state.read += length as u64;
                return Ok(Next::FilePart(file, start, length));
            }
            if state.ended {
                return Ok(Next::End);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A panic elsewhere leaves the state valid: each change under the lock is complete.
    fn state(&self) -> MutexGuard<'_, WaitingOutput> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn temporary(folder: &Path) -> impl Fn(std::io::Error) -> ExportError + use<> {
    let folder = folder.to_owned();
    move |source| ExportError::Temporary { folder: folder.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use proptest::prelude::*;

    use super::*;

    /// A reader that reads only after a start signal, and returns everything in the end.
    struct Reader {
        start: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Once, and then whenever the sender is gone.
            let _started = self.start.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_reader_that_takes_nothing_for_long_holds_up_nobody_and_gets_all_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..40),
            memory in 0..2000_usize,
            before in 0..40_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let taken = Arc::new(Mutex::new(Vec::new()));
            let (go, start) = channel();
            let mut outlet = Outlet::with_memory(memory, Reader { start, taken: Arc::clone(&taken) }, folder.path());
            for (nth, piece) in pieces.iter().enumerate() {
                // This would wait for ever if it waited for the reader.
                outlet.write_all(piece).unwrap();
                if nth < before {
                    let _gone = go.send(());
                }
            }
            drop(go);
            outlet.finish().unwrap();
            prop_assert_eq!(&*taken.lock().unwrap(), &pieces.concat());
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut outlet = Outlet::to(Closed, folder.path());
        while outlet.write_all(b"row\n").is_ok() {
            std::thread::yield_now();
        }
        let Err(ExportError::Output(error)) = outlet.finish() else { panic!("it is no success") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
