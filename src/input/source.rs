//! One source of rows, readable again and again.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::clock;
use crate::domain::job;
use crate::domain::operation::InputShape;
use crate::domain::request::row::{RejectedRow, RowRef};
use crate::domain::source_facts::SourceFacts;

use super::columns::Columns;
use super::compression::{decompress, peek};
use super::encoding::to_utf8;
use super::error::{InputError, Problem};
use super::file_format::SAMPLE_BYTES;
use super::notes::{NoteKind, Notes};
use super::own_cells::OwnSink;
use super::read_progress::{CountedRead, ReadProgress};
use super::row::Sink;
use super::stamp::Stamp;
use super::watch::Watch;
use super::{csv, jsonl, own_results};

/// A file or a spooled stream with rows.
#[derive(Debug)]
pub struct Source {
    name: String,
    size: u64,
    storage: SourceStorage,
    /// Where its bytes are counted while they are read.
    reads: Arc<ReadProgress>,
    /// Whether a glob found it, rather than the job naming it.
    of_glob: bool,
}

#[derive(Debug)]
enum SourceStorage {
    File {
        path: PathBuf,
        stamp: Stamp,
        /// Whether it was changed so shortly before it was opened that a later change may leave the same stamp.
        is_recent: bool,
        /// The digest of its bytes, once they were read for it.
        digest: OnceLock<blake3::Hash>,
    },
    /// A file without a name, read at places of its own by each reader.
    Spooled(File),
    /// The same, of something that can be read only once and may have ended early.
    Stream(File),
}

/// The text of a source.
struct DecodedSource<'a, R> {
    format: RowFormat,
    columns: Columns<'a>,
    reader: R,
}

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    Csv,
    Jsonl,
}

impl RowFormat {
    /// The format of a file with this name and start: by the name's extension, else by the first byte.
    pub(super) fn of(name: &str, start: &[u8]) -> Self {
        format_of_name(name).unwrap_or_else(|| format_of_text(start))
    }
}

/// Counts the bytes of these sources that are read from now on.
pub fn count_reads(sources: &mut [Source], reads: &Arc<ReadProgress>) {
    reads.begin(sources.iter().map(Source::size).sum());
    sources.iter_mut().for_each(|source| source.reads = Arc::clone(reads));
}

impl Source {
    pub(super) fn file(name: &str, path: PathBuf, metadata: &Metadata) -> Self {
        let stamp = Stamp::from(metadata);
        let is_recent = stamp.is_recent(clock::now());
        Self {
            name: name.to_owned(),
            reads: Arc::default(),
            size: metadata.len(),
            storage: SourceStorage::File { path, stamp, is_recent, digest: OnceLock::new() },
            of_glob: false,
        }
    }

    pub(super) fn spooled(name: &str, file: File, size: u64) -> Self {
        Self {
            name: name.to_owned(),
            reads: Arc::default(),
            size,
            storage: SourceStorage::Spooled(file),
            of_glob: false,
        }
    }

    pub(super) fn stream(name: &str, file: File, size: u64) -> Self {
        Self {
            name: name.to_owned(),
            reads: Arc::default(),
            size,
            storage: SourceStorage::Stream(file),
            of_glob: false,
        }
    }

    /// The same, found by a glob.
    pub(super) fn of_glob(self) -> Self {
        Self { of_glob: true, ..self }
    }

    /// The name in results and messages: the path as the job has it, `-` for standard input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file; none for what was spooled.
    pub fn path(&self) -> Option<&Path> {
        match &self.storage {
            SourceStorage::File { path, .. } => Some(path),
            SourceStorage::Spooled(_) | SourceStorage::Stream(_) => None,
        }
    }

    /// Bytes as they are stored, compressed or not.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the file system said of it when it was opened; none for what was spooled, which is new every time.
    pub const fn stamp(&self) -> Option<Stamp> {
        match &self.storage {
            SourceStorage::File { stamp, .. } => Some(*stamp),
            SourceStorage::Spooled(_) | SourceStorage::Stream(_) => None,
        }
    }

