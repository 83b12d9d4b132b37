//! What is looked for in the text as a whole, while it goes by.

use std::io::{self, Read};

use super::error::{Problem, Refusal};

/// Hands out the text of `inner`, counts its lines, and refuses NUL bytes.
///
/// No text holds a NUL. Where one is, a crash or a full disk left a hole in the file, and rows that were in it are lost.
pub(super) struct Watch<R> {
    inner: R,
    line_feeds: u64,
    last: Option<u8>,
    ended: bool,
}

impl<R: Read> Watch<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line_feeds: 0, last: None, ended: false }
    }

    /// The last line, if the text was read to its end and ends without a line feed.
    pub(super) fn unfinished_line(&self) -> Option<u64> {
        (self.ended && self.last.is_some_and(|last| last != b'\n')).then_some(self.line_feeds + 1)
    }
}

impl<R: Read> Read for Watch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let text = &buffer[..count];
        let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count() as u64;
        if let Some(nul) = memchr::memchr(0, text) {
            return Err(Refusal::at(self.line_feeds + lines(&text[..nul]) + 1, Problem::Nul));
        }
        self.line_feeds += lines(text);
        self.last = text.last().copied().or(self.last);
        self.ended |= text.is_empty() && !buffer.is_empty();
        Ok(count)
    }
}
