//! Reads one file of a backup, and proves that nothing of it is missing or changed.
//!
//! The end line proves a file that was completed, by the number and the hash of its lines. If a session was killed,
//! its file has none: then the queue proves it, by the place and the hash of each part. What follows the last part that
//! the queue knows belongs to no change, because a change is sent only after the queue knows its part.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::error::{BackupProblem, RestoreError};
use crate::domain::backup::{BackupFileLine, BackupHeader, BackupLine, BackupPart, SCHEMA};

/// The first bytes of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// The largest window that is accepted, as a power of two: that of input files.
const MAX_WINDOW_LOG: u32 = 27;
/// No line of a backup is longer, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// How an end line starts.
const END_START: &[u8] = br#"{"kind":"end""#;

/// How much of a file belongs to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackupExtent {
    /// All of it: the file has its end line.
    Complete,
    /// These first bytes: the queue proves them.
    Proved(u64),
    /// What can be read of it.
    Unproved,
}

/// What receives the lines of a file.
pub(super) type LineSink<'a> = dyn FnMut(BackupLine) -> Result<(), RestoreError> + 'a;

/// The first line of a file.
pub(super) fn header_of(path: &Path) -> Result<BackupHeader, RestoreError> {
    let mut lines = FileLines::open(path, u64::MAX)?;
    match lines.advance() {
        Ok(true) => {}
        Ok(false) | Err(RestoreError::Backup { problem: BackupProblem::CutOff, .. }) => {
            return Err(RestoreError::Backup { path: path.to_owned(), line: None, problem: BackupProblem::Empty });
        }
        Err(error) => return Err(error),
    }
    let Ok(BackupFileLine::Header(header)) = lines.parse() else { return Err(lines.fault(BackupProblem::NoHeader)) };
    if header.schema != SCHEMA {
        return Err(lines.fault(BackupProblem::OtherSchema(header.schema)));
    }
    Ok(header)
}

/// Finds out how much of a file belongs to the backup. `parts`: those that the queue knows of this file; none if no
/// queue knows the run.
pub(super) fn prove(path: &Path, parts: Option<&[&BackupPart]>) -> Result<BackupExtent, RestoreError> {
    let fault = match find_end(path) {
        // Only the queue knows a file that is not there.
        Err(RestoreError::Backup { problem: BackupProblem::Missing, .. }) => {
            return Err(RestoreError::Backup { path: path.to_owned(), line: None, problem: BackupProblem::Lost });
        }
        Ok(true) => return Ok(BackupExtent::Complete),
        Ok(false) => RestoreError::Backup { path: path.to_owned(), line: None, problem: BackupProblem::NoEnd },
        Err(fault @ RestoreError::Backup { .. }) => fault,
        Err(error) => return Err(error),
    };
    match (parts, &fault) {
        (Some(_), RestoreError::Backup { problem: BackupProblem::OtherLines(_) | BackupProblem::AfterEnd, .. })
        | (None, _) => Err(fault),
        (Some(parts), _) => check_parts(path, parts).map(BackupExtent::Proved),
    }
}

/// Whether the file has an end line, which fits the lines before it.
fn find_end(path: &Path) -> Result<bool, RestoreError> {
    let mut lines = FileLines::open(path, u64::MAX)?;
    let mut hasher = blake3::Hasher::new();
    while lines.advance()? {
        if lines.text.starts_with(END_START) {
            let BackupFileLine::End(end) = lines.parse()? else { continue };
            let before = lines.number - 1;
            if end.lines != before {
                return Err(lines.fault(BackupProblem::OtherLines("their number")));
            }
            if hasher.finalize().to_hex().as_str() != end.blake3 {
                return Err(lines.fault(BackupProblem::OtherLines("their hash")));
            }
            return if lines.advance()? { Err(lines.fault(BackupProblem::AfterEnd)) } else { Ok(true) };
        }
        hasher.update(&lines.text);
    }
    Ok(false)
}

/// Passes on the friends and profiles of a file, and counts them in `read`.
pub(super) fn read(
    path: &Path,
    extent: BackupExtent,
    each: &mut LineSink<'_>,
    read: &mut u64,
) -> Result<(), RestoreError> {
    let to = match extent {
        BackupExtent::Complete | BackupExtent::Unproved => u64::MAX,
        BackupExtent::Proved(bytes) => bytes,
    };
    let mut lines = FileLines::open(path, to)?;
    while lines.advance()? {
        match lines.parse()? {
            BackupFileLine::Header(_) if lines.number == 1 => {}
            BackupFileLine::Header(_) => {
                return Err(lines.fault(BackupProblem::NotALine("it is a second header".to_owned())));
            }
            BackupFileLine::Item(_) if lines.number == 1 => return Err(lines.fault(BackupProblem::NoHeader)),
            BackupFileLine::End(_) => break,
            BackupFileLine::Item(item) => {
                each(item)?;
                *read += 1;
            }
        }
    }
    Ok(())
}

