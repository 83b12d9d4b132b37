//! CSV: a header line, then one record per row.

mod header;
mod quoting;
mod records;
mod row_end;
#[cfg(test)]
mod tests;
mod window;

use std::io::Read;
use std::str;

use crate::domain::job::{Delimiter, Encoding, UnusualIds};
use crate::domain::operation::field_names;
use crate::domain::request::account::UserId;
use crate::domain::request::own_row::OwnCell;
use crate::domain::request::row::{FieldValues, RejectedRow, RowRef};
use crate::domain::{results, unusual_id};

use super::columns::{Column, Columns};
use super::encoding::REPLACEMENT;
use super::error::{InputError, Problem};
use super::notes::{NoteKind, Notes};
use super::own_cells::{OwnCells, OwnSink};
use super::row::{self, Fault, Sink};
use header::{Header, Joint, Repeat};
use records::{Cells, Form, RecordReader, RecordSpan};
use window::TextWindow;

/// Between quotes they are part of an id; without quotes they say that the file has another delimiter in places.
const DELIMITERS: [char; 8] = [',', ';', '\t', '|', '，', '；', '、', '｜'];

/// Reads all rows.
///
/// A record with sound quotes is one row, however many lines it spans and however wrong it is. Behind a quote that is
/// not closed, or that is closed twice, rows look the same as the text of a cell: text within quotes must
/// never be taken for a row, so the source is refused there.
pub(super) fn read(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
    notes: &mut Notes<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), InputError> {
    let (header, mut records) = header::read(name, TextWindow::new(text), columns, delimiter)?;
    let (line, end) = header.lines;
    if end > line {
        notes.add(NoteKind::SpansLines, line, || format!("a quoted name makes the header span lines {line} to {end}"));
    }
    let doubtful_from = header.is_doubtful.then_some(line);
    let mut rows = Rows { columns, header, doubtful_from };
    while let Some(place) = next(name, &mut records)? {
        let cells = records.cells(&place);
        rows.check_quotes(&place, cells).map_err(|(line, problem)| InputError::at(name, line, problem))?;
        if place.spans_lines() {
            let (line, end) = (place.line, place.last_line);
            notes.add(NoteKind::SpansLines, line, || format!("a quoted cell makes the row span lines {line} to {end}"));
        }
        let mut json = String::new();
        let mut read = FieldValues::new();
        let flow = match rows.row(&place, cells, &mut read, &mut json) {
            Ok(row) => {
                rows.note_joints(&row, notes);
                sink(Ok(row))
            }
            Err(RecordError::File(problem)) => return Err(InputError::at(name, place.line, *problem)),
            Err(RecordError::Row(fault)) => sink(Err(rows.rejected_row(fault, &place, cells, read))),
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

/// The fields that the header names, by the API's names.
pub(super) fn field_columns(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<Vec<String>, InputError> {
    let (header, _) = header::read(name, TextWindow::new(text), columns, delimiter)?;
    Ok(header.fields.into_iter().map(|(field, _)| field).collect())
}

/// The names of the header, as they are in the file, and the delimiter between them.
pub(super) fn own_columns(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<(Vec<String>, u8), InputError> {
    let (header, records) = header::read(name, TextWindow::new(text), columns, delimiter)?;
    Ok((header.own_names, records.delimiter()))
}

/// Hands over the cells of each row that [`read`] hands over, as they are in the file. There are none of a row whose
/// cells cannot be written as they were: written in another way, it could be read as another row.
pub(super) fn read_own(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
    sink: &mut OwnSink<'_>,
) -> Result<(), InputError> {
    let (header, mut records) = header::read(name, TextWindow::new(text), columns, delimiter)?;
    while let Some(place) = next(name, &mut records)? {
        let cells = records.cells(&place);
        let is_sound = place.form == Form::Whole
            && cells.len() <= header.width()
            && header.repeat(cells, columns).is_none()
            && cells.iter().all(|cell| str::from_utf8(cell).is_ok_and(|cell| !cell.contains(REPLACEMENT)));
        let own = cells.iter().enumerate().filter(|_| is_sound).map(|(at, cell)| OwnCell {
            text: String::from_utf8_lossy(cell).into_owned(),
            is_quoted: cells.is_quoted(at),
        });
        if sink(place.line, OwnCells::Csv(own.collect())).is_break() {
            return Ok(());
        }
        if place.form == Form::TooLong && !records.skip_line(&place).map_err(unreadable(name, place.line))? {
            return Err(InputError::at(name, place.line, Problem::OpenQuote));
        }
    }
    Ok(())
}

/// The names of the header as each delimiter parts it, the likeliest delimiter first.
pub(super) fn header_readings(name: &str, text: impl Read) -> Result<Vec<(Delimiter, Vec<String>)>, InputError> {
    header::readings(name, TextWindow::new(text))
}

fn next<R: Read>(name: &str, records: &mut RecordReader<R>) -> Result<Option<RecordSpan>, InputError> {
    let result = records.next();
    result.map_err(|error| unreadable(name, records.line())(error))
}

fn unreadable(name: &str, line: u64) -> impl FnOnce(std::io::Error) -> InputError {
    move |error| InputError::of_read(name, Some(line), error)
}

/// Why a record is no row.
enum RecordError {
    Row(Fault),
    /// No row from here on can be trusted.
    File(Box<Problem>),
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        Self::Row(fault)
    }
}

struct Rows<'a> {
    columns: &'a Columns<'a>,
    header: Header,
    /// The line of the first record whose quotes leave a doubt which lines are rows.
    doubtful_from: Option<u64>,
}

impl Rows<'_> {
    /// The line from which on rows can't be distinguished from the text of cells, if this record shows one.
    ///
    /// Text behind a closing quote, or too many cells next to quotes, may be the first line of a cell whose quotes are
    /// not doubled: `"the 5" one, as agreed`. A cell that spans lines may be two: one that was cut off, and one whose
    /// opening quote closed it. A backslash may escape the quote behind it. In each case what comes next is then text.
    /// The line on which that cell ends shows it by a quote in a cell that does not start with one.
    fn check_quotes(&mut self, place: &RecordSpan, cells: Cells<'_>) -> Result<(), (u64, Problem)> {
        match (place.form, self.doubtful_from) {
            (Form::Open, _) => return Err((place.line, Problem::OpenQuote)),
            (Form::Broken, _) => return Err((place.line, Problem::BrokenQuote)),
            (Form::Trailing, _) if cells.len() != self.header.width() => {
                return Err((place.line, Problem::BrokenQuote));
            }
            (Form::Stray, Some(line)) => return Err((line, Problem::StrayQuote { line: place.line })),
            (Form::Stray, None) | (Form::Whole | Form::Trailing | Form::BareReturn | Form::TooLong, _) => {}
        }
        if place.spans_lines() || cells.may_escape_an_end() {
            self.doubtful_from.get_or_insert(place.line);
        }
        Ok(())
    }

    /// The row of a record. `fields` holds what was read of them also where the row is rejected.
    fn row<'r>(
        &mut self,
        place: &RecordSpan,
        cells: Cells<'r>,
        fields: &mut FieldValues,
        json: &'r mut String,
    ) -> Result<RowRef<'r>, RecordError> {
        self.check_form(place, cells)?;
        let from = self.header.from.map(|index| cells.get(index).unwrap_or_default());
        let account = cells.get(self.header.account).unwrap_or_default();
        let plain = |id: &[u8]| self.columns.is_plain(id) && self.header.joint(id).is_none();
        if !from.into_iter().chain([account]).all(plain) || from == Some(account) {
            self.check_ids(cells)?;
        }
        if !self.header.fields.is_empty() {
            self.read_fields(cells, fields)?;
        }
        *json = row::fields_json(self.columns, fields)?;
        Ok(RowRef { line: place.line, from, account, fields: json.as_bytes() })
    }

    fn check_ids(&self, cells: Cells<'_>) -> Result<(), RecordError> {
        let account = (self.columns.account, self.header.account);
        let from = self.columns.from.zip(self.header.from);
        let text = |(column, index): (Column<'_>, usize)| self.text(column.api, cells, index);
        let (from_id, account_id) = (from.map(text).transpose()?, text(account)?);
        let ids = || from.zip(from_id).into_iter().chain([(account, account_id)]);
        ids().try_for_each(|((column, _), id)| self.check_joint(column, id))?;
        // A text that can be no id is reported as such, even if its cell is odd as well.
        let possible = |(_, id): &(_, &str)| UserId::check(id).is_ok();
        let mut possible = ids().filter(possible);
        possible.try_for_each(|((column, index), id)| self.check_unquoted(column, cells.is_quoted(index), id))?;
        if self.is_joined_with_foreign(account_id) {
            return Err(RecordError::File(Box::new(second_header(cells))));
        }
        Ok(row::check_ids(self.columns, from_id, account_id)?)
    }

    /// Whether this id, alone in its row, ends with a column that the operation does not have: then the rows after it
    /// are other accounts, as the `To_Account` of a list of friends.
    fn is_joined_with_foreign(&self, id: &str) -> bool {
        let foreign =
            |name: &str| field_names::ID_COLUMNS.contains(&name) && self.columns.ids().all(|column| column.api != name);
        self.header.width() == 1
            && self.columns.unusual_ids == UnusualIds::Reject
            && unusual_id::column_name_at_end(id).is_some_and(foreign)
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

    /// Whether an id holds a quote, or a delimiter that is not the file's. What a results file holds was checked
    /// before.
    fn check_unquoted(&self, column: Column<'_>, is_quoted: bool, id: &str) -> Result<(), Fault> {
        if is_quoted || self.columns.results || self.columns.unusual_ids == UnusualIds::Allow {
            return Ok(());
        }
        // A formula, which keeps its quotes, is reported as such.
        if id.contains('"') && !id.starts_with('=') {
            return Err(row::unusual(column, "has a quote in it, but does not start with one"));
        }
        id.chars().find(|c| DELIMITERS.contains(c)).map_or(Ok(()), |other| {
            let why = format_args!("contains the delimiter `{other}` without quotes: `{id}`");
            Err(row::unusual(column, why))
        })
    }

    /// Notes ids that end with a short name of a column, which may be chance.
    fn note_joints(&self, row: &RowRef<'_>, notes: &mut Notes<'_>) {
        if !self.header.has_short_joints() {
            return;
        }
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

    fn check_form(&mut self, place: &RecordSpan, cells: Cells<'_>) -> Result<(), RecordError> {
        let width = self.header.width();
        let fault = match place.form {
            // The source was refused.
            Form::Open | Form::Broken => Fault::new("a quote is opened and never closed"),
            Form::Trailing => {
                self.doubtful_from.get_or_insert(place.line);
                Fault::new("text follows a closing quote: a quote within a quoted cell is written twice")
            }
            // An id with one is reported as such.
            Form::BareReturn if self.ids_have_returns(cells) => return Ok(()),
            Form::BareReturn => {
                Fault::new("a carriage return is outside quotes (line ends of an old Mac, or converted twice)")
            }
            Form::TooLong => Fault::new("the row is longer than 1 MiB"),
            Form::Whole | Form::Stray => match self.header.repeat(cells, self.columns) {
                Some(Repeat::Same) => Fault::new("repeats the header: were files joined?"),
                Some(Repeat::Other) => return Err(RecordError::File(Box::new(second_header(cells)))),
                None if cells.len() != width && self.header.is_joined_with_another(cells) => {
                    return Err(RecordError::File(Box::new(second_header(cells))));
                }
                None if cells.len() != width => {
                    if place.quoted {
                        self.doubtful_from.get_or_insert(place.line);
                    }
                    let (count, plural) = (cells.len(), if cells.len() == 1 { "" } else { "s" });
                    Fault::new(format!("the row has {count} cell{plural}, the header has {width}"))
                }
                None => return Ok(()),
            },
        };
        Err(fault.into())
    }

    fn ids_have_returns(&self, cells: Cells<'_>) -> bool {
        let mut indices = self.header.from.into_iter().chain([self.header.account]);
        indices.any(|index| cells.get(index).is_some_and(|cell| cell.contains(&b'\r')))
    }

    fn text<'r>(&self, column: &str, cells: Cells<'r>, index: usize) -> Result<&'r str, Fault> {
        let cell = cells.get(index).unwrap_or_default();
        let text = str::from_utf8(cell).map_err(|error| {
            let byte = error.valid_up_to() + 1;
            let hint = "if the file is GBK: input.encoding = \"gbk\"";
            Fault::of(column, format_args!("is not valid UTF-8 from its byte {byte} on; {hint}"))
        })?;
        if self.columns.encoding == Encoding::Gbk && text.contains(REPLACEMENT) {
            return Err(Fault::of(column, "is not valid GBK"));
        }
        Ok(text)
    }

    fn read_fields(&self, cells: Cells<'_>, fields: &mut FieldValues) -> Result<(), Fault> {
        for (field, index) in &self.header.fields {
            let text = self.text(field, cells, *index)?;
            let value = if self.columns.results {
                results::from_cell(&self.columns.fields, field, text).map_err(|error| Fault::of(field, error))?
            } else {
                self.columns.fields.from_cell(field, text)
            };
            if let Some(value) = value {
                row::set_field(self.columns, fields, field, value)?;
            }
        }
        Ok(())
    }

    fn rejected_row(&self, mut fault: Fault, place: &RecordSpan, cells: Cells<'_>, fields: FieldValues) -> RejectedRow {
        let cell = |index| cells.get(index).map(|cell| String::from_utf8_lossy(cell).into_owned());
        if place.spans_lines() {
            fault.reason = format!("{} (the row spans lines {} to {})", fault.reason, place.line, place.last_line);
        }
        fault.into_row(place.line, self.header.from.and_then(cell), cell(self.header.account), fields)
    }
}

fn second_header(cells: Cells<'_>) -> Problem {
    Problem::SecondHeader(cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
}
