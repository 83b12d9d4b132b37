//! Decodes gzip and zstd while a file is read: member by member, frame by frame.

use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::GzDecoder;

use super::error::{Problem, ReadProblem};
use super::file_format::{self, Compression, SAMPLE_BYTES, is_gzip, is_skippable, is_zstd};

/// How many bytes a system call reads.
const BYTES_PER_READ: usize = 256 * 1024;

/// The largest window of a zstd frame that is read, in bytes: the library's own bound for streams.
const MAX_WINDOW: u64 = 128 << 20;

/// How many bytes the header of a zstd frame has at most.
const FRAME_HEADER: usize = 18;

/// The plain bytes of a file that may be compressed.
///
/// What the bytes say counts, not the name. A name that promises compression which the bytes do not have is refused:
/// such a file is not what its maker meant it to be.
pub(super) fn decompress<'a>(name: &str, raw: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Problem> {
    let mut raw = Ahead::new(raw);
    let start = raw.peek(usize::try_from(SAMPLE_BYTES).unwrap_or(usize::MAX)).map_err(Problem::Read)?;
    if let Some(format) = file_format::unsupported(start, false) {
        return Err(Problem::NotText(format));
    }
    let compression = if is_gzip(start) {
        Compression::Gzip
    } else if is_zstd(start) {
        Compression::Zstd
    } else {
        return match ending(name) {
            Some(ending) => Err(Problem::NotCompressed(ending)),
            None => Ok(Box::new(raw)),
        };
    };
    let (start, plain) =
        peek(Members { compression, at: Decoder::Between(raw) }, SAMPLE_BYTES).map_err(ReadProblem::problem)?;
    match file_format::unsupported(&start, true) {
        Some(format) => Err(Problem::NotText(format)),
        None => Ok(Box::new(plain)),
    }
}

/// The end of a name that promises compression.
fn ending(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    [".gz", ".gzip", ".zst", ".zstd"].into_iter().find(|end| name.ends_with(end))
}

/// Reads up to `count` bytes ahead; the reader that comes back starts with them again.
pub(super) fn peek<R: Read>(mut reader: R, count: u64) -> io::Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::new();
    reader.by_ref().take(count).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

/// A buffered reader that can be asked for a number of bytes ahead.
struct Ahead<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// Where in the buffer the bytes are that were read and not taken.
    start: usize,
    end: usize,
    ended: bool,
}

impl<R: Read> Ahead<R> {
    fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; BYTES_PER_READ].into_boxed_slice(), start: 0, end: 0, ended: false }
    }

    /// The next `count` bytes, at most [`BYTES_PER_READ`]; fewer at the end.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.ended = read == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }
}

impl<R: Read> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)?;
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

impl<R: Read> Read for Ahead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Decodes one gzip member or zstd frame after the other.
struct Members<R: Read> {
    compression: Compression,
    at: Decoder<R>,
}

enum Decoder<R: Read> {
    /// Before a member, or behind the last one.
    Between(Ahead<R>),
    Gzip(Box<GzDecoder<Ahead<R>>>),
    Zstd(zstd::Decoder<'static, Ahead<R>>),
    /// At the end of the file, or at damage.
    End,
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.at {
                Decoder::Between(_) => {
                    self.next_member()?;
                    continue;
                }
                Decoder::Gzip(decoder) => decoder.read(buffer),
                Decoder::Zstd(decoder) => decoder.read(buffer),
                Decoder::End => return Ok(0),
            };
            match read {
                Ok(0) => self.leave_member(),
                Ok(count) => return Ok(count),
                Err(cause) => return Err(self.damage(cause)),
            }
        }
    }
}

impl<R: Read> Members<R> {
    fn next_member(&mut self) -> io::Result<()> {
        let Decoder::Between(mut raw) = std::mem::replace(&mut self.at, Decoder::End) else { return Ok(()) };
        let start = raw.peek(FRAME_HEADER)?;
        self.at = match self.compression {
            Compression::Gzip if is_gzip(start) => Decoder::Gzip(Box::new(GzDecoder::new(raw))),
            Compression::Zstd if is_zstd(start) => {
                check_frame(start)?;
                Decoder::Zstd(zstd::Decoder::with_buffer(raw)?.single_frame())
            }
            Compression::Gzip | Compression::Zstd => return self.check_padding(raw),
        };
        Ok(())
    }

    /// Tapes and block devices fill up with zeros, and transfers as text add a line end. Anything else may be the rest
    /// of the data.
    fn check_padding(&self, mut raw: Ahead<R>) -> io::Result<()> {
        loop {
            let rest = raw.fill_buf()?;
            if rest.is_empty() {
                return Ok(());
            }
            if !rest.iter().all(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
                return Err(ReadProblem::of(Problem::Trailing(self.compression)));
            }
            let count = rest.len();
            raw.consume(count);
        }
    }

    fn leave_member(&mut self) {
        self.at = match std::mem::replace(&mut self.at, Decoder::End) {
            Decoder::Gzip(decoder) => Decoder::Between(decoder.into_inner()),
            Decoder::Zstd(decoder) => Decoder::Between(decoder.finish()),
            other @ (Decoder::Between(_) | Decoder::End) => other,
        };
    }

    /// Distinguishes damage from a disk that can't be read, and from an end that comes too early. At a wrong checksum
    /// or length, all bytes were read as well: only the decoder knows that some are missing.
    fn damage(&mut self, cause: io::Error) -> io::Error {
        if cause.kind() == io::ErrorKind::Interrupted || cause.raw_os_error().is_some() {
            return cause;
        }
        self.at = Decoder::End;
        let compression = self.compression;
        let ended = cause.kind() == io::ErrorKind::UnexpectedEof;
        ReadProblem::of(if ended { Problem::CutOff(compression) } else { Problem::Corrupt { compression, cause } })
    }
}

