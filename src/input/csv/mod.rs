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
use super::compression::read_problem;
use super::encoding::REPLACEMENT;
use super::error::InputError;
use super::notes::{NoteKind, Notes};
use super::row::{self, Fault, Sink};
use header::Header;
use records::{Cells, Form, Place, Records};
use window::Window;

/// Parts the groups of a friend within their cell.
const GROUP_SEPARATOR: char = '|';

/// Reads all rows.
///
/// A record whose quotes are not sound is the work of a stray quote: only its first line is rejected, the others are
/// read again as rows of their own. A record with sound quotes is one row, however many lines it spans and however
/// wrong it is: what stands within quotes is never taken for a row.
pub(super) fn read(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
    notes: &mut Notes<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), InputError> {
    let (header, mut records) = header::read(name, Window::new(text), columns, delimiter)?;
    let rows = Rows { columns, header };
    while let Some(place) = next(name, &mut records)? {
        if place.spans_lines() && place.form == Form::Whole {
            let (line, end) = (place.line, place.last_line);
            notes.add(NoteKind::SpansLines, line, || format!("a quoted cell makes the row span lines {line} to {end}"));
        }
        let cells = records.cells(&place);
        let mut json = String::new();
        let mut read = Tags::new();
        let (flow, again) = match rows.row(&place, cells, &mut read, &mut json) {
            Ok(row) => (sink(Ok(row)), false),
            Err(refusal) => {
                let again = place.form == Form::TooLong || place.spans_lines() && place.form != Form::Whole;
                (sink(Err(rows.bad_row(refusal, &place, cells, read, again))), again)
            }
        };
        if flow.is_break() {
            return Ok(());
        }
        if again {
            let result = records.read_again_behind_first_line(&place);
            result.map_err(|error| InputError::at(name, place.line, read_problem(error)))?;
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
    result.map_err(|error| InputError::at(name, records.line(), read_problem(error)))
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
}

impl Rows<'_> {
    /// The row of a record. `tags` holds what was read of them also where the row is bad.
    fn row<'r>(
        &self,
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

    fn check_form(&self, place: &Place, cells: Cells<'_>) -> Result<(), Fault> {
        let width = self.header.width;
        match place.form {
            Form::Open => Err(Fault::new("a quote is opened and never closed")),
            Form::Trailing => Err(Fault::new("text follows a closing quote")),
            Form::TooLong => Err(Fault::new("the row is longer than 1 MiB")),
            Form::Whole if cells.len() != width => {
                Err(Fault::new(format!("the row has {} cells, the header has {width}", cells.len())))
            }
            Form::Whole if self.repeats_header(cells) => Err(Fault::new("repeats the header: were files joined?")),
            Form::Whole => Ok(()),
        }
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
        let (text, encoding) = match self.columns.encoding {
            Encoding::Utf8 => (str::from_utf8(cell).ok(), "UTF-8"),
            Encoding::Gbk => {
                let text = str::from_utf8(cell).ok();
                (text.filter(|text| !text.contains(REPLACEMENT)), "GBK")
            }
        };
        text.ok_or_else(|| Refusal::Unreadable(Fault::of(column, format_args!("is not valid {encoding}"))))
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

    fn bad_row(&self, refusal: Refusal, place: &Place, cells: Cells<'_>, tags: Tags, again: bool) -> BadRow {
        let cell = |index| cells.get(index).map(|cell| String::from_utf8_lossy(cell).into_owned());
        let (mut fault, from, account, tags) = match refusal {
            Refusal::Unreadable(fault) => (fault, None, None, Tags::new()),
            Refusal::Unfit(fault) => (fault, self.header.from.and_then(cell), cell(self.header.account), tags),
        };
        if place.spans_lines() {
            let (end, runs) = (place.last_line, if again { "would run" } else { "runs" });
            fault.reason = format!("{} (as its quotes stand, the row {runs} on to line {end})", fault.reason);
        }
        fault.into_row(place.line, from, account, tags)
    }
}

fn value(tag: &str, text: &str) -> Value {
    if tag == tags::GROUP { tags::groups(text.split(GROUP_SEPARATOR)) } else { Value::Text(text.into()) }
}
