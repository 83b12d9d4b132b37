//! Records of a CSV text with the lines they stand on, and the way back into a record that is none.

use std::io::{self, Read, SeekFrom};

use csv::{ByteRecord, Position, ReaderBuilder, Terminator};

use super::quoting::{self, Quoting};
use super::window::Window;

/// The longest record in bytes: what an open quote can hold in memory.
pub(super) const MAX_RECORD_BYTES: u64 = 1 << 20;

/// Text may be read again up to this many times over, plus this many records of the longest kind. A file gets
/// there only if it was made to: then an open quote is believed no further than its own line.
const REREADS: u64 = 8;

/// How a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it should.
    Whole,
    /// A quote in it is never closed.
    Open,
    /// Text follows a closing quote.
    Trailing,
    /// Past [`MAX_RECORD_BYTES`].
    TooLong,
}

/// Where the record stands whose cells were read last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The line on which it starts, from 1.
    pub(super) line: u64,
    /// The line on which it ends.
    pub(super) last_line: u64,
    pub(super) form: Form,
    start: u64,
    end: u64,
    /// Whether the last cell ends in the carriage return of a CRLF.
    crlf: bool,
}

impl Place {
    pub(super) const fn spans_lines(&self) -> bool {
        self.last_line > self.line
    }
}

/// Reads records one after the other into the same cells.
pub(super) struct Records<R> {
    reader: csv::Reader<Window<R>>,
    delimiter: u8,
    cells: ByteRecord,
    /// How many bytes were read again so far.
    reread: u64,
}

impl<R: Read> Records<R> {
    /// Starts at the beginning of the text.
    pub(super) fn new(window: Window<R>, delimiter: u8) -> Self {
        // Only a line feed ends a line: that is how lines are counted, and a lone carriage return within an id
        // must stay visible as the fault it is.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(window);
        Self { reader, delimiter, cells: ByteRecord::new(), reread: 0 }
    }

    /// The text, to start anew with another delimiter.
    pub(super) fn into_window(self) -> Window<R> {
        self.reader.into_inner()
    }

    /// The cells of the last record.
    pub(super) fn cells(&self, place: &Place) -> Cells<'_> {
        Cells { record: &self.cells, crlf: place.crlf }
    }

    /// The line that is read next.
    pub(super) fn line(&self) -> u64 {
        self.reader.position().line()
    }

    /// The next record that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Place>> {
        loop {
            let (before, line) = (self.reader.position().byte(), self.reader.position().line());
            let limit = self.limit(before)?;
            self.reader.get_mut().keep(before, limit);
            let found = self.reader.read_byte_record(&mut self.cells).map_err(io_error)?;
            let end = self.reader.position().byte();
            let raw = self.reader.get_ref().text(before, end);
            let blank = raw.iter().take_while(|&&byte| byte == b'\n').count();
            let (start, line) = (before + blank as u64, line + blank as u64);
            if end == limit && blank > 0 {
                // Blank lines used up the room of the record behind them.
                self.go_to(start, line)?;
            } else if !found {
                return Ok(None);
            } else if !matches!(&raw[blank..], b"\r\n" | b"\r") {
                return Ok(Some(self.place(start, line, end)));
            }
        }
    }

    /// How far a record that starts here may reach.
    fn limit(&mut self, start: u64) -> io::Result<u64> {
        let longest = start + MAX_RECORD_BYTES;
        if self.reread <= REREADS * longest {
            return Ok(longest);
        }
        let window = self.reader.get_mut();
        window.keep(start, longest);
        let line_end = window.line_end(start, MAX_RECORD_BYTES)?;
        Ok(line_end.map_or(longest, |end| end.min(longest)))
    }

    fn place(&self, start: u64, line: u64, end: u64) -> Place {
        let raw = self.reader.get_ref().text(start, end);
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        // Without quotes the cells and what parts them are the whole record. Only one lost quote and one line feed
        // that an open quote kept for its cell would add up to the same.
        let cells = self.cells.as_slice();
        let plain = cells.len() + self.cells.len() == text.len() + 1 && !cells.ends_with(b"\n");
        let form = if end - start >= MAX_RECORD_BYTES {
            Form::TooLong
        } else if plain {
            Form::Whole
        } else {
            match quoting::of(raw, self.delimiter) {
                Quoting::Sound => Form::Whole,
                Quoting::Open => Form::Open,
                Quoting::Trailing => Form::Trailing,
            }
        };
        Place {
            line,
            last_line: self.line() - u64::from(raw.len() > text.len()),
            form,
            start,
            end,
            crlf: text.ends_with(b"\r"),
        }
    }

    /// Goes back to the second line of a record, to read it as a record of its own.
    pub(super) fn read_again_behind_first_line(&mut self, place: &Place) -> io::Result<()> {
        let next = self.reader.get_mut().skip_line(place.start)?;
        self.reread += place.end.saturating_sub(next);
        self.go_to(next, place.line + 1)
    }

    fn go_to(&mut self, byte: u64, line: u64) -> io::Result<()> {
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

/// The cells of one record.
#[derive(Clone, Copy)]
pub(super) struct Cells<'r> {
    record: &'r ByteRecord,
    crlf: bool,
}

impl<'r> Cells<'r> {
    pub(super) fn len(&self) -> usize {
        self.record.len()
    }

    /// All cells as one, to compare records by.
    pub(super) fn joined(&self) -> &'r [u8] {
        self.record.as_slice()
    }

    pub(super) fn get(&self, index: usize) -> Option<&'r [u8]> {
        let cell = self.record.get(index)?;
        if self.crlf && index + 1 == self.record.len() {
            return Some(cell.strip_suffix(b"\r").unwrap_or(cell));
        }
        Some(cell)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'r [u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