    /// Whether it may have been changed after it was opened although its stamp is still the same.
    pub const fn is_recent(&self) -> bool {
        match &self.storage {
            SourceStorage::File { is_recent, .. } => *is_recent,
            SourceStorage::Spooled(_) | SourceStorage::Stream(_) => false,
        }
    }

    /// BLAKE3 of the bytes as they are stored: equal digests are the same input.
    pub fn digest(&self) -> Result<blake3::Hash, InputError> {
        let read = self.hash()?;
        self.check_stamp()?;
        if let SourceStorage::File { digest, .. } = &self.storage {
            digest.get_or_init(|| read);
        }
        Ok(read)
    }

    fn hash(&self) -> Result<blake3::Hash, InputError> {
        let mut hasher = blake3::Hasher::new();
        let read = hasher.update_reader(self.raw()?).map(|hasher| hasher.finalize());
        read.map_err(|error| self.error(Problem::Read(error)))
    }

    /// Reads all rows in order until `sink` answers with `Break`.
    ///
    /// An error means that the source as a whole can't be used, even where rows were handed over before: what
    /// follows a damaged or changing place is unknown. The facts are complete if `sink` never answered with `Break`.
    pub fn read(
        &self,
        shape: &InputShape,
        input: &job::InputSettings,
        sink: &mut Sink<'_>,
    ) -> Result<SourceFacts, InputError> {
        let DecodedSource { format, columns, reader } = self.text(shape, input)?;
        let mut text = Watch::new(reader);
        let mut rows = 0;
        let mut not_ascii = None;
        let mut counting = |row: Result<RowRef<'_>, RejectedRow>| {
            rows += 1;
            if let (None, Ok(row)) = (not_ascii, &row) {
                not_ascii = (!is_ascii(row)).then_some(row.line);
            }
            sink(row)
        };
        let mut notes = Notes::new(&self.name);
        match format {
            RowFormat::Csv => csv::read(&self.name, &mut text, &columns, input.delimiter, &mut notes, &mut counting)?,
            RowFormat::Jsonl => jsonl::read(&self.name, &mut text, &columns, &mut counting)?,
        }
        if let Some(line) = text.unfinished_line() {
            self.check_last_line(line, format, &mut notes)?;
        }
        // Bytes of GBK can be valid UTF-8 by chance. The id would then be another one: `小猫` is read as `Сè`.
        if let (Some(row), Some(line)) = (not_ascii, text.invalid_line()) {
            return Err(InputError::at(&self.name, row, Problem::NotUtf8 { line }));
        }
        self.check_unchanged()?;
        Ok(notes.into_facts(rows))
    }

    /// The names of a CSV header, as they are in the file, and the delimiter between them; none for JSONL, whose keys
    /// differ from row to row.
    pub fn own_columns(
        &self,
        shape: &InputShape,
        input: &job::InputSettings,
    ) -> Result<Option<(Vec<String>, u8)>, InputError> {
        let DecodedSource { format, columns, reader } = self.text(shape, input)?;
        match format {
            RowFormat::Csv => csv::own_columns(&self.name, reader, &columns, input.delimiter).map(Some),
            RowFormat::Jsonl => Ok(None),
        }
    }

    /// Hands over each row that [`Source::read`] hands over, in the words of the file.
    pub fn read_own(
        &self,
        shape: &InputShape,
        input: &job::InputSettings,
        sink: &mut OwnSink<'_>,
    ) -> Result<(), InputError> {
        let DecodedSource { format, columns, reader } = self.text(shape, input)?;
        match format {
            RowFormat::Csv => csv::read_own(&self.name, reader, &columns, input.delimiter, sink)?,
            RowFormat::Jsonl => jsonl::read_own(&self.name, reader, &columns, sink)?,
        }
        self.check_unchanged()
    }

    /// The fields that a CSV header names, by the API's names, in the file's order. JSONL names its fields record by
    /// record: none are known in advance.
    pub fn field_columns(&self, shape: &InputShape, input: &job::InputSettings) -> Result<Vec<String>, InputError> {
        let DecodedSource { format, columns, reader, .. } = self.text(shape, input)?;
        match format {
            RowFormat::Csv => csv::field_columns(&self.name, reader, &columns, input.delimiter),
            RowFormat::Jsonl => Ok(Vec::new()),
        }
    }

    /// The text as UTF-8, what it is written in (by the name's extension, else by its first byte), and its columns.
    fn text<'a>(
        &'a self,
        shape: &InputShape,
        input: &'a job::InputSettings,
    ) -> Result<DecodedSource<'a, impl Read + 'a>, InputError> {
        let error = |problem| self.error(problem);
        let unreadable = |error| InputError::of_read(&self.name, None, error);
        let plain = decompress(&self.name, self.raw()?).map_err(error)?;
        let (start, plain) = peek(plain, own_results::START.max(SAMPLE_BYTES)).map_err(unreadable)?;
        let format = RowFormat::of(&self.name, &start);
        if format == RowFormat::Csv && is_json(&start) {
            return Err(error(Problem::JsonInCsv));
        }
        let is_results = match format {
            RowFormat::Csv => own_results::is_csv(&start, shape),
            RowFormat::Jsonl => own_results::is_jsonl(&start, shape),
        };
        if self.of_glob && (is_results || own_results::is_of_any_operation(&start)) {
            return Err(error(Problem::OwnResults));
        }
        let columns = if is_results { Columns::of_results(shape, input) } else { Columns::new(shape, input) };
        let reader = to_utf8(plain, columns.encoding).map_err(error)?;
        Ok(DecodedSource { format, columns, reader })
    }

    /// A row that was cut off names another account: `user_1` for `user_12`. Many programs leave out the last line feed
    /// of a file, so there it is only noted; a JSON object shows by itself that it is whole. A program that writes to a
    /// pipe ends every line, unless it died. Compression proves nothing here: if the sender dies, the `gzip` behind it
    /// still ends its data properly.
    fn check_last_line(&self, line: u64, format: RowFormat, notes: &mut Notes<'_>) -> Result<(), InputError> {
        match (&self.storage, format) {
            (SourceStorage::Stream(_), _) => Err(InputError::at(&self.name, line, Problem::UnfinishedLine)),
            (SourceStorage::File { .. } | SourceStorage::Spooled(_), RowFormat::Jsonl) => Ok(()),
            (SourceStorage::File { .. } | SourceStorage::Spooled(_), RowFormat::Csv) => {
                let text = "the last line has no line feed: check that the file is complete";
                notes.add(NoteKind::LastLine, line, || text.to_owned());
                Ok(())
            }
        }
    }

    pub(super) fn raw(&self) -> Result<Box<dyn Read + '_>, InputError> {
        let reads = &*self.reads;
        match &self.storage {
            SourceStorage::File { path, .. } => {
                let file = File::open(path).map_err(|error| self.error(Problem::Read(error)))?;
                Ok(Box::new(CountedRead { inner: file, reads }))
            }
            SourceStorage::Spooled(file) | SourceStorage::Stream(file) => {
                Ok(Box::new(CountedRead { inner: ReadAt { file, place: 0 }, reads }))
            }
        }
    }

    /// A row that was cut off by someone still writing names another account: `user_1` for `user_12`. A recent stamp
    /// does not show a change, so the bytes are compared with those that the digest was computed of.
    fn check_unchanged(&self) -> Result<(), InputError> {
        self.check_stamp()?;
        match &self.storage {
            SourceStorage::File { is_recent: true, digest, .. } => match digest.get() {
                Some(known) if self.hash()? != *known => Err(self.error(Problem::Changed)),
                Some(_) | None => Ok(()),
            },
            SourceStorage::File { .. } | SourceStorage::Spooled(_) | SourceStorage::Stream(_) => Ok(()),
        }
    }

    fn check_stamp(&self) -> Result<(), InputError> {
        let SourceStorage::File { path, stamp, .. } = &self.storage else {
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

fn is_ascii(row: &RowRef<'_>) -> bool {
    row.account.is_ascii() && row.from.is_none_or(<[u8]>::is_ascii) && row.fields.is_ascii()
}

fn format_of_name(name: &str) -> Option<RowFormat> {
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(RowFormat::Csv),
        "jsonl" | "ndjson" | "json" => Some(RowFormat::Jsonl),
        _ => None,
    }
}

fn format_of_text(start: &[u8]) -> RowFormat {
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => RowFormat::Jsonl,
        Some(_) | None => RowFormat::Csv,
    }
}