/// Compares the bytes of a file with the parts that the queue knows. Returns where the last part ends.
pub(super) fn check_parts(path: &Path, parts: &[&BackupPart]) -> Result<u64, RestoreError> {
    let fault = |problem| RestoreError::Backup { path: path.to_owned(), line: None, problem };
    let file = open(path)?;
    let length = file.metadata().map_err(RestoreError::io(path))?.len();
    let mut file = BufReader::new(file);
    let mut next = 0;
    for part in parts {
        let end = part.first_byte + part.bytes;
        if length < end {
            return Err(fault(BackupProblem::Shorter(end, length)));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file.by_ref().take(part.bytes)).map_err(RestoreError::io(path))?;
        if part.first_byte != next || hasher.finalize().to_hex().as_str() != part.blake3 {
            return Err(fault(BackupProblem::OtherHash(part.first_byte, end)));
        }
        next = end;
    }
    Ok(next)
}

fn open(path: &Path) -> Result<File, RestoreError> {
    let fault = |problem| RestoreError::Backup { path: path.to_owned(), line: None, problem };
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map_err(RestoreError::io(path)),
        Ok(_) => Err(fault(BackupProblem::NotAFile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(fault(BackupProblem::Missing)),
        Err(error) => Err(RestoreError::io(path)(error)),
    }
}

/// The lines at the start of a file, as they are uncompressed.
struct FileLines<'p> {
    path: &'p Path,
    plain: Box<dyn BufRead>,
    /// The line that was read last, with its line feed.
    text: Vec<u8>,
    /// Its number, from 1.
    number: u64,
}

impl<'p> FileLines<'p> {
    /// The lines of the first `to` bytes.
    fn open(path: &'p Path, to: u64) -> Result<Self, RestoreError> {
        let mut raw = BufReader::new(open(path)?.take(to));
        let start = raw.fill_buf().map_err(RestoreError::io(path))?;
        let is_zstd = start.iter().zip(ZSTD).all(|(byte, magic)| *byte == magic);
        let is_empty = start.is_empty();
        let mut lines = Self { path, plain: Box::new(io::empty()), text: Vec::new(), number: 0 };
        if !is_zstd {
            return Err(lines.fault(BackupProblem::NotZstd));
        }
        if !is_empty {
            let mut decoder = zstd::Decoder::with_buffer(raw).map_err(RestoreError::io(path))?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(RestoreError::io(path))?;
            lines.plain = Box::new(BufReader::new(decoder));
        }
        Ok(lines)
    }

    /// A fault in the line that was read last, or at the start of the file.
    fn fault(&self, problem: BackupProblem) -> RestoreError {
        let line = Some(self.number).filter(|line| *line > 0);
        RestoreError::Backup { path: self.path.to_owned(), line, problem }
    }

