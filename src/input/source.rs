//! One source of rows, readable again and again.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::domain::job;
use crate::domain::operation::Shape;

use super::columns::Columns;
use super::compression::{decompress, peek, read_problem};
use super::encoding::to_utf8;
use super::error::{InputError, Problem};
use super::row::Sink;
use super::{csv, jsonl};

/// A file or a spooled stream with rows.
#[derive(Debug)]
pub struct Source {
    name: String,
    size: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File {
        path: PathBuf,
        stamp: Stamp,
    },
    /// A file without a name, read at places of its own by each reader.
    Spooled(File),
}

/// What the file system says of a file. Equal stamps mean that it was not written to in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// Last change of content or attributes, which can't be set back by hand: seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
    /// Device and inode: another file under the same name has another one.
    pub inode: (u64, u64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Jsonl,
}

impl Source {
    pub(super) fn file(name: &str, path: PathBuf, metadata: &Metadata) -> Self {
        Self { name: name.to_owned(), size: metadata.len(), place: Place::File { path, stamp: metadata.into() } }
    }

    pub(super) fn spooled(name: &str, file: File, size: u64) -> Self {
        Self { name: name.to_owned(), size, place: Place::Spooled(file) }
    }

    /// The name in results and messages: the path as the job has it, `-` for standard input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file; none for what was spooled.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            Place::Spooled(_) => None,
        }
    }

    /// Bytes as they are stored, compressed or not.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the file system said of it when it was opened; none for what was spooled, which is new every time.
    pub const fn stamp(&self) -> Option<Stamp> {
        match &self.place {
            Place::File { stamp, .. } => Some(*stamp),
            Place::Spooled(_) => None,
        }
    }

    /// BLAKE3 of the bytes as they are stored: equal digests are the same input.
    pub fn digest(&self) -> Result<blake3::Hash, InputError> {
        let mut hasher = blake3::Hasher::new();
        let read = hasher.update_reader(self.raw()?).map(|hasher| hasher.finalize());
        let digest = read.map_err(|error| self.error(Problem::Read(error)))?;
        self.check_unchanged()?;
        Ok(digest)
    }

    /// Reads all rows in order until `sink` answers with `Break`.
    ///
    /// An error means that the source as a whole can't be used, even where rows were handed over before: what
    /// follows a damaged or changing place is unknown.
    pub fn read(&self, shape: &Shape, input: &job::Input, sink: &mut Sink<'_>) -> Result<(), InputError> {
        let columns = Columns::new(shape, input).map_err(|problem| self.error(problem))?;
        let (format, text) = self.text(input)?;
        match format {
            Format::Csv => csv::read(&self.name, text, &columns, input.delimiter, sink)?,
            Format::Jsonl => jsonl::read(&self.name, text, &columns, sink)?,
        }
        self.check_unchanged()
    }

    /// The tags that a CSV header names, by the API's names, in the file's order. JSONL names its tags record by
    /// record: none are known in advance.
    pub fn tag_columns(&self, shape: &Shape, input: &job::Input) -> Result<Vec<String>, InputError> {
        let columns = Columns::new(shape, input).map_err(|problem| self.error(problem))?;
        let (format, text) = self.text(input)?;
        match format {
            Format::Csv => csv::tag_columns(&self.name, text, &columns, input.delimiter),
            Format::Jsonl => Ok(Vec::new()),
        }
    }

    /// The text as UTF-8, and what it is written in: by the name's extension, else by its first byte.
    fn text(&self, input: &job::Input) -> Result<(Format, impl Read), InputError> {
        let plain = decompress(self.raw()?).map_err(|problem| self.error(problem))?;
        let text = to_utf8(plain, input.encoding).map_err(|problem| self.error(problem))?;
        let (start, text) = peek(text, 4096).map_err(|error| self.error(read_problem(error)))?;
        Ok((format_of_name(&self.name).unwrap_or_else(|| format_of_text(&start)), text))
    }

    fn raw(&self) -> Result<Box<dyn Read + '_>, InputError> {
        match &self.place {
            Place::File { path, .. } => {
                let file = File::open(path).map_err(|error| self.error(Problem::Read(error)))?;
                Ok(Box::new(file))
            }
            Place::Spooled(file) => Ok(Box::new(ReadAt { file, place: 0 })),
        }
    }

    /// A row that was cut off by someone still writing names another account: `user_1` for `user_12`.
    fn check_unchanged(&self) -> Result<(), InputError> {
        let Place::File { path, stamp } = &self.place else {
            return Ok(());
        };
        let metadata = fs::metadata(path).map_err(|error| self.error(Problem::Read(error)))?;
        if Stamp::from(&metadata) == *stamp {
            return Ok(());
        }
        Err(self.error(Problem::Changed))
    }

    fn error(&self, problem: Problem) -> InputError {
        InputError::new(&self.name, problem)
    }
}

