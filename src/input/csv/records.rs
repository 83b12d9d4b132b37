//! Records of a CSV text with their line numbers.
//!
//! In a part of the text without a quote, each line is a record, and every delimiter separates two cells. Such a part
//! is split in place, because most of the reading of a load is this. The csv crate reads everything else.

use std::io::{self, Read, SeekFrom};
use std::ops::Range;

use csv::{ByteRecord, Position, ReaderBuilder, Terminator};

use super::quoting::{self, Quoting, without_line_end};
use super::window::TextWindow;

/// The longest record in bytes: what an open quote can hold in memory.
pub(super) const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Text without a quote for so long is worth leaving the csv crate for, which reads this much ahead.
const IN_SIGHT: usize = 8 << 10;

/// How a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it should.
    Whole,
    /// The same, but a cell that does not start with a quote holds one that may close a cell of a line before.
    Stray,
    /// A quote in it is never closed, or not within [`MAX_RECORD_BYTES`].
    Open,
    /// Text follows a closing quote, on a line that seems to end outside quotes.
    Trailing,
    /// Text follows a closing quote, and the end of the record is unknown.
    Broken,
    /// A carriage return is outside quotes and not at its end.
    BareReturn,
    /// Past [`MAX_RECORD_BYTES`], without a quote.
    TooLong,
}

/// The place of the record whose cells were read last.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordSpan {
    /// The line on which it starts, from 1.
    pub(super) line: u64,
    /// The line on which it ends.
    pub(super) last_line: u64,
    pub(super) form: Form,
    /// Whether it holds quotes.
    pub(super) quoted: bool,
    start: u64,
    end: u64,
    /// Whether the last cell ends in the carriage return of a CRLF.
    crlf: bool,
}

impl RecordSpan {
    pub(super) const fn spans_lines(&self) -> bool {
        self.last_line > self.line
    }
}

/// Reads records one after the other into the same cells.
pub(super) struct RecordReader<R> {
    reader: csv::Reader<TextWindow<R>>,
    delimiter: u8,
    record: ByteRecord,
    /// Where the cells of the last record are: in `record`, or in the text where that was taken apart in place.
    cells: Vec<Range<usize>>,
    /// Where the last line that was taken apart in place has delimiters.
    delimiters: Vec<usize>,
    /// Where the next record is, while text is taken apart in place.
    plain: Option<Start>,
    /// How many blank rows were skipped.
    blank_rows: u64,
}

/// Where a record starts.
#[derive(Debug, Clone, Copy)]
struct Start {
    byte: u64,
    line: u64,
}

impl<R: Read> RecordReader<R> {
    /// Starts at the beginning of the text.
    pub(super) fn new(window: TextWindow<R>, delimiter: u8) -> Self {
        // Only a line feed ends a line: that is how lines are counted, and a lone carriage return within an id
        // must stay visible as the fault it is.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(window);
        Self {
            reader,
            delimiter,
            record: ByteRecord::new(),
            cells: Vec::new(),
            delimiters: Vec::new(),
            plain: None,
            blank_rows: 0,
        }
    }

    /// The text, to start anew with another delimiter.
    pub(super) fn into_window(self) -> TextWindow<R> {
        self.reader.into_inner()
    }

