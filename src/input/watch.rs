//! Checks of the whole text while it is read: its encoding, and holes in it.

use std::io::{self, Read};

use super::error::{Problem, ReadProblem};

/// A run of this many NUL bytes is a hole. A few may be part of one damaged cell, which is rejected by itself.
const HOLE: usize = 16;

/// Hands out the text of `inner`, counts its lines, looks for the first one that is not UTF-8, and refuses holes.
///
/// After a crash or on a full disk, a file can have NUL bytes in place of what was to be written: rows that were there
/// are lost.
pub(super) struct Watch<R> {
    inner: R,
    line_feeds: u64,
    last: Option<u8>,
    ended: bool,
    /// NUL bytes at the end of what was read.
    nuls: usize,
    /// A character at the end of what was read that may go on in the next read.
    partial: Vec<u8>,
    invalid_line: Option<u64>,
}

impl<R: Read> Watch<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line_feeds: 0, last: None, ended: false, nuls: 0, partial: Vec::new(), invalid_line: None }
    }

    /// The last line, if the text was read to its end and ends without a line feed.
    pub(super) fn unfinished_line(&self) -> Option<u64> {
        (self.ended && self.last.is_some_and(|last| last != b'\n')).then_some(self.line_feeds + 1)
    }

    /// The first line that is not valid UTF-8, as far as the text was read.
    pub(super) const fn invalid_line(&self) -> Option<u64> {
        self.invalid_line
    }

    /// Looks for bytes that are not UTF-8, up to the first ones: valid text without other characters than ASCII costs
    /// next to nothing.
    fn check_utf8(&mut self, mut text: &[u8]) {
        if self.invalid_line.is_some() {
            return;
        }
        if self.ended && !self.partial.is_empty() {
            self.invalid_line = Some(self.line_feeds + 1);
        }
        while !self.partial.is_empty()
            && let Some((byte, rest)) = text.split_first()
        {
            self.partial.push(*byte);
            text = rest;
            match str::from_utf8(&self.partial) {
                Ok(_) => self.partial.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.invalid_line = Some(self.line_feeds + 1);
                    return;
                }
            }
        }
        if let Err(error) = str::from_utf8(text) {
            let (valid, rest) = text.split_at(error.valid_up_to());
            match error.error_len() {
                Some(_) => self.invalid_line = Some(self.line_feeds + line_feeds(valid) + 1),
                None => self.partial.extend_from_slice(rest),
            }
        }
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
        if let Some(hole) = self.hole(text) {
            return Err(ReadProblem::at(self.line_feeds + line_feeds(&text[..hole]) + 1, Problem::Hole));
        }
        self.ended |= text.is_empty() && !buffer.is_empty();
        self.check_utf8(text);
        self.line_feeds += line_feeds(text);
        self.last = text.last().copied().or(self.last);
        Ok(count)
    }
}

fn line_feeds(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_is_not_utf8_is_found_across_the_seams_of_reads() {
        for (text, line) in [
            (&b"UserID\na\n"[..], None),
            ("用户\n张三\n😀".as_bytes(), None),
            (b"a\n\xe5\xbc\xa0\n\xff\n\xff", Some(3)),
            (b"a\nb\xe5\xbc\nc", Some(2)),
            (b"a\nb\xe5\xbc", Some(2)),
            (b"a\n\n\xc4\xe3", Some(3)),
        ] {
            for piece in [1, 2, 3, 64] {
                let mut watch = Watch::new(text);
                let mut buffer = vec![0; piece];
                while watch.read(&mut buffer).unwrap() > 0 {}
                assert_eq!(watch.invalid_line(), line, "{} by {piece}", text.escape_ascii());
            }
        }
    }

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