fn format_of_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        _ => None,
    }
}

fn format_of_text(start: &[u8]) -> Format {
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => Format::Jsonl,
        Some(_) | None => Format::Csv,
    }
}

/// Reads a file without moving its cursor, so that readers don't disturb each other.
struct ReadAt<'f> {
    file: &'f File,
    place: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.place)?;
        self.place += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::ops::ControlFlow;

    use super::*;
    use crate::input::open;
    use crate::input::testing::{input, rows, rows_with, shape, source};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_extension_says_the_format_and_without_one_the_first_byte() {
        for (name, text, row) in [
            ("rows.CSV.gz", "UserID\na", "2 a"),
            ("rows.ndjson", "{\"UserID\":\"a\"}", "1 a"),
            ("-", "\n {\"UserID\":\"a\"}", "2 a"),
            ("-", "\u{feff}UserID\na", "2 a"),
            ("export.2024-05", "UserID\na", "2 a"),
        ] {
            assert_eq!(rows("account_delete", name, text), [row], "{name} {text}");
        }
    }

    #[test]
    fn compressed_bytes_are_known_whatever_the_name() {
        let text = "{\"UserID\":\"a\"}".as_bytes();
        for bytes in [gzip(text), zstd::encode_all(text, 1).unwrap()] {
            assert_eq!(rows_with("account_delete", "-", &bytes, &input(&[])).unwrap(), ["1 a"]);
        }
    }

    #[test]
    fn damage_is_told_with_the_line_up_to_which_rows_were_read() {
        let whole = gzip(&[b"UserID\n".as_slice(), &b"user_1\n".repeat(100_000)].concat());
        let cut = &whole[..whole.len() - 9];
        let error = rows_with("account_delete", "rows.csv.gz", cut, &input(&[])).unwrap_err();
        assert!(matches!(*error.problem, Problem::Corrupt { format: "gzip", .. }));
        assert!(error.line.unwrap() > 50_000, "{error}");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, "UserID\nuser_1").unwrap();
        let mut input = input(&[]);
        input.paths = vec![path.display().to_string()];
        let source = open(&input, folder.path()).unwrap().remove(0);
        let first = source.digest().unwrap();
        assert_eq!(first, blake3::hash(b"UserID\nuser_1"));
        let read = source.read(&shape("account_delete"), &input, &mut |_| {
            fs::write(&path, "UserID\nuser_12").unwrap();
            ControlFlow::Continue(())
        });
        assert!(matches!(*read.unwrap_err().problem, Problem::Changed));
        assert!(matches!(*source.digest().unwrap_err().problem, Problem::Changed));
        assert_ne!(source.stamp(), open(&input, folder.path()).unwrap()[0].stamp());
    }

    #[test]
    fn what_was_spooled_is_read_again_from_its_start() {
        let source = source("-", b"UserID\na\n");
        assert_eq!((source.name(), source.size(), source.stamp()), ("-", 9, None));
        for _ in 0..2 {
            assert_eq!(source.digest().unwrap(), blake3::hash(b"UserID\na\n"));
            let mut count = 0;
            let read = source.read(&shape("account_delete"), &input(&[]), &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            });
            read.unwrap();
            assert_eq!(count, 1);
        }
    }
}
