//! CSV: a header line, then a row a record.

mod header;
mod quoting;
mod records;
#[cfg(test)]
mod tests;
mod window;

use std::io::Read;
use std::str;

use crate::domain::account::UserId;
use crate::domain::job::{Delimiter, Encoding};
use crate::domain::row::{BadRow, RowRef, Tags, Value};
use crate::domain::tags;

use super::columns::Columns;
use super::encoding::REPLACEMENT;
use super::error::{InputError, Problem};
use super::notes::{NoteKind, Notes};
use super::row::{self, Fault, Sink};
use header::Header;
use records::{Cells, Form, Place, Records};
use window::Window;

/// Parts the groups of a friend within their cell.
const GROUP_SEPARATOR: char = '|';

/// Reads all rows.
///
/// A record with sound quotes is one row, however many lines it spans and however wrong it is. Behind a quote that is
/// not closed, or that is closed twice, nobody can tell rows from the text of a cell: what stands within quotes must
/// never be taken for a row, so the source is refused there.
pub(super) fn read(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
    notes: &mut Notes<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), InputError> {
    let (header, mut records) = header::read(name, Window::new(text), columns, delimiter)?;
    let mut rows = Rows { columns, header, doubtful_from: None };
    while let Some(place) = next(name, &mut records)? {
        rows.check_quotes(&place).map_err(|(line, problem)| InputError::at(name, line, problem))?;
        if place.spans_lines() {
            let (line, end) = (place.line, place.last_line);
            notes.add(NoteKind::SpansLines, line, || format!("a quoted cell makes the row span lines {line} to {end}"));
        }
        let cells = records.cells(&place);
        let mut json = String::new();
        let mut read = Tags::new();
        let flow = match rows.row(&place, cells, &mut read, &mut json) {
            Ok(row) => sink(Ok(row)),
            Err(refusal) => sink(Err(rows.bad_row(refusal, &place, cells, read))),
        };
        if flow.is_break() {
            return Ok(());
        }
        if place.form == Form::TooLong && !records.skip_line(&place).map_err(unreadable(name, place.line))? {
            return Err(InputError::at(name, place.line, Problem::OpenQuote));
        }
    }
    notes.blank_rows(records.blank_rows());
    Ok(())
}

/// The tags that the header names, by the API's names.
pub(super) fn tag_columns(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<Vec<String>, InputError> {
    let (header, _) = header::read(name, Window::new(text), columns, delimiter)?;
    Ok(header.tags.into_iter().map(|(tag, _)| tag).collect())
}

fn next<R: Read>(name: &str, records: &mut Records<R>) -> Result<Option<Place>, InputError> {
    let result = records.next();
    result.map_err(|error| unreadable(name, records.line())(error))
}

fn unreadable(name: &str, line: u64) -> impl FnOnce(std::io::Error) -> InputError {
    move |error| InputError::of_read(name, Some(line), error)
}

/// Why a record is no row. What is kept of it comes back if the results are used as input, and must be refused then, too.
enum Refusal {
    /// Its cells can't be told apart or are no text. Nothing is kept: any guess at an id might pass for one.
    Unreadable(Fault),
    /// Its cells are read and break a rule. They are kept, and break it again.
    Unfit(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Unfit(fault)
    }
}

struct Rows<'a> {
    columns: &'a Columns<'a>,
    header: Header,
    /// The line of the first record whose quotes leave a doubt which lines are rows.
    doubtful_from: Option<u64>,
}

