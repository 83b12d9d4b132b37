//! gzip and zstd, told by their first bytes and decoded as they are read.

use std::fmt;
use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::error::Problem;

/// How many bytes a system call reads.
const CHUNK: usize = 256 * 1024;

/// First bytes of formats that people mistake for text, by name.
const OTHER_FORMATS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a ZIP archive or an .xlsx workbook"),
    (b"\xd0\xcf\x11\xe0", "an .xls workbook"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"SQLite format 3", "an SQLite database"),
];

/// The plain bytes of a file that may be compressed.
///
/// What the bytes say counts, not the name: a `.gz` that is plain text is read as it is.
pub(super) fn decompress<'a>(raw: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Problem> {
    let (start, raw) = peek(raw, 16).map_err(Problem::Read)?;
    if let Some((_, name)) = OTHER_FORMATS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Problem::NotText(name));
    }
    let buffered = io::BufReader::with_capacity(CHUNK, raw);
    if start.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(Decoder::new("gzip", MultiGzDecoder::new(buffered))));
    }
    if start.starts_with(b"\x28\xb5\x2f\xfd") {
        let decoder = zstd::Decoder::with_buffer(buffered).map_err(Problem::Read)?;
        return Ok(Box::new(Decoder::new("zstd", decoder)));
    }
    Ok(Box::new(buffered))
}

/// Reads up to `count` bytes ahead; the reader that comes back starts with them again.
pub(super) fn peek<R: Read>(mut reader: R, count: u64) -> io::Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::new();
    reader.by_ref().take(count).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

/// Marks the errors of a decoder, so that damage is told from a disk that can't be read.
struct Decoder<R> {
    format: &'static str,
    inner: R,
}

impl<R> Decoder<R> {
    const fn new(format: &'static str, inner: R) -> Self {
        Self { format, inner }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|cause| match cause.kind() {
            io::ErrorKind::Interrupted => cause,
            _ if cause.raw_os_error().is_some() => cause,
            _ => io::Error::other(Damage(self.format, cause)),
        })
    }
}

#[derive(Debug)]
struct Damage(&'static str, io::Error);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt {} data: {}", self.0, self.1)
    }
}

impl std::error::Error for Damage {}

/// What a failed read means for the user.
pub(super) fn read_problem(error: io::Error) -> Problem {
    match error.downcast::<Damage>() {
        Ok(Damage(format, cause)) => Problem::Corrupt { format, cause },
        Err(error) => Problem::Read(error),
    }
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

    fn plain(raw: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut text = Vec::new();
        decompress(raw)?.read_to_end(&mut text).map_err(read_problem)?;
        Ok(text)
    }

    #[test]
    fn gzip_members_and_zstd_frames_are_read_one_after_the_other() {
        assert_eq!(plain(&[gzip(b"one,"), gzip(b"two")].concat()).unwrap(), b"one,two");
        let frame = |text| zstd::encode_all(text, 1).unwrap();
        let frames = [frame(b"one,".as_slice()), frame(b"two".as_slice())].concat();
        assert_eq!(plain(&frames).unwrap(), b"one,two");
        assert_eq!(plain(b"one,two").unwrap(), b"one,two");
    }

    #[test]
    fn damaged_and_cut_off_files_are_named_as_such() {
        let whole = gzip(&b"user_1,user_2\n".repeat(1000));
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        for raw in [&whole[..whole.len() - 4], &flipped[..]] {
            assert!(matches!(plain(raw), Err(Problem::Corrupt { format: "gzip", .. })));
        }
        let zstd = zstd::encode_all(&b"user_1,user_2\n".repeat(1000)[..], 1).unwrap();
        let cut = plain(&zstd[..zstd.len() - 2]);
        assert!(matches!(cut, Err(Problem::Corrupt { format: "zstd", .. })));
    }

    #[test]
    fn workbooks_are_refused_by_name() {
        assert!(matches!(plain(b"PK\x03\x04...."), Err(Problem::NotText(name)) if name.contains("xlsx")));
    }
}
