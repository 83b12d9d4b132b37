//! CSV: a header line, then a row a record.

mod header;
mod quoting;
mod records;
#[cfg(test)]
mod tests;
mod window;

use std::io::Read;
use std::str;

use crate::domain::job::{Delimiter, Encoding, UnusualIds};
use crate::domain::row::{BadRow, RowRef, Tags};
use crate::domain::{results, tags};

use super::columns::{Column, Columns};
use super::compression::read_problem;
use super::encoding::REPLACEMENT;
use super::error::{InputError, Problem};
use super::notes::{NoteKind, Notes};
use super::row::{self, Fault, Sink};
use header::{Header, Joint, Repeat};
use records::{Cells, Form, Place, Records};
use window::Window;

/// Between quotes they are part of an id; without quotes they say that the file has another delimiter in places.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

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
            Ok(row) => {
                rows.note_joints(&row, notes);
                (sink(Ok(row)), false)
            }
            Err(Refusal::File(problem)) => return Err(InputError::at(name, place.line, *problem)),
            Err(Refusal::Row(fault)) => {
                let again = place.form == Form::TooLong || place.spans_lines() && place.form != Form::Whole;
                (sink(Err(rows.bad_row(fault, &place, cells, read, again))), again)
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

/// Why a record is no row.
enum Refusal {
    Row(Fault),
    /// No row from here on can be trusted.
    File(Box<Problem>),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Row(fault)
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
        self.check_form(place, cells)?;
        let from = self.header.from.map(|index| cells.get(index).unwrap_or_default());
        let account = cells.get(self.header.account).unwrap_or_default();
        let plain = |id: &[u8]| self.columns.is_plain(id) && self.header.joint(id).is_none();
        if !from.into_iter().chain([account]).all(plain) || from == Some(account) {
            self.check_ids(cells)?;
        }
        if !self.header.tags.is_empty() {
            self.read_tags(cells, tags)?;
        }
        *json = row::tags_json(self.columns, tags)?;
        Ok(RowRef { line: place.line, from, account, tags: json.as_bytes() })
    }

    fn check_ids(&self, cells: Cells<'_>) -> Result<(), Fault> {
        let account = (self.columns.account, self.header.account);
        let from = self.columns.from.zip(self.header.from);
        let text = |(column, index): (Column<'_>, usize)| self.text(column.api, cells, index);
        let (from_id, account_id) = (from.map(text).transpose()?, text(account)?);
        let ids = || from.zip(from_id).into_iter().chain([(account, account_id)]);
        ids().try_for_each(|((column, _), id)| self.check_joint(column, id))?;
        row::check_ids(self.columns, from_id, account_id)?;
        ids().try_for_each(|((column, index), id)| self.check_unquoted(column, cells.is_quoted(index), id))
    }

    /// Whether files were joined within this id.
    fn check_joint(&self, column: Column<'_>, id: &str) -> Result<(), Fault> {
        match self.header.joint(id.as_bytes()).filter(|joint| joint.is_sure) {
            Some(Joint { name, .. }) if self.columns.unusual_ids == UnusualIds::Reject => {
                let why =
                    format_args!("ends with the column name `{name}`: `{id}` (were files joined without a line feed?)");
                Err(row::unusual(column, why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether an id holds a delimiter that is not the file's. What a results file holds was checked before.
    fn check_unquoted(&self, column: Column<'_>, is_quoted: bool, id: &str) -> Result<(), Fault> {
        if is_quoted || self.columns.results || self.columns.unusual_ids == UnusualIds::Allow {
            return Ok(());
        }
        id.chars().find(|c| DELIMITERS.contains(c)).map_or(Ok(()), |other| {
            let why = format_args!("contains the delimiter `{other}` without quotes: `{id}`");
            Err(row::unusual(column, why))
        })
    }

    /// Notes ids that end with a short name of a column, which may be chance.
    fn note_joints(&self, row: &RowRef<'_>, notes: &mut Notes<'_>) {
        for id in row.from.into_iter().chain([row.account]) {
            if let Some(joint) = self.header.joint(id).filter(|joint| !joint.is_sure) {
                let id = String::from_utf8_lossy(id);
                notes.add(NoteKind::EndsWithHeader, row.line, || {
                    let name = &joint.name;
                    format!("the id `{id}` ends with the column name `{name}`: were files joined without a line feed?")
                });
            }
        }
    }

    fn check_form(&self, place: &Place, cells: Cells<'_>) -> Result<(), Refusal> {
        let width = self.header.width();
        let fault = match place.form {
            Form::Open => Fault::new("a quote is opened and never closed"),
            Form::Trailing => Fault::new("text follows a closing quote"),
            Form::TooLong => Fault::new("the row is longer than 1 MiB"),
            Form::Whole => match self.header.repeat(cells, self.columns) {
                Some(Repeat::Same) => Fault::new("repeats the header: were files joined?"),
                Some(Repeat::Other) => return Err(Refusal::File(Box::new(second_header(cells)))),
                None if cells.len() != width => {
                    Fault::new(format!("the row has {} cells, the header has {width}", cells.len()))
                }
                None => return Ok(()),
            },
        };
        Err(fault.into())
    }

    fn text<'r>(&self, column: &str, cells: Cells<'r>, index: usize) -> Result<&'r str, Fault> {
        let cell = cells.get(index).unwrap_or_default();
        let (text, encoding) = match self.columns.encoding {
            Encoding::Utf8 => (str::from_utf8(cell).ok(), "UTF-8"),
            Encoding::Gbk => {
                let text = str::from_utf8(cell).ok();
                (text.filter(|text| !text.contains(REPLACEMENT)), "GBK")
            }
        };
        text.ok_or_else(|| Fault::of(column, format_args!("is not valid {encoding}")))
    }

    fn read_tags(&self, cells: Cells<'_>, tags: &mut Tags) -> Result<(), Fault> {
        for (tag, index) in &self.header.tags {
            let text = self.text(tag, cells, *index)?;
            let value = if self.columns.results {
                results::from_cell(tag, text).map_err(|error| Fault::of(tag, error))?
            } else {
                tags::from_cell(tag, text)
            };
            if let Some(value) = value {
                row::set_tag(tags, tag, value)?;
            }
        }
        Ok(())
    }

    fn bad_row(&self, mut fault: Fault, place: &Place, cells: Cells<'_>, tags: Tags, again: bool) -> BadRow {
        let cell = |index| cells.get(index).map(|cell| String::from_utf8_lossy(cell).into_owned());
        if place.spans_lines() {
            let (end, runs) = (place.last_line, if again { "would run" } else { "runs" });
            fault.reason = format!("{} (as its quotes stand, the row {runs} on to line {end})", fault.reason);
        }
        fault.into_row(place.line, self.header.from.and_then(cell), cell(self.header.account), tags)
    }
}

fn second_header(cells: Cells<'_>) -> Problem {
    Problem::SecondHeader(cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
}
