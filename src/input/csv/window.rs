//! The part of the text that may have to be read again.

use std::io::{self, Read, Seek, SeekFrom};

/// How much is read from the source at a time.
const BYTES_PER_READ: usize = 64 * 1024;

/// Hands out the text of `inner` and keeps all of it from a mark on, so that a reader can go back there.
///
/// It pretends to end at a limit: a reader that finds no end of a record stops there instead of taking the whole
/// file into memory.
pub(super) struct TextWindow<R> {
    inner: R,
    /// The text from `base` on, as far as it was read.
    bytes: Vec<u8>,
    /// Where `bytes` starts in the text.
    base: u64,
    /// How much of `bytes` was handed out.
    read: usize,
    /// The text before this place is no longer needed.
    mark: u64,
    /// Nothing from this place on is handed out.
    limit: u64,
    /// Whether a carriage return was read so far.
    has_returns: bool,
}

impl<R: Read> TextWindow<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, bytes: Vec::new(), base: 0, read: 0, mark: 0, limit: u64::MAX, has_returns: false }
    }

    /// Keeps the text from `mark` on, and ends at `limit`.
    pub(super) const fn keep(&mut self, mark: u64, limit: u64) {
        self.mark = mark;
        self.limit = limit;
    }

    /// Whether the text has carriage returns, as far as it was read.
    pub(super) const fn has_returns(&self) -> bool {
        self.has_returns
    }

    /// The text between two places that are kept.
    pub(super) fn text(&self, start: u64, end: u64) -> &[u8] {
        self.bytes.get(self.index(start)..self.index(end)).unwrap_or_default()
    }

    /// The text from `place` on, as far as it was read.
    pub(super) fn ahead(&self, place: u64) -> &[u8] {
        self.bytes.get(self.index(place)..).unwrap_or_default()
    }

    /// The length of the line that starts at `place`, its line feed included; 0 at the end of the text. None if there
    /// is a quote in it, or if it is not shorter than `bound`. The text before it is no longer needed. `delimiters` are
    /// where the line has one, counted from its start.
    pub(super) fn line_without_quotes(
        &mut self,
        place: u64,
        bound: u64,
        delimiter: u8,
        delimiters: &mut Vec<usize>,
    ) -> io::Result<Option<u64>> {
        self.mark = place;
        self.read = self.index(place);
        delimiters.clear();
        let mut looked = 0;
        loop {
            let ahead = self.ahead(place);
            for found in memchr::memchr3_iter(delimiter, b'\n', b'"', &ahead[looked..]) {
                let at = looked + found;
                let length = at as u64 + 1;
                match ahead[at] {
                    b'\n' => return Ok((length < bound).then_some(length)),
                    b'"' => return Ok(None),
                    _ => delimiters.push(at),
                }
            }
            looked = ahead.len();
            if looked as u64 >= bound {
                return Ok(None);
            }
            if self.fill()? == 0 {
                return Ok(Some(looked as u64));
            }
        }
    }

    /// Where the line that holds `place` ends: behind its line feed, or at the end of the text. What was passed over is
    /// not kept. None if there is a quote in it.
    pub(super) fn skip_line(&mut self, place: u64) -> io::Result<Option<u64>> {
        let mut from = place;
        loop {
            let rest = self.ahead(from);
            match memchr::memchr2(b'\n', b'"', rest) {
                Some(at) if rest[at] == b'"' => return Ok(None),
                Some(at) => return Ok(Some(from + at as u64 + 1)),
                None => {}
            }
            from += rest.len() as u64;
            self.mark = from;
            self.read = self.bytes.len();
            if self.fill()? == 0 {
                return Ok(Some(from));
            }
        }
    }

    /// Reads a chunk more and drops the text before the mark; 0 at the end of the text.
    fn fill(&mut self) -> io::Result<usize> {
        let stale = self.index(self.mark).min(self.read);
        self.bytes.drain(..stale);
        self.base += stale as u64;
        self.read -= stale;
        let kept = self.bytes.len();
        self.bytes.resize(kept + BYTES_PER_READ, 0);
        let count = loop {
            match self.inner.read(&mut self.bytes[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.bytes.truncate(kept + count.as_ref().map_or(0, |&count| count));
        self.has_returns = self.has_returns || memchr::memchr(b'\r', &self.bytes[kept..]).is_some();
        count
    }

    fn index(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }
}

impl<R: Read> Read for TextWindow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.bytes.len() && self.base + (self.read as u64) < self.limit {
            self.fill()?;
        }
        let end = self.bytes.len().min(self.index(self.limit)).max(self.read);
        let ready = &self.bytes[self.read..end];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.read += count;
        Ok(count)
    }
}

impl<R> Seek for TextWindow<R> {
    /// Goes to a place that is kept.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(place) = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let index = place.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        self.read = index.filter(|&index| index <= self.bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_again_from_the_mark_on() {
        let text: Vec<u8> = (0..=250).cycle().take(200_000).collect();
        let mut window = TextWindow::new(text.as_slice());
        let mut first = vec![0; 150_000];
        window.read_exact(&mut first).unwrap();
        window.keep(149_990, u64::MAX);
        window.read_exact(&mut vec![0; 40_000]).unwrap();
        window.seek(SeekFrom::Start(149_990)).unwrap();
        let mut rest = Vec::new();
        window.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, text[149_990..]);
        assert!(window.seek(SeekFrom::Start(0)).is_err(), "it was forgotten");
    }

    #[test]
    fn it_ends_at_the_limit_until_the_limit_moves() {
        let mut window = TextWindow::new(&b"0123456789"[..]);
        window.keep(0, 4);
        let mut text = String::new();
        window.read_to_string(&mut text).unwrap();
        window.keep(4, u64::MAX);
        window.read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456789");
    }

    #[test]
    fn a_line_of_many_megabytes_is_passed_over_without_being_kept() {
        let mut text = vec![b'x'; 5 << 20];
        text.extend(b"\nnext");
        let mut window = TextWindow::new(text.as_slice());
        assert_eq!(window.skip_line(3).unwrap(), Some((5 << 20) + 1));
        assert!(window.bytes.len() < (2 << 20));
        assert_eq!(window.skip_line((5 << 20) + 1).unwrap(), Some((5 << 20) + 5), "the last line ends with the text");
        text[4 << 20] = b'"';
        assert_eq!(TextWindow::new(text.as_slice()).skip_line(3).unwrap(), None);
    }

    #[test]
    fn the_end_of_a_long_line_is_found_at_any_place_in_a_chunk() {
        for length in (0..3 * BYTES_PER_READ).step_by(BYTES_PER_READ / 4 - 1).map(|more| (1 << 20) + more) {
            let text = [&vec![b'x'; length], b"\nnext\nlast".as_slice()].concat();
            let mut window = TextWindow::new(text.as_slice());
            assert_eq!(window.skip_line(0).unwrap(), Some(length as u64 + 1));
        }
    }
}
