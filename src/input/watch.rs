//! What is looked for in the text as a whole, while it goes by.

use std::io::{self, Read};

use super::error::{Problem, Refusal};

/// A run of so many NUL bytes is a hole. A few may be part of one damaged cell, which is rejected by itself.
const HOLE: usize = 16;

/// Hands out the text of `inner`, counts its lines, and refuses holes.
///
/// After a crash or on a full disk, a file can have NUL bytes in place of what was to be written: rows that were there are
/// lost.
pub(super) struct Watch<R> {
    inner: R,
    line_feeds: u64,
    last: Option<u8>,
    ended: bool,
    /// NUL bytes at the end of what was read.
    nuls: usize,
}

impl<R: Read> Watch<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line_feeds: 0, last: None, ended: false, nuls: 0 }
    }

    /// The last line, if the text was read to its end and ends without a line feed.
    pub(super) fn unfinished_line(&self) -> Option<u64> {
        (self.ended && self.last.is_some_and(|last| last != b'\n')).then_some(self.line_feeds + 1)
    }

    /// Where the first hole of this text is, or ends if it began before.
    fn hole(&mut self, text: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            if self.nuls == 0 {
                from += memchr::memchr(0, &text[from..])?;
            }
            let run = text[from..].iter().take_while(|byte| **byte == 0).count();
            self.nuls += run;
            if self.nuls >= HOLE {
                return Some(from);
            }
            from += run;
            if from == text.len() {
                return None;
            }
            self.nuls = 0;
        }
    }
}

impl<R: Read> Read for Watch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let text = &buffer[..count];
        let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count() as u64;
        if let Some(hole) = self.hole(text) {
            return Err(Refusal::at(self.line_feeds + lines(&text[..hole]) + 1, Problem::Hole));
        }
        self.line_feeds += lines(text);
        self.last = text.last().copied().or(self.last);
        self.ended |= text.is_empty() && !buffer.is_empty();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of_hole(text: &[u8], piece: usize) -> Option<u64> {
        let mut watch = Watch::new(text);
        let mut buffer = vec![0; piece];
        loop {
            match watch.read(&mut buffer) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return super::super::error::InputError::of_read("a.csv", None, error).line,
            }
        }
    }

    #[test]
    fn a_hole_is_found_across_the_seams_of_reads_and_single_nuls_are_not_one() {
        let text = |nuls: usize| [b"UserID\na\0b\nus".as_slice(), &vec![0; nuls], b"\nc\0\n"].concat();
        for piece in [1, 2, 7, 64] {
            assert_eq!(line_of_hole(&text(HOLE - 1), piece), None);
            assert_eq!(line_of_hole(&text(HOLE), piece), Some(3), "{piece}");
            assert_eq!(line_of_hole(&text(5_000), piece), Some(3));
        }
    }
}