impl Rows<'_> {
    /// The line from which on rows can't be told from the text of cells, if this record shows one.
    ///
    /// Text behind a closing quote, or too many cells next to quotes, may be the first line of a cell whose quotes are
    /// not doubled: `"the 5" one, as agreed`. What comes next is then text. The line on which that cell ends shows it by a
    /// quote in a cell that does not start with one.
    fn check_quotes(&mut self, place: &Place) -> Result<(), (u64, Problem)> {
        match (place.form, self.doubtful_from) {
            (Form::Open, _) => Err((place.line, Problem::OpenQuote)),
            (Form::Broken, _) => Err((place.line, Problem::BrokenQuote)),
            (Form::Stray, Some(line)) => Err((line, Problem::BrokenQuote)),
            (Form::Stray, None) | (Form::Whole | Form::Trailing | Form::BareReturn | Form::TooLong, _) => Ok(()),
        }
    }

    /// The row of a record. `tags` holds what was read of them also where the row is bad.
    fn row<'r>(
        &mut self,
        place: &Place,
        cells: Cells<'r>,
        tags: &mut Tags,
        json: &'r mut String,
    ) -> Result<RowRef<'r>, Refusal> {
        self.check_form(place, cells).map_err(Refusal::Unreadable)?;
        let from = self.header.from.map(|index| cells.get(index).unwrap_or_default());
        let account = cells.get(self.header.account).unwrap_or_default();
        let plain = from.into_iter().chain([account]).all(UserId::is_plain);
        if !plain || from == Some(account) {
            self.check_ids(cells)?;
        }
        if !self.header.tags.is_empty() {
            self.read_tags(cells, tags)?;
        }
        *json = row::tags_json(self.columns, tags)?;
        Ok(RowRef { line: place.line, from, account, tags: json.as_bytes() })
    }

    fn check_ids(&self, cells: Cells<'_>) -> Result<(), Refusal> {
        let from = match (self.columns.from, self.header.from) {
            (Some(column), Some(index)) => Some(self.text(column.api, cells, index)?),
            (Some(_), None) | (None, _) => None,
        };
        let account = self.text(self.columns.account.api, cells, self.header.account)?;
        Ok(row::check_ids(self.columns, from, account)?)
    }

    fn check_form(&mut self, place: &Place, cells: Cells<'_>) -> Result<(), Fault> {
        let width = self.header.width;
        match place.form {
            // The source was refused.
            Form::Open | Form::Broken => Err(Fault::new("a quote is opened and never closed")),
            Form::Trailing => {
                self.doubtful_from.get_or_insert(place.line);
                Err(Fault::new("text follows a closing quote: a quote within a quoted cell is written twice"))
            }
            Form::BareReturn => {
                Err(Fault::new("a carriage return stands outside quotes (line ends of an old Mac, or converted twice)"))
            }
            Form::TooLong => Err(Fault::new("the row is longer than 1 MiB")),
            Form::Whole | Form::Stray if cells.len() != width => {
                if place.quoted {
                    self.doubtful_from.get_or_insert(place.line);
                }
                Err(Fault::new(format!("the row has {} cells, the header has {width}", cells.len())))
            }
            Form::Whole | Form::Stray if self.repeats_header(cells) => {
                Err(Fault::new("repeats the header: were files joined?"))
            }
            Form::Stray => self.check_stray_quote(cells),
            Form::Whole => Ok(()),
        }
    }

    /// A quote in an id that does not start with one is most likely half of a pair.
    fn check_stray_quote(&self, cells: Cells<'_>) -> Result<(), Fault> {
        let from = self.columns.from.zip(self.header.from);
        for (column, index) in from.into_iter().chain([(self.columns.account, self.header.account)]) {
            if cells.get(index).is_some_and(|cell| cell.contains(&b'"')) {
                return Err(Fault::of(column.api, "has a quote in it, but does not start with one"));
            }
        }
        Ok(())
    }

    fn repeats_header(&self, cells: Cells<'_>) -> bool {
        // Hardly any row gets beyond its last cell here.
        self.header.names.iter().enumerate().rev().all(|(index, name)| {
            let cell = cells.get(index).unwrap_or_default();
            let cell = if index == 0 { cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell) } else { cell };
            cell == name
        })
    }

    fn text<'r>(&self, column: &str, cells: Cells<'r>, index: usize) -> Result<&'r str, Refusal> {
        let cell = cells.get(index).unwrap_or_default();
        let refusal = |what: std::fmt::Arguments<'_>| Refusal::Unreadable(Fault::of(column, what));
        let text = str::from_utf8(cell).map_err(|error| {
            let byte = error.valid_up_to() + 1;
            refusal(format_args!(
                "is not valid UTF-8 from its byte {byte} on; if the file is GBK: input.encoding = \"gbk\""
            ))
        })?;
        if self.columns.encoding == Encoding::Gbk && text.contains(REPLACEMENT) {
            return Err(refusal(format_args!("is not valid GBK")));
        }
        Ok(text)
    }

    fn read_tags(&self, cells: Cells<'_>, tags: &mut Tags) -> Result<(), Refusal> {
        for (tag, index) in &self.header.tags {
            let text = self.text(tag, cells, *index)?;
            if !text.is_empty() {
                row::set_tag(tags, tag, value(tag, text))?;
            }
        }
        Ok(())
    }

    fn bad_row(&self, refusal: Refusal, place: &Place, cells: Cells<'_>, tags: Tags) -> BadRow {
        let cell = |index| cells.get(index).map(|cell| String::from_utf8_lossy(cell).into_owned());
        let (mut fault, from, account, tags) = match refusal {
            Refusal::Unreadable(fault) => (fault, None, None, Tags::new()),
            Refusal::Unfit(fault) => (fault, self.header.from.and_then(cell), cell(self.header.account), tags),
        };
        if place.spans_lines() {
            fault.reason = format!("{} (the row spans lines {} to {})", fault.reason, place.line, place.last_line);
        }
        fault.into_row(place.line, from, account, tags)
    }
}

fn value(tag: &str, text: &str) -> Value {
    if tag == tags::GROUP { tags::groups(text.split(GROUP_SEPARATOR)) } else { Value::Text(text.into()) }
}