/// Whether text starts with an object or a list of objects: no header does.
fn is_json(start: &[u8]) -> bool {
    let start = start.trim_ascii_start();
    let list = start.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    let object = list.unwrap_or(start).strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    object.is_some_and(|inside| inside.starts_with(b"\"") || inside.starts_with(b"}"))
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
    use crate::domain::progress::BytesDone;
    use crate::input::open;
    use crate::input::testing::{input, rows, rows_with, shape, source};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_bytes_that_were_read_are_counted_as_they_are_stored() {
        let compressed = gzip("UserID\n".repeat(1_000).as_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv.gz");
        std::fs::write(&path, &compressed).unwrap();
        let mut sources = vec![Source::file("rows.csv.gz", path.clone(), &std::fs::metadata(&path).unwrap())];
        let reads = Arc::new(ReadProgress::default());
        assert_eq!(reads.bytes(), None);
        count_reads(&mut sources, &reads);
        let total = compressed.len() as u64;
        assert_eq!(reads.bytes(), Some(BytesDone { done: 0, total }));
        sources[0].digest().unwrap();
        assert_eq!(reads.bytes(), Some(BytesDone { done: total, total }));
    }

    #[test]
    fn the_extension_says_the_format_and_without_one_the_first_byte() {
        for (name, text, row) in [
            ("rows.CSV", "UserID\na", "2 a"),
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
    fn damage_is_reported_with_the_line_up_to_which_rows_were_read() {
        let whole = gzip(&[b"UserID\n".as_slice(), &b"user_1\n".repeat(100_000)].concat());
        let cut = &whole[..whole.len() - 9];
        let error = rows_with("account_delete", "rows.csv.gz", cut, &input(&[])).unwrap_err();
        assert!(matches!(*error.problem, Problem::CutOff(crate::input::Compression::Gzip)));
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
    fn a_recent_file_that_is_changed_without_another_stamp_is_refused() {
        let (mut source, _folder) = on_disk("UserID\nuser_1", false);
        source.digest().unwrap();
        let SourceStorage::File { path, stamp, is_recent, .. } = &mut source.storage else { unreachable!() };
        fs::write(&*path, "UserID\nuser_2").unwrap();
        (*stamp, *is_recent) = ((&fs::metadata(path).unwrap()).into(), true);
        let read = source.read(&shape("account_delete"), &input(&[]), &mut |_| ControlFlow::Continue(()));
        assert!(matches!(*read.unwrap_err().problem, Problem::Changed));
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

    /// The source of a file with this text, as a glob finds it or as a job names it.
    fn on_disk(text: &str, glob: bool) -> (Source, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        let mut input = input(&[]);
        input.paths = vec![if glob { folder.path().join("*.csv") } else { path }.display().to_string()];
        (open(&input, folder.path()).unwrap().remove(0), folder)
    }

    #[test]
    fn own_results_are_refused_in_a_glob_and_read_where_they_are_named() {
        let csv = "source,line,UserID,outcome,code,reason,attempts,finished_at\na.csv,2,a,failed,30001,x,1,now\n";
        let read = |glob| {
            let (source, _folder) = on_disk(csv, glob);
            source.read(&shape("account_delete"), &input(&[]), &mut |_| ControlFlow::Continue(()))
        };
        assert!(matches!(*read(true).unwrap_err().problem, Problem::OwnResults));
        assert_eq!(read(false).unwrap().rows, 1);
    }

    #[test]
    fn a_stream_whose_last_line_has_no_end_is_refused_and_a_file_is_noted() {
        let read =
            |source: Source| source.read(&shape("account_delete"), &input(&[]), &mut |_| ControlFlow::Continue(()));
        let stream = |text: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            Source::stream("-", file, text.len() as u64)
        };
        let cut = "UserID\nuser_1001\nuser_10";
        for cut in [cut.as_bytes().to_vec(), gzip(cut.as_bytes()), zstd::encode_all(cut.as_bytes(), 1).unwrap()] {
            let error = read(stream(&cut)).unwrap_err();
            assert!(matches!(*error.problem, Problem::UnfinishedLine) && error.line == Some(3), "{error}");
        }
        for json in ["{\"UserID\":\"user_1\"}", "{\"UserID\":\"user_1\"}\n{\"UserID\":\"us"] {
            let error = read(stream(&gzip(json.as_bytes()))).unwrap_err();
            assert!(matches!(*error.problem, Problem::UnfinishedLine), "{error}");
        }
        assert_eq!(read(stream(&gzip(b"UserID\nuser_1001\n"))).unwrap().rows, 1);
        assert_eq!(read(stream(b"UserID\nuser_1001\n")).unwrap().notes, [""; 0]);
        let (file, _folder) = on_disk(cut, false);
        let notes = read(file).unwrap().notes;
        assert!(notes[0].ends_with("rows.csv:3: the last line has no line feed: check that the file is complete"));
    }

    #[test]
    fn ids_and_fields_that_are_not_ascii_are_refused_in_a_file_that_is_not_utf8() {
        let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
        let refused = |operation, name, text: &[u8]| {
            let error = rows_with(operation, name, text, &input(&[])).unwrap_err();
            let Problem::NotUtf8 { line } = *error.problem else { panic!("{error}") };
            (error.line.unwrap(), line)
        };
        assert_eq!(refused("account_delete", "a.csv", &gbk("UserID,备注\nu1,你好\n小猫,测试\n")), (3, 1));
        assert_eq!(refused("account_delete", "a.csv", &gbk("UserID,note\n小猫,\nu1,你好\n")), (2, 3));
        assert_eq!(refused("account_delete", "a.csv", &gbk("UserID\n小猫\n张三\n")), (2, 3));
        let json = gbk("{\"UserID\":\"小猫\"}\n{\"UserID\":\"a\",\"note\":\"你好\"}\n");
        assert_eq!(refused("account_delete", "a.jsonl", &json), (1, 2));
        let fields = gbk("From_Account,To_Account,Tag_SNS_IM_Remark,备注\na,b,小猫,\n");
        assert_eq!(refused("friend_update", "a.csv", &fields), (2, 1));

        let ascii = gbk("UserID,备注\nu1,你好\nu2,小猫\n张三,\n");
        let read = rows_with("account_delete", "a.csv", &ascii, &input(&[])).unwrap();
        assert!(read[..2] == ["2 u1", "3 u2"] && read[2].starts_with("4 bad "), "{read:?}");
        let mut said = input(&[]);
        said.encoding = job::Encoding::Gbk;
        assert_eq!(
            rows_with("account_delete", "a.csv", &gbk("UserID\n小猫\n张三\n"), &said).unwrap(),
            ["2 小猫", "3 张三"]
        );
    }

    #[test]
    fn a_hole_is_refused_with_its_line_and_a_nul_with_its_row() {
        let text = [b"UserID,note\n".to_vec(), b"a,b\n".repeat(3_000), b"u".to_vec(), vec![0; 4096], b",x\n".to_vec()]
            .concat();
        let error = rows_with("account_delete", "rows.csv", &text, &input(&[])).unwrap_err();
        assert!(matches!(*error.problem, Problem::Hole) && error.line == Some(3_002), "{error}");
        let rows = rows("account_delete", "rows.csv", "UserID\nu\0\nb\n");
        assert!(rows[0].starts_with("2 bad ") && rows[1] == "3 b", "{rows:?}");
    }
}
