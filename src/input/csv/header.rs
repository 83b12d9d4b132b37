//! The header line: the meaning of each cell of a row, and the delimiter between the cells.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use crate::domain::job::Delimiter;
use crate::domain::operation::{FieldsRequired, field_names};
use crate::domain::unusual_id::{self, is_invisible};
use crate::input::columns::{Columns, Meaning};
use crate::input::error::{InputError, Problem};

use super::records::{Cells, Form, RecordReader, RecordSpan};
use super::row_end::RowEnd;
use super::window::TextWindow;

/// The delimiters that are looked for, the likeliest first.
const DELIMITERS: [Delimiter; 4] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Pipe];

/// Which cell of a row means what.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) from: Option<usize>,
    pub(super) account: usize,
    /// Fields by the API's name, in the order of the file.
    pub(super) fields: Vec<(String, usize)>,
    /// All names as they are in the file.
    pub(super) own_names: Vec<String>,
    /// All names in lower case, to know a second header by.
    names: Vec<String>,
    /// The lines on which the header starts and ends.
    pub(super) lines: (u64, u64),
    /// Whether a quoted name may be one that was cut off.
    pub(super) is_doubtful: bool,
    /// What ids end with where files were joined without a line feed between them.
    joints: Vec<Joint>,
    /// The bytes that a name can end with.
    ends: NameEnds,
}

