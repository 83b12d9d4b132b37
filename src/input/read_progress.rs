//! Counts the bytes of the input that were read, for the progress.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::progress::BytesDone;

/// The bytes of a list of sources that were read, as they are stored.
#[derive(Debug, Default)]
pub struct ReadProgress {
    done: AtomicU64,
    total: AtomicU64,
}

impl ReadProgress {
    /// The bytes that were read; none before the sources are known, and if they are empty.
    pub fn bytes(&self) -> Option<BytesDone> {
        let total = self.total.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).min(total);
        (total > 0).then_some(BytesDone { done, total })
    }

    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }
}

/// A reader whose bytes are counted.
pub(super) struct CountedRead<'p, R> {
    pub(super) inner: R,
    pub(super) reads: &'p ReadProgress,
}

impl<R: Read> Read for CountedRead<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.reads.done.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