    /// The cells of the last record.
    pub(super) fn cells(&self, place: &RecordSpan) -> Cells<'_> {
        let raw = self.reader.get_ref().text(place.start, place.end);
        let (text, quoted) = match self.plain {
            Some(_) => (raw, None),
            None => (self.record.as_slice(), Some((raw, self.delimiter))),
        };
        Cells { text, ranges: &self.cells, crlf: place.crlf, quoted }
    }

    /// What separates two cells.
    pub(super) const fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The line that is read next.
    pub(super) fn line(&self) -> u64 {
        self.plain.map_or_else(|| self.reader.position().line(), |start| start.line)
    }

    /// How many rows were skipped since they hold nothing but delimiters and blanks, empty lines among them.
    pub(super) const fn blank_rows(&self) -> u64 {
        self.blank_rows
    }

    /// The next record that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<RecordSpan>> {
        loop {
            let place = self.next_filled()?;
            match place {
                Some(place) if self.is_blank(&place) => self.blank_rows += 1,
                _ => return Ok(place),
            }
        }
    }

    /// Whether a record holds nothing but delimiters and white space. A quoted cell says that a value was meant.
    fn is_blank(&self, place: &RecordSpan) -> bool {
        let raw = self.reader.get_ref().text(place.start, place.end);
        let is_filled = |byte: &u8| *byte != self.delimiter && !matches!(byte, b' ' | b'\t'..=b'\r');
        let Some(at) = raw.iter().position(is_filled) else { return true };
        let is_blank = |c: char| c.is_whitespace() || c == char::from(self.delimiter);
        !raw[at].is_ascii() && str::from_utf8(&raw[at..]).is_ok_and(|rest| rest.chars().all(is_blank))
    }

    /// The next record that is more than an empty line.
    fn next_filled(&mut self) -> io::Result<Option<RecordSpan>> {
        if self.plain.is_none() {
            self.plain = self.start_without_quotes();
        }
        if let Some(start) = self.plain {
            match self.next_plain(start)? {
                Plain::Record(place) => return Ok(Some(place)),
                Plain::End => return Ok(None),
                Plain::Quote(start) => self.go_to(start.byte, start.line)?,
            }
        }
        self.next_parsed()
    }

    /// Where the next record starts, if no quote is in sight there. The first one is left to the csv crate, which knows
    /// a byte order mark.
    fn start_without_quotes(&self) -> Option<Start> {
        let (byte, line) = (self.reader.position().byte(), self.reader.position().line());
        let ahead = self.reader.get_ref().ahead(byte);
        let in_sight = &ahead[..ahead.len().min(IN_SIGHT)];
        (byte > 0 && memchr::memchr(b'"', in_sight).is_none()).then_some(Start { byte, line })
    }

    fn next_plain(&mut self, mut start: Start) -> io::Result<Plain> {
        loop {
            let Self { reader, delimiter, delimiters, .. } = self;
            let line = reader.get_mut().line_without_quotes(start.byte, MAX_RECORD_BYTES, *delimiter, delimiters)?;
            let Some(length) = line else {
                return Ok(Plain::Quote(start));
            };
            if length == 0 {
                return Ok(Plain::End);
            }
            let here = start;
            start = Start { byte: here.byte + length, line: here.line + 1 };
            let raw = self.reader.get_ref().text(here.byte, start.byte);
            if matches!(raw, b"\n" | b"\r\n" | b"\r") {
                self.blank_rows += 1;
                continue;
            }
            self.plain = Some(start);
            let text = raw.strip_suffix(b"\n").unwrap_or(raw);
            self.cells.clear();
            let mut cell = 0;
            for end in self.delimiters.iter().copied().chain([text.len()]) {
                self.cells.push(cell..end);
                cell = end + 1;
            }
            let bare = self.reader.get_ref().has_returns() && memchr::memchr(b'\r', without_line_end(raw)).is_some();
            return Ok(Plain::Record(RecordSpan {
                line: here.line,
                last_line: here.line,
                form: if bare { Form::BareReturn } else { Form::Whole },
                quoted: false,
                start: here.byte,
                end: start.byte,
                crlf: text.ends_with(b"\r"),
            }));
        }
    }

    fn next_parsed(&mut self) -> io::Result<Option<RecordSpan>> {
        loop {
            let (before, line) = (self.reader.position().byte(), self.reader.position().line());
            let limit = before + MAX_RECORD_BYTES;
            self.reader.get_mut().keep(before, limit);
            let found = self.reader.read_byte_record(&mut self.record).map_err(io_error)?;
            let end = self.reader.position().byte();
            let raw = self.reader.get_ref().text(before, end);
            let blank = raw.iter().take_while(|&&byte| byte == b'\n').count();
            let (start, line) = (before + blank as u64, line + blank as u64);
            self.blank_rows += blank as u64;
            if end == limit && blank > 0 {
                // Blank lines used up the space of the record after them.
                self.go_to(start, line)?;
            } else if !found {
                return Ok(None);
            } else if !matches!(&raw[blank..], b"\r\n" | b"\r") {
                let place = self.place(start, line, end);
                self.cells.clear();
                self.cells.extend((0..self.record.len()).filter_map(|index| self.record.range(index)));
                return Ok(Some(place));
            } else {
                self.blank_rows += 1;
            }
        }
    }

    fn place(&self, start: u64, line: u64, end: u64) -> RecordSpan {
        let raw = self.reader.get_ref().text(start, end);
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let quoted = memchr::memchr(b'"', raw).is_some();
        let form = if end - start >= MAX_RECORD_BYTES {
            if quoted { Form::Open } else { Form::TooLong }
        } else if !quoted {
            if memchr::memchr(b'\r', without_line_end(raw)).is_some() { Form::BareReturn } else { Form::Whole }
        } else {
            match quoting::of(raw, self.delimiter) {
                Quoting::Sound => Form::Whole,
                Quoting::Stray => Form::Stray,
                Quoting::Open => Form::Open,
                Quoting::Trailing => Form::Trailing,
                Quoting::Broken => Form::Broken,
                Quoting::BareReturn => Form::BareReturn,
            }
        };
        RecordSpan {
            line,
            last_line: self.line() - u64::from(raw.len() > text.len()),
            form,
            quoted,
            start,
            end,
            crlf: text.ends_with(b"\r"),
        }
    }

    /// Goes to the line behind a record that is too long; false if a quote is in what is left of it.
    pub(super) fn skip_line(&mut self, place: &RecordSpan) -> io::Result<bool> {
        let next = self.reader.get_mut().skip_line(place.start)?;
        match next {
            Some(next) => self.go_to(next, place.line + 1).map(|()| true),
            None => Ok(false),
        }
    }

    /// Lets the csv crate read on here.
    fn go_to(&mut self, byte: u64, line: u64) -> io::Result<()> {
        self.plain = None;
        let mut position = Position::new();
        position.set_byte(byte).set_line(line);
        self.reader.seek_raw(SeekFrom::Start(byte), position).map_err(io_error)
    }
}