/// Reads the header line with the delimiter that finds the needed columns in it.
pub(super) fn read<R: Read>(
    name: &str,
    mut window: TextWindow<R>,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<(Header, RecordReader<R>), InputError> {
    // Whatever the job's own files have, results have a comma.
    let delimiter = delimiter.filter(|_| !columns.results);
    let candidates = delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let mut best: Option<(usize, InputError)> = None;
    for delimiter in candidates {
        let unreadable = |error| InputError::of_read(name, None, error);
        window.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let mut records = RecordReader::new(window, byte(delimiter));
        let place = records.next().map_err(unreadable)?;
        let place = place.ok_or_else(|| InputError::new(name, Problem::NoHeader))?;
        let cells = records.cells(&place);
        match check_form(&place, cells).and_then(|()| Header::new(&place, cells, columns)) {
            Ok(header) => return Ok((header, records)),
            // The reading that parts the line into the most cells is most likely the one that was meant.
            Err(problem) if best.as_ref().is_none_or(|(cells, _)| records.cells(&place).len() > *cells) => {
                best = Some((cells.len(), InputError::at(name, place.line, problem)));
            }
            Err(_) => {}
        }
        window = records.into_window();
    }
    Err(best.map_or_else(|| InputError::new(name, Problem::NoHeader), |(_, error)| error))
}

/// The names of the header line as each delimiter parts it.
///
/// # Errors
/// That of the last delimiter, if none finds a sound header.
pub(super) fn readings<R: Read>(
    name: &str,
    mut window: TextWindow<R>,
) -> Result<Vec<(Delimiter, Vec<String>)>, InputError> {
    let unreadable = |error| InputError::of_read(name, None, error);
    let (mut found, mut failed) = (Vec::new(), None);
    for delimiter in DELIMITERS {
        window.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let mut records = RecordReader::new(window, byte(delimiter));
        let place = records.next().map_err(unreadable)?;
        let place = place.ok_or_else(|| InputError::new(name, Problem::NoHeader))?;
        let cells = records.cells(&place);
        match check_form(&place, cells) {
            Ok(()) => found.push((delimiter, names_of(cells))),
            Err(problem) => failed = Some(InputError::at(name, place.line, problem)),
        }
        window = records.into_window();
    }
    match failed.filter(|_| found.is_empty()) {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

fn names_of(cells: Cells<'_>) -> Vec<String> {
    cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

const fn byte(delimiter: Delimiter) -> u8 {
    match delimiter {
        Delimiter::Comma => b',',
        Delimiter::Semicolon => b';',
        Delimiter::Tab => b'\t',
        Delimiter::Pipe => b'|',
    }
}

fn check_form(place: &RecordSpan, cells: Cells<'_>) -> Result<(), Problem> {
    match place.form {
        Form::BareReturn if cells.iter().all(|cell| !strip_return(cell).contains(&b'\r')) => {
            Err(Problem::LineEnds("CR CR LF: they were converted twice"))
        }
        Form::BareReturn => Err(Problem::LineEnds("CR alone, as on an old Mac")),
        Form::TooLong if cells.iter().any(|cell| cell.contains(&b'\r')) => {
            Err(Problem::LineEnds("CR alone, as on an old Mac"))
        }
        Form::Whole | Form::Stray if place.spans_lines() && cells.iter().any(may_hold_rows) => {
            Err(Problem::Header("has a quoted name with delimiters after a line feed: it may contain rows"))
        }
        Form::Whole | Form::Stray => Ok(()),
        Form::Open => Err(Problem::OpenQuote),
        Form::Trailing | Form::Broken => Err(Problem::BrokenQuote),
        Form::TooLong => Err(Problem::Header("is longer than 1 MiB")),
    }
}

/// Whether a name may be one whose closing quote is missing, so that it goes on to the next quote of the file.
fn may_hold_rows(name: &[u8]) -> bool {
    let is_delimiter = |byte: &u8| DELIMITERS.iter().any(|delimiter| self::byte(*delimiter) == *byte);
    memchr::memchr(b'\n', name).is_some_and(|end| name[end..].iter().any(is_delimiter))
}

/// A cell without the carriage return at its end.
fn strip_return(cell: &[u8]) -> &[u8] {
    cell.strip_suffix(b"\r").unwrap_or(cell)
}

/// How a row repeats the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The rows after it mean the same: only this row is rejected.
    Same,
    /// A header with other columns, or in another order: the rows after it mean something else.
    Other,
}

impl Header {
    fn new(place: &RecordSpan, cells: Cells<'_>, columns: &Columns<'_>) -> Result<Self, Problem> {
        let names = names_of(cells);
        let fields = fields(&names, columns)?;
        let index = |api: &str, file: &str| index_of(&names, api, file);
        let from = columns.from.map(|from| index(from.api, from.file)).transpose()?;
        let account = index(columns.account.api, columns.account.file)?;
        for field in &columns.mapped_fields {
            index(field.api, field.file)?;
        }
        if let FieldsRequired::Named(required) = columns.fields.required
            && fields.iter().all(|(field, _)| field != required)
            // Results have no column for a field that no row sets.
            && !columns.results
        {
            index(required, required)?;
        }
        let joints = joints(columns, &names);
        let own_names = names;
        let names: Vec<String> = own_names.iter().map(|name| bare(name).to_lowercase()).collect();
        let ends = NameEnds::new(&names);
        let is_doubtful = place.spans_lines() || cells.may_escape_an_end();
        let lines = (place.line, place.last_line);
        Ok(Self { from, account, fields, own_names, names, lines, is_doubtful, joints, ends })
    }

    /// How many cells every row has.
    pub(super) const fn width(&self) -> usize {
        self.names.len()
    }

    /// Whether a row is a header again, as in files that were joined. `columns` are those of the file.
    pub(super) fn repeat(&self, cells: Cells<'_>, columns: &Columns<'_>) -> Option<Repeat> {
        if !cells.iter().any(|cell| self.ends.fit(cell)) {
            return None;
        }
        let is_named = |index: usize| self.equals_name(cells, index);
        if cells.len() == self.width() && (0..self.width()).all(is_named) {
            return Some(Repeat::Same);
        }
        if self.has_api_name(cells) || self.has_other_names(cells) || self.has_names_elsewhere(cells) {
            return Some(Repeat::Other);
        }
        if !self.ids().all(is_named) {
            return None;
        }
        // The job's own name for the column. An account may be called `user`; hardly any is called `member_no`.
        let is_vague = columns.ids().any(|id| field_names::is_vague(id.file) || !field_names::is_long(id.file));
        Some(if is_vague { Repeat::Same } else { Repeat::Other })
    }

    /// Whether a row with another number of cells ends with the header of another file, since a line feed is missing
    /// between the files, and the rows after it mean something else.
    ///
    /// The last cell of the first file and the first name of the second are one cell: `x,u1UserID,note`.
    pub(super) fn is_joined_with_another(&self, cells: Cells<'_>) -> bool {
        let cells: Vec<String> = cells.iter().map(|cell| bare(&String::from_utf8_lossy(cell)).to_lowercase()).collect();
        let row = RowEnd::new(&cells, &self.names, self.ids());
        let is_header = |(at, name): (usize, &str)| self.is_id_column(name) || row.is_header(at, name);
        let is_own = |(at, name): (usize, &str)| {
            self.names.split_first().is_some_and(|(first, rest)| first == name && *rest == cells[at + 1..])
        };
        let is_other = cells.iter().any(|cell| self.is_id_column(cell)) || row.names_at_ends().any(is_header);
        is_other && !row.names_at_ends().any(is_own)
    }

    /// Whether a text in lower case is the name of an id column, and hardly the value of another one.
    fn is_id_column(&self, text: &str) -> bool {
        let is_own = self.ids().filter_map(|index| self.names.get(index)).any(|name| name == text);
        is_own && field_names::is_long(text) && !field_names::is_vague(text)
            || unusual_id::COLUMN_NAMES.iter().any(|name| name.eq_ignore_ascii_case(text))
    }

    /// The columns of ids.
    fn ids(&self) -> impl Iterator<Item = usize> {
        self.from.into_iter().chain([self.account])
    }

    /// Whether a cell is the name of its column.
    fn equals_name(&self, cells: Cells<'_>, index: usize) -> bool {
        cells.get(index).zip(self.names.get(index)).is_some_and(|(cell, name)| is_name(cell, name))
    }

    /// Whether an id is nearly an id column of the API, or another cell is exactly one.
    fn has_api_name(&self, cells: Cells<'_>) -> bool {
        self.ids().filter_map(|index| cells.get(index)).any(field_names::is_near_id_column)
            || cells.iter().any(|cell| field_names::ID_COLUMNS.iter().any(|name| is_ascii_name(cell, name)))
    }

    /// Whether all cells but the ids are the names of their columns.
    ///
    /// A column `vip` may hold the value `vip`. So where only one cell is a name, an id with a digit makes a row.
    fn has_other_names(&self, cells: Cells<'_>) -> bool {
        if cells.len() != self.width() {
            return false;
        }
        let mut named = 0;
        for index in (0..self.width()).filter(|index| self.ids().all(|id| id != *index)) {
            if !self.equals_name(cells, index) {
                return false;
            }
            named += usize::from(self.names.get(index).is_some_and(|name| !name.is_empty()));
        }
        let has_digit = |index: usize| cells.get(index).is_some_and(|id| id.iter().any(u8::is_ascii_digit));
        named > 1 || named == 1 && !self.ids().any(has_digit)
    }

    /// Whether the job's own names for all ids are in the row, together with at least one more name of the header.
    ///
    /// One name alone may be a value of another column: a column `user`, and a column `role` with the value `user`.
    fn has_names_elsewhere(&self, cells: Cells<'_>) -> bool {
        let has = |name: &String| cells.iter().any(|cell| is_name(cell, name));
        if !self.ids().all(|index| self.names.get(index).is_some_and(has)) {
            return false;
        }
        let names: HashSet<&str> = self.names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let is_known = |cell: &[u8]| names.contains(&*bare(&String::from_utf8_lossy(cell)).to_lowercase());
        cells.iter().filter(|cell| is_known(cell)).count() > 1
    }

    /// Whether an id may end with the name of a column by chance.
    pub(super) fn has_short_joints(&self) -> bool {
        self.joints.iter().any(|joint| !joint.is_sure)
    }

    /// The name that this id ends with, if a file whose last line had no end was joined with one that begins with
    /// that name.
    pub(super) fn joint<'h>(&'h self, id: &[u8]) -> Option<&'h Joint> {
        if !self.ends.fit(id) {
            return None;
        }
        self.joints.iter().find(|joint| id.len() > joint.name.len() && id.ends_with(joint.name.as_bytes()))
    }
}

/// The bytes that the names of a header and the API's columns of ids can end with, in either case.
///
/// Every row is compared with these names. The last byte of most ids is a digit, so that this byte alone shows that
/// they are none.
#[derive(Debug)]
struct NameEnds([bool; 256]);

impl NameEnds {
    /// `names` are in lower case, without what [`bare`] leaves out.
    fn new(names: &[String]) -> Self {
        // Other bytes may be left out in a comparison, or change their length with the case.
        let mut ends = std::array::from_fn(|byte| !u8::try_from(byte).is_ok_and(|byte| byte.is_ascii_alphanumeric()));
        let names = names.iter().map(String::as_str).chain(field_names::ID_COLUMNS);
        for end in names.filter_map(|name| name.bytes().last()) {
            ends[usize::from(end.to_ascii_lowercase())] = true;
            ends[usize::from(end.to_ascii_uppercase())] = true;
        }
        Self(ends)
    }

    /// Whether a cell can be one of the names, or end with one.
    fn fit(&self, cell: &[u8]) -> bool {
        cell.last().is_none_or(|end| self.0[usize::from(*end)])
    }
}

/// A name that another file's first line may begin with.
#[derive(Debug)]
pub(super) struct Joint {
    pub(super) name: String,
    /// Whether it is long enough that an id hardly ends so by chance.
    pub(super) is_sure: bool,
}

fn joints(columns: &Columns<'_>, names: &[String]) -> Vec<Joint> {
    let mut joints: Vec<Joint> = Vec::new();
    let candidates = columns.ids().map(|id| id.file).chain(names.first().map(String::as_str));
    for name in candidates.filter(|name| !name.is_empty() && !columns.results) {
        if joints.iter().all(|joint| joint.name != name) {
            joints.push(Joint { name: name.to_owned(), is_sure: field_names::is_long(name) });
        }
    }
    joints
}

/// Whether a cell is this name in lower case, ignoring case and what [`bare`] leaves out.
fn is_name(cell: &[u8], name: &str) -> bool {
    if name.is_ascii() {
        return is_ascii_name(cell, name);
    }
    let cell = String::from_utf8_lossy(cell);
    bare(&cell).chars().flat_map(char::to_lowercase).eq(name.chars())
}

/// The same for a name in ASCII, in either case.
fn is_ascii_name(cell: &[u8], name: &str) -> bool {
    if cell.len() <= name.len() {
        return cell.eq_ignore_ascii_case(name.as_bytes());
    }
    // Every row is compared: nearly no cell has anything at its ends that could be left out.
    let is_kept = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let has_margin = !is_kept(cell.first()) || !is_kept(cell.last());
    has_margin && bare(&String::from_utf8_lossy(cell)).eq_ignore_ascii_case(name)
}

/// A name or cell without blanks and invisible characters around it.
fn bare(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

fn index_of(names: &[String], api: &str, file: &str) -> Result<usize, Problem> {
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == file);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(Problem::DoubleColumn(file.to_owned())),
        (None, _) => {
            Err(Problem::MissingColumn { api: api.to_owned(), column: file.to_owned(), there: names.to_vec() })
        }
    }
}

fn fields(names: &[String], columns: &Columns<'_>) -> Result<Vec<(String, usize)>, Problem> {
    let mut fields: Vec<(String, usize)> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let misfit = |misfit| Problem::Misfit { column: name.clone(), number: index + 1, misfit };
        let Meaning::Field(field) = columns.meaning(name).map_err(misfit)? else { continue };
        if fields.iter().any(|(earlier, _)| earlier == field) {
            return Err(Problem::DoubleColumn(field.to_owned()));
        }
        fields.push((field.to_owned(), index));
    }
    Ok(fields)
}