/// Refuses a frame that needs more than the library gives it, which would only be called damaged (RFC 8878, 3.1.1.1).
fn check_frame(header: &[u8]) -> io::Result<()> {
    let (Some(descriptor), false) = (header.get(4), is_skippable(header)) else {
        return Ok(());
    };
    if descriptor & 0x03 != 0 {
        return Err(ReadProblem::of(Problem::Dictionary));
    }
    let single_segment = descriptor & 0x20 != 0;
    let window = if single_segment {
        let width = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let size = header.get(5..5 + width).unwrap_or_default();
        let number = size.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if width == 2 { number + 256 } else { number }
    } else {
        let byte = u64::from(header.get(5).copied().unwrap_or_default());
        let base = 1 << (10 + (byte >> 3));
        base + base / 8 * (byte & 7)
    };
    if window > MAX_WINDOW {
        return Err(ReadProblem::of(Problem::Window { needed: window, limit: MAX_WINDOW }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).unwrap()
    }

    /// A skippable frame with a body of 8 bytes.
    fn skippable(kind: u8) -> Vec<u8> {
        [&[0x50 + kind, 0x2a, 0x4d, 0x18, 8, 0, 0, 0][..], b"\x1f\x8bUserID"].concat()
    }

    fn named(name: &str, raw: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut text = Vec::new();
        decompress(name, raw)?.read_to_end(&mut text).map_err(ReadProblem::problem)?;
        Ok(text)
    }

    fn plain(raw: &[u8]) -> Result<Vec<u8>, Problem> {
        named("rows", raw)
    }

    #[test]
    fn gzip_members_and_zstd_frames_are_read_one_after_the_other() {
        assert_eq!(plain(&[gzip(b"one,"), gzip(b""), gzip(b"two")].concat()).unwrap(), b"one,two");
        assert_eq!(plain(&[zstd(b"one,"), zstd(b"two")].concat()).unwrap(), b"one,two");
        assert_eq!(plain(b"one,two").unwrap(), b"one,two");
    }

    #[test]
    fn skippable_frames_are_skipped_wherever_they_are() {
        let frames = [skippable(0), zstd(b"one,"), skippable(7), skippable(15), zstd(b"two"), skippable(3)].concat();
        assert_eq!(plain(&frames).unwrap(), b"one,two");
        assert_eq!(plain(&skippable(0)).unwrap(), b"");
    }

    #[test]
    fn padding_of_zeros_and_line_ends_is_skipped_and_all_else_refused() {
        for whole in [gzip(b"one"), zstd(b"one")] {
            for padding in [&vec![0; 300_000][..], b"\r\n", b"\n\0\0"] {
                assert_eq!(plain(&[&whole, padding].concat()).unwrap(), b"one");
            }
            for garbage in [b"two".as_slice(), b"\0\0two", b"\x1f", &whole[..3]] {
                let read = plain(&[&whole, garbage].concat());
                assert!(matches!(read, Err(Problem::Trailing(_) | Problem::CutOff(_))), "{read:?}");
            }
        }
    }

    #[test]
    fn damaged_and_cut_off_files_are_named_as_such() {
        let lines = b"user_1,user_2\n".repeat(1000);
        for (whole, compression) in [(gzip(&lines), Compression::Gzip), (zstd(&lines), Compression::Zstd)] {
            for kept in 5..whole.len() {
                let cut = plain(&whole[..kept]);
                assert!(matches!(cut, Err(Problem::CutOff(found)) if found == compression), "{kept}: {cut:?}");
            }
        }
        let mut checked = zstd::Encoder::new(Vec::new(), 1).unwrap();
        checked.include_checksum(true).unwrap();
        checked.write_all(&lines).unwrap();
        for (whole, trailer) in [(gzip(&lines), 8), (checked.finish().unwrap(), 4)] {
            for place in whole.len() - trailer..whole.len() {
                let mut flipped = whole.clone();
                flipped[place] ^= 1;
                let Err(problem @ Problem::Corrupt { .. }) = plain(&flipped) else { panic!("{place}") };
                assert!(problem.to_string().contains("checksum"), "{problem}");
            }
        }
        let mut flipped = gzip(&lines);
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        assert!(matches!(plain(&flipped), Err(Problem::Corrupt { .. } | Problem::CutOff(_))));
    }

    #[test]
    fn a_window_that_is_too_large_is_refused_with_its_size() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(b"UserID\na\n").unwrap();
        let large = encoder.finish().unwrap();
        assert!(matches!(plain(&large), Err(Problem::Window { needed, .. }) if needed == 1 << 28));
        assert!(matches!(plain(b"\x28\xb5\x2f\xfd\x01\x58\x07"), Err(Problem::Dictionary)));
    }

    #[test]
    fn a_name_that_promises_compression_is_held_to_it() {
        assert!(matches!(named("rows.csv.GZ", b"UserID\n"), Err(Problem::NotCompressed(".gz"))));
        assert!(matches!(named("rows.csv.zst", b""), Err(Problem::NotCompressed(".zst"))));
        assert_eq!(named("rows.csv", &gzip(b"one")).unwrap(), b"one");
        assert_eq!(named("rows.csv.gz", &zstd(b"one")).unwrap(), b"one", "the bytes count");
    }

    #[test]
    fn archives_are_refused_also_within_compression() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        for raw in [tar.clone(), gzip(&tar), zstd(&tar), gzip(&gzip(b"one")), zstd(&zstd(b"one")), zstd(b"PAR1")] {
            assert!(matches!(plain(&raw), Err(Problem::NotText(_))));
        }
    }
}
