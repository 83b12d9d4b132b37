//! The header line: which cell of a row means what, and what parts the cells.

use std::io::{Read, Seek, SeekFrom};

use crate::domain::job::Delimiter;
use crate::domain::unusual_id::is_invisible;
use crate::input::columns::{Columns, Meaning};
use crate::input::error::{InputError, Problem};

use super::records::{Cells, Form, Records};
use super::window::Window;

/// The delimiters that are looked for, the likeliest first.
const DELIMITERS: [Delimiter; 4] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Pipe];

/// Which cell of a row means what.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) from: Option<usize>,
    pub(super) account: usize,
    /// Tags by the API's name, in the order of the file.
    pub(super) tags: Vec<(String, usize)>,
    /// All names in lower case, to know a second header by.
    names: Vec<String>,
    /// What ids end with where files were joined without a line feed between them.
    joints: Vec<Joint>,
}

/// Reads the header line with the delimiter that finds the needed columns in it.
pub(super) fn read<R: Read>(
    name: &str,
    mut window: Window<R>,
    columns: &Columns<'_>,
    delimiter: Option<Delimiter>,
) -> Result<(Header, Records<R>), InputError> {
    // Whatever the job's own files have, results have a comma.
    let delimiter = delimiter.filter(|_| !columns.results);
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
        Delimiter::Pipe => b'|',
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

/// Which header a row repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The first one: the rows behind it mean the same.
    Same,
    /// One of other columns, or in another order: the rows behind it mean something else.
    Other,
}

impl Header {
    fn new(cells: Cells<'_>, columns: &Columns<'_>) -> Result<Self, Problem> {
        let names: Vec<String> = cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let tags = tags(&names, columns)?;
        let index = |api: &str, file: &str| index_of(&names, api, file);
        let from = columns.from.map(|from| index(from.api, from.file)).transpose()?;
        let account = index(columns.account.api, columns.account.file)?;
        for tag in &columns.mapped_tags {
            index(tag.api, tag.file)?;
        }
        let joints = joints(columns, &names);
        let names = names.iter().map(|name| bare(name).to_lowercase()).collect();
        Ok(Self { from, account, tags, names, joints })
    }

    /// How many cells every row has.
    pub(super) const fn width(&self) -> usize {
        self.names.len()
    }

    /// Whether a row may be a header, at a glance: one of its cells ends as the account's column does.
    fn may_be_repeated(&self, cells: Cells<'_>) -> bool {
        let name = self.names.get(self.account).map_or("", String::as_str).as_bytes();
        // Blanks and a byte order mark may be around it.
        let length = name.len()..=name.len() + 6;
        let last = name.last().copied().unwrap_or_default();
        cells.iter().any(|cell| {
            length.contains(&cell.len())
                && cell.last().is_some_and(|byte| byte.eq_ignore_ascii_case(&last) || !byte.is_ascii_graphic())
        })
    }

    /// Whether a row is a header again, as in files that were joined. `columns` are those of the file.
    ///
    /// All needed columns must be named. Since a file's own name for one may be a value of another column (a column
    /// `user`, and a column `role` with the value `user`), a second name must be there as well, unless it is the API's.
    pub(super) fn repeat(&self, cells: Cells<'_>, columns: &Columns<'_>) -> Option<Repeat> {
        if !self.may_be_repeated(cells) {
            return None;
        }
        let cells: Vec<String> = cells.iter().map(|cell| bare(&String::from_utf8_lossy(cell)).to_lowercase()).collect();
        let has = |name: &str| cells.contains(&name.to_lowercase());
        if !columns.ids().all(|id| has(id.file)) {
            return None;
        }
        let named = cells.iter().filter(|cell| !cell.is_empty() && self.names.contains(cell)).count();
        let surely = columns.ids().all(|id| id.file == id.api);
        if named < 2 && cells.len() > 1 && !surely {
            return None;
        }
        let at = |index: usize| cells.get(index) == self.names.get(index);
        let mut needed = self.from.into_iter().chain([self.account]).chain(self.tags.iter().map(|(_, index)| *index));
        let same = cells.len() == self.width() && needed.all(at);
        Some(if same { Repeat::Same } else { Repeat::Other })
    }

    /// The name that this id ends with, if a file whose last line had no end was joined with one that begins with
    /// that name.
    pub(super) fn joint<'h>(&'h self, id: &[u8]) -> Option<&'h Joint> {
        self.joints.iter().find(|joint| id.len() > joint.name.len() && id.ends_with(joint.name.as_bytes()))
    }
}

/// A name that another file's first line may begin with.
#[derive(Debug)]
pub(super) struct Joint {
    pub(super) name: String,
    /// Whether it is long enough that an id hardly ends so by chance.
    pub(super) is_sure: bool,
}

/// Names of fewer letters end many an id.
const SURE_LETTERS: usize = 4;

fn joints(columns: &Columns<'_>, names: &[String]) -> Vec<Joint> {
    let mut joints: Vec<Joint> = Vec::new();
    let candidates = columns.ids().map(|id| id.file).chain(names.first().map(String::as_str));
    for name in candidates.filter(|name| !name.is_empty() && !columns.results) {
        if joints.iter().all(|joint| joint.name != name) {
            let is_sure = name.chars().filter(|c| c.is_alphanumeric()).count() >= SURE_LETTERS;
            joints.push(Joint { name: name.to_owned(), is_sure });
        }
    }
    joints
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

fn tags(names: &[String], columns: &Columns<'_>) -> Result<Vec<(String, usize)>, Problem> {
    let mut tags: Vec<(String, usize)> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let misfit = |misfit| Problem::Misfit { column: name.clone(), number: index + 1, misfit };
        let Meaning::Tag(tag) = columns.meaning(name).map_err(misfit)? else { continue };
        if tags.iter().any(|(earlier, _)| earlier == tag) {
            return Err(Problem::DoubleColumn(tag.to_owned()));
        }
        tags.push((tag.to_owned(), index));
    }
    Ok(tags)
}
