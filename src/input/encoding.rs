//! From the file's encoding to UTF-8.

use std::io::{self, Read};

use encoding_rs::{CoderResult, GBK};

use super::compression::{peek, read_problem};
use super::error::Problem;
use crate::domain::job::Encoding;

/// How many bytes of GBK are decoded at a time.
const CHUNK: usize = 32 * 1024;

/// What encoding_rs writes in place of bytes that are no text.
pub(super) const REPLACEMENT: char = '\u{fffd}';

/// The text without its byte order mark, as UTF-8.
///
/// UTF-8 itself is passed through unchecked: whether a cell is text is found where the cell is used, so that
/// stray bytes elsewhere harm nobody. In decoded GBK, bytes that are no text stand as [`REPLACEMENT`], which GBK
/// can't say by itself.
pub(super) fn to_utf8<'a>(plain: impl Read + 'a, encoding: Encoding) -> Result<Box<dyn Read + 'a>, Problem> {
    let (start, mut plain) = peek(plain, 4).map_err(read_problem)?;
    let marked = start.starts_with(b"\xef\xbb\xbf");
    check_mark(&start, marked, encoding)?;
    if marked {
        io::copy(&mut plain.by_ref().take(3), &mut io::sink()).map_err(read_problem)?;
    }
    Ok(match encoding {
        Encoding::Utf8 => Box::new(plain),
        Encoding::Gbk => Box::new(FromGbk::new(plain)),
    })
}

/// The encoding's name in job files and messages.
pub(super) const fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Gbk => "gbk",
    }
}

fn check_mark(start: &[u8], utf8_mark: bool, encoding: Encoding) -> Result<(), Problem> {
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(Problem::Mark("UTF-16", name(encoding)));
    }
    // A header or a record never starts with NUL bytes; every ASCII letter of UTF-16 has one.
    if start.contains(&0) {
        return Err(Problem::NotText("UTF-16 or binary"));
    }
    match encoding {
        Encoding::Gbk if utf8_mark => Err(Problem::Mark("UTF-8", name(encoding))),
        Encoding::Gbk | Encoding::Utf8 => Ok(()),
    }
}

struct FromGbk<R> {
    inner: R,
    decoder: encoding_rs::Decoder,
    /// Bytes of the file that are not decoded yet.
    raw: Vec<u8>,
    /// Text that is not handed out yet.
    text: Vec<u8>,
    /// How much of `text` is handed out.
    read: usize,
    /// Whether the decoder was told that nothing follows.
    ended: bool,
}

impl<R: Read> FromGbk<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            decoder: GBK.new_decoder_without_bom_handling(),
            raw: vec![0; CHUNK],
            text: Vec::new(),
            read: 0,
            ended: false,
        }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let count = self.inner.read(&mut self.raw)?;
        self.ended = count == 0;
        // The decoder knows its worst case; only a length near usize::MAX has none.
        let longest = self.decoder.max_utf8_buffer_length(count);
        self.text.resize(longest.unwrap_or_default(), 0);
        let (result, _, written, _) = self.decoder.decode_to_utf8(&self.raw[..count], &mut self.text, self.ended);
        if matches!(result, CoderResult::OutputFull) {
            return Err(io::Error::other("the GBK decoder wrote more than it announced"));
        }
        self.text.truncate(written);
        self.read = 0;
        Ok(())
    }
}

impl<R: Read> Read for FromGbk<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.text.len() && !self.ended {
            self.decode_more()?;
        }
        let rest = &self.text[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte a call, so that every character is split.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = 1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn utf8(raw: &[u8], encoding: Encoding) -> Result<String, Problem> {
        let mut text = Vec::new();
        to_utf8(Drip(raw), encoding)?.read_to_end(&mut text).map_err(read_problem)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn gbk_is_decoded_across_the_seams_of_reads() {
        let (raw, _, _) = GBK.encode("用户,备注\n张三,€\n");
        assert_eq!(utf8(&raw, Encoding::Gbk).unwrap(), "用户,备注\n张三,€\n");
    }

    #[test]
    fn bytes_that_are_no_gbk_leave_a_mark_and_the_line_end_stands() {
        assert_eq!(utf8(b"a\xff,b\x81\n\xc4", Encoding::Gbk).unwrap(), "a\u{fffd},b\u{fffd}\n\u{fffd}");
    }

    #[test]
    fn the_mark_of_utf8_is_dropped_and_every_other_one_refused() {
        assert_eq!(utf8(b"\xef\xbb\xbfa", Encoding::Utf8).unwrap(), "a");
        assert!(matches!(utf8(b"\xff\xfea\0", Encoding::Utf8), Err(Problem::Mark("UTF-16", "utf-8"))));
        assert!(matches!(utf8(b"a\0b\0", Encoding::Utf8), Err(Problem::NotText(_))));
        assert!(matches!(utf8(b"\xef\xbb\xbfa", Encoding::Gbk), Err(Problem::Mark("UTF-8", "gbk"))));
    }
}
