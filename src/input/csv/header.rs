//! The header line: which cell of a row means what, and what parts the cells.

use std::io::{Read, Seek, SeekFrom};

use crate::domain::job::Delimiter;
use crate::input::columns::Columns;
use crate::input::error::{InputError, Problem};

use super::records::{Cells, Form, Records};
use super::window::Window;

/// The delimiters that are looked for, the likeliest first.
const DELIMITERS: [Delimiter; 3] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab];

/// Which cell of a row means what.
#[derive(Debug)]
pub(super) struct Header {
    /// How many cells every row has.
    pub(super) width: usize,
    pub(super) from: Option<usize>,
    pub(super) account: usize,
    /// Tags by the API's name, in the order of the file.
    pub(super) tags: Vec<(String, usize)>,
    /// All names, to know a second header by.
    pub(super) names: Vec<Vec<u8>>,
}

/// Reads the header line with the delimiter that finds the needed columns in it.
pub(super) fn read<R: Read>(
    name: &str,
    mut window: Window<R>,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<(Header, Records<R>), InputError> {
    let candidates = delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let mut best: Option<(usize, InputError)> = None;
    for delimiter in candidates {
        let unreadable = |error| InputError::of_read(name, None, error);
        window.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let mut records = Records::new(window, byte(delimiter));
        let place = records.next().map_err(unreadable)?;
        let place = place.ok_or_else(|| InputError::new(name, Problem::NoHeader))?;
        let cells = records.cells(&place);
        match check_form(place.form, cells).and_then(|()| Header::new(cells, columns)) {
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

const fn byte(delimiter: Delimiter) -> u8 {
    match delimiter {
        Delimiter::Comma => b',',
        Delimiter::Semicolon => b';',
        Delimiter::Tab => b'\t',
    }
}

fn check_form(form: Form, cells: Cells<'_>) -> Result<(), Problem> {
    match form {
        Form::BareReturn if cells.iter().all(|cell| !strip_return(cell).contains(&b'\r')) => {
            Err(Problem::LineEnds("CR CR LF: they were converted twice"))
        }
        Form::BareReturn => Err(Problem::LineEnds("CR alone, as on an old Mac")),
        Form::TooLong if cells.iter().any(|cell| cell.contains(&b'\r')) => {
            Err(Problem::LineEnds("CR alone, as on an old Mac"))
        }
        Form::Whole | Form::Stray => Ok(()),
        Form::Open => Err(Problem::OpenQuote),
        Form::Trailing | Form::Broken => Err(Problem::BrokenQuote),
        Form::TooLong => Err(Problem::Header("is longer than 1 MiB")),
    }
}

/// A cell without the carriage return at its end.
fn strip_return(cell: &[u8]) -> &[u8] {
    cell.strip_suffix(b"\r").unwrap_or(cell)
}

impl Header {
    fn new(cells: Cells<'_>, columns: &Columns<'_>) -> Result<Self, Problem> {
        let names: Vec<String> = cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let index = |api: &str, file: &str| index_of(&names, api, file);
        let from = columns.from.map(|from| index(from.api, from.file)).transpose()?;
        let account = index(columns.account.api, columns.account.file)?;
        for tag in &columns.mapped_tags {
            index(tag.api, tag.file)?;
        }
        if columns.take_delete_type() && names.iter().any(|name| name == "DeleteType") {
            return Err(Problem::DeleteType);
        }
        let tags = tags(&names, columns)?;
        Ok(Self { width: names.len(), from, account, tags, names: cells.iter().map(<[u8]>::to_vec).collect() })
    }
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

fn tags(names: &[String], columns: &Columns<'_>) -> Result<Vec<(String, usize)>, Problem> {
    let mut tags: Vec<(String, usize)> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let tag = columns.tag_of(name).map_err(|error| Problem::Tag(name.clone(), error))?;
        let Some(tag) = tag else { continue };
        if tags.iter().any(|(earlier, _)| earlier == tag) {
            return Err(Problem::DoubleColumn(tag.to_owned()));
        }
        tags.push((tag.to_owned(), index));
    }
    Ok(tags)
}