    /// Reads the next line. Returns false at the end.
    fn advance(&mut self) -> Result<bool, RestoreError> {
        self.text.clear();
        let read = self.plain.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.text);
        if matches!(read, Ok(0)) {
            return Ok(false);
        }
        self.number += 1;
        match read {
            Ok(_) if self.text.ends_with(b"\n") => Ok(true),
            Ok(_) => Err(self.fault(BackupProblem::NotALine("it has no line end".to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.fault(BackupProblem::CutOff)),
            // The decoder reports damage without a number; an error of the disk has one.
            Err(error) if error.raw_os_error().is_none() => Err(self.fault(BackupProblem::Damaged(error.to_string()))),
            Err(error) => Err(RestoreError::io(self.path)(error)),
        }
    }

    /// The line that was read last.
    fn parse(&self) -> Result<BackupFileLine, RestoreError> {
        serde_json::from_slice(&self.text).map_err(|error| self.fault(BackupProblem::NotALine(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backup::BackupEnd;
    use crate::domain::ids::RunId;
    use std::path::PathBuf;

    const HEADER: &str = concat!(
        r#"{"kind":"header","schema":"imbulk-backup-1","job":"j","run":"r","target":"sandbox","endpoint":"","#,
        r#""operation":"friend_delete","options":{},"began_at":"2026-11-30T02:15:44Z"}"#,
        "\n"
    );

    fn friends(from: usize, count: usize) -> String {
        let friend = |n| format!("{{\"kind\":\"friend\",\"from\":\"a{n}\",\"to\":\"b\",\"fields\":{{\"T\":{n}}}}}\n");
        (from..from + count).map(friend).collect()
    }

    fn frame(text: &str) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// A file with 60 friends in three frames, and its end line.
    struct Made {
        folder: tempfile::TempDir,
        bytes: Vec<u8>,
        parts: Vec<BackupPart>,
    }

    impl Made {
        fn new() -> Self {
            let texts = [HEADER.to_owned() + &friends(0, 20), friends(20, 20), friends(40, 20)];
            let (mut bytes, mut parts) = (Vec::new(), Vec::new());
            for text in &texts {
                let frame = frame(text);
                parts.push(BackupPart {
                    run: RunId::new(1),
                    file: "elsewhere/f.jsonl.zst".to_owned(),
                    first_byte: bytes.len() as u64,
                    bytes: frame.len() as u64,
                    lines: 20,
                    blake3: blake3::hash(&frame).to_hex().to_string(),
                });
                bytes.extend(frame);
            }
            let blake3 = blake3::hash(texts.concat().as_bytes()).to_hex().to_string();
            let end = serde_json::to_string(&BackupFileLine::End(BackupEnd { lines: 61, blake3 })).unwrap();
            bytes.extend(frame(&(end + "\n")));
            Self { folder: tempfile::tempdir().unwrap(), bytes, parts }
        }

        fn write(&self, bytes: &[u8]) -> PathBuf {
            let path = self.folder.path().join("f.jsonl.zst");
            std::fs::write(&path, bytes).unwrap();
            path
        }

        /// The extent of a file with these bytes, and the number of its lines.
        fn extent(&self, bytes: &[u8], parts: Option<usize>) -> Result<(BackupExtent, u64), RestoreError> {
            let path = self.write(bytes);
            let parts: Option<Vec<&BackupPart>> = parts.map(|known| self.parts[..known].iter().collect());
            let extent = prove(&path, parts.as_deref())?;
            let mut lines = 0;
            read(&path, extent, &mut |_| Ok(()), &mut lines)?;
            Ok((extent, lines))
        }
    }

    #[test]
    fn a_complete_file_is_proved_by_its_end_line() {
        let made = Made::new();
        assert_eq!(made.extent(&made.bytes, None).unwrap(), (BackupExtent::Complete, 60));
        assert_eq!(made.extent(&made.bytes, Some(3)).unwrap(), (BackupExtent::Complete, 60));
        assert_eq!(header_of(&made.write(&made.bytes)).unwrap().operation, "friend_delete");
    }

    #[test]
    fn a_file_that_was_cut_off_anywhere_is_never_taken_for_a_whole_one() {
        let made = Made::new();
        let known = made.parts.last().map(|part| part.first_byte + part.bytes).unwrap();
        for kept in 0..made.bytes.len() {
            let without_queue = made.extent(&made.bytes[..kept], None);
            assert!(matches!(without_queue, Err(RestoreError::Backup { .. })), "{kept}: {without_queue:?}");
            let with_queue = made.extent(&made.bytes[..kept], Some(3));
            match with_queue {
                Ok(found) => {
                    assert_eq!((kept as u64 >= known, found), (true, (BackupExtent::Proved(known), 60)), "{kept}");
                }
                Err(error) => assert!((kept as u64) < known && !error.to_string().is_empty(), "{kept}: {error}"),
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let made = Made::new();
        for place in 0..made.bytes.len() {
            let mut flipped = made.bytes.clone();
            flipped[place] ^= 1 << (place % 8);
            let read = made.extent(&flipped, None);
            // A bit of the frame's form may mean nothing.
            let is_whole = matches!(read, Ok((BackupExtent::Complete, 60)));
            assert!(is_whole || matches!(read, Err(RestoreError::Backup { .. })), "{place}: {read:?}");
            let read = made.extent(&flipped, Some(3));
            let is_whole = matches!(read, Ok((BackupExtent::Complete | BackupExtent::Proved(_), 60)));
            assert!(is_whole || matches!(read, Err(RestoreError::Backup { .. })), "{place}: {read:?}");
        }
    }

    #[test]
    fn what_follows_the_last_part_that_the_queue_knows_belongs_to_no_change() {
        let made = Made::new();
        let third = usize::try_from(made.parts[2].first_byte).unwrap();
        for kept in [third, third + 5, third + 40] {
            assert_eq!(made.extent(&made.bytes[..kept], Some(2)).unwrap().1, 40);
            assert_eq!(made.extent(&made.bytes[..kept], Some(0)).unwrap().1, 0);
        }
    }

    #[test]
    fn the_place_of_the_fault_is_named() {
        let made = Made::new();
        let error = |text: &str| {
            let path = made.write(&frame(text));
            let proved = header_of(&path).and_then(|_| prove(&path, None).map(drop));
            proved.unwrap_err().to_string().replace(&*path.to_string_lossy(), "F")
        };
        let end = |lines: u64| format!("{{\"kind\":\"end\",\"lines\":{lines},\"blake3\":\"x\"}}\n");
        let newer = HEADER.replace("backup-1", "backup-2");
        for (text, expected) in [
            (HEADER.to_owned() + &friends(0, 2), "F: the file has no end line, so parts of it may be missing"),
            (
                HEADER.to_owned() + &friends(0, 2) + "{\"kind",
                "F:4: the line is not one of a backup: it has no line end",
            ),
            (
                HEADER.to_owned() + &end(2),
                "F:2: the lines before the end line are not those that were written: their number",
            ),
            (
                HEADER.to_owned() + &end(1),
                "F:2: the lines before the end line are not those that were written: their hash",
            ),
            (friends(0, 1), "F:1: this is not a backup of imbulk: the first line is not a header"),
            (newer, "F:1: the schema is `imbulk-backup-2`; this version of imbulk reads `imbulk-backup-1`"),
            (String::new(), "F: the file has no complete line"),
        ] {
            let error = error(&text);
            assert!(error.starts_with(expected), "{error}");
        }
        let path = made.write(b"From_Account,To_Account\n");
        assert!(header_of(&path).unwrap_err().to_string().contains("it is not compressed with zstd"));
    }
}