/// The reader's own error, which the csv crate wraps. Bytes and rows of any length bring no other.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// What was found where no quote was in sight.
enum Plain {
    Record(RecordSpan),
    End,
    /// A quote after all, or a very long line, in the record that starts here.
    Quote(Start),
}

/// The cells of one record.
#[derive(Clone, Copy)]
pub(super) struct Cells<'r> {
    text: &'r [u8],
    ranges: &'r [Range<usize>],
    crlf: bool,
    /// The record as it is in the file, and what is between its cells; none where it has no quotes.
    quoted: Option<(&'r [u8], u8)>,
}

impl<'r> Cells<'r> {
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&'r [u8]> {
        let cell = self.text.get(self.ranges.get(index)?.clone())?;
        if self.crlf && index + 1 == self.ranges.len() {
            return Some(cell.strip_suffix(b"\r").unwrap_or(cell));
        }
        Some(cell)
    }

    /// Whether a cell is in quotes.
    pub(super) fn is_quoted(&self, index: usize) -> bool {
        self.quoted.is_some_and(|(raw, delimiter)| quoting::is_quoted(raw, delimiter, index))
    }

    /// Whether a quoted cell ends with a backslash that may escape its closing quote.
    pub(super) fn may_escape_an_end(&self) -> bool {
        self.quoted.is_some_and(|(raw, delimiter)| quoting::may_escape_its_end(raw, delimiter))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'r [u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
