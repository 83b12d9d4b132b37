//! What a job must know of its input file.

use std::ops::ControlFlow;
use std::path::Path;

use super::columns::{ColumnGuess, guess};
use super::distinct::DistinctCount;
use super::error::InitError;
use crate::domain::hint::Message;
use crate::domain::job::{Delimiter, Encoding, InputSettings, RejectPolicy, UnusualIds};
use crate::domain::operation::Operation;
use crate::input::{self, HeaderReading};

/// What a job must know of its input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFacts {
    /// The path as it was given.
    pub path: String,
    /// How the text is encoded.
    pub encoding: Encoding,
    /// What separates the cells; none for JSONL.
    pub delimiter: Option<Delimiter>,
    /// The columns of the operation.
    pub columns: Vec<ColumnGuess>,
    /// Rows, good and bad.
    pub rows: u64,
    /// Rows that would be rejected.
    pub rejected: u64,
    /// Different items, counted exactly if there are few.
    pub items: u64,
}

impl InputFacts {
    /// Reads the file (or the files of a glob) to its end, as the job will read it.
    ///
    /// # Errors
    /// The file cannot be used as input of the operation.
    pub fn read(path: &str, operation: &Operation) -> Result<Self, InitError> {
        if path == "-" {
            let message = Message::new("standard input cannot be read again by the job");
            return Err(InitError::Unfit(message.add_hint("save it to a file, and name the file with --from")));
        }
        let mut input = plain_input(path);
        let sources = input::open(&input, Path::new("."))?;
        let first = sources.first().unwrap_or_else(|| unreachable!("every path names a source"));
        let outline = input::outline(first)?;
        let (delimiter, columns) = choose(outline.readings, operation).map_err(|why| why.at(first.name()))?;
        input.encoding = outline.encoding;
        input.columns = mapping(&columns).collect();
        let mut facts = Self {
            path: path.to_owned(),
            encoding: input.encoding,
            delimiter,
            columns,
            rows: 0,
            rejected: 0,
            items: 0,
        };
        let mut items = DistinctCount::default();
        let mut rejection = None;
        for source in &sources {
            let read = source.read(&operation.shape, &input, &mut |row| {
                match row {
                    Ok(row) => items.add((row.from, row.account)),
                    Err(bad) => {
                        facts.rejected += 1;
                        rejection.get_or_insert_with(|| format!("{}:{}: {}", source.name(), bad.line, bad.reason));
                    }
                }
                ControlFlow::Continue(())
            })?;
            facts.rows += read.rows;
        }
        facts.items = items.count();
        match rejection {
            Some(first) if facts.items == 0 => Err(all_rejected(&facts, &first)),
            Some(_) | None => Ok(facts),
        }
    }

    /// The columns that the user must choose.
    pub fn choices(&self) -> impl Iterator<Item = &ColumnGuess> {
        self.columns.iter().filter(|column| column.names.len() > 1)
    }
}

/// The input without anything that the file decides.
fn plain_input(path: &str) -> InputSettings {
    InputSettings {
        paths: vec![path.to_owned()],
        columns: std::collections::BTreeMap::new(),
        encoding: Encoding::Utf8,
        delimiter: None,
        rejects: RejectPolicy::Count,
        unusual_ids: UnusualIds::Reject,
    }
}

/// `input.columns` for these columns; of several names the first.
fn mapping(columns: &[ColumnGuess]) -> impl Iterator<Item = (String, String)> {
    let named = columns.iter().filter_map(|column| Some((column.api, column.names.first()?)));
    named.filter(|(api, name)| api != name).map(|(api, name)| (api.to_owned(), name.clone()))
}

/// A column that a file does not have, and the names that it has.
struct NoColumn {
    operation: &'static str,
    api: &'static str,
    names: Vec<String>,
}

impl NoColumn {
    fn at(self, file: &str) -> InitError {
        let Self { operation, api, names } = self;
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let text = format!("{file}: no column of the header is likely to be `{api}` of {operation}; it has {names}");
        let hint = "rename the column, or leave out --from and name it under [input.columns] in the job file; a file \
                    without a header needs one";
        InitError::Unfit(Message::new(text).add_hint(hint))
    }
}

/// The first reading of the header that has the columns of the operation. The error is that of the reading that parts
/// the header into the most names.
fn choose(
    readings: Vec<HeaderReading>,
    operation: &Operation,
) -> Result<(Option<Delimiter>, Vec<ColumnGuess>), NoColumn> {
    let mut missing: Option<NoColumn> = None;
    for HeaderReading { delimiter, names } in readings {
        match guess(&operation.shape, &names) {
            Ok(columns) => return Ok((delimiter, columns)),
            Err(api) if missing.as_ref().is_none_or(|known| names.len() > known.names.len()) => {
                missing = Some(NoColumn { operation: operation.name, api, names });
            }
            Err(_) => {}
        }
    }
    Err(missing.unwrap_or_else(|| unreachable!("a source has at least one reading")))
}

fn all_rejected(facts: &InputFacts, first: &str) -> InitError {
    let text = format!("{}: every row would be rejected ({}), the first one is {first}", facts.path, facts.rows);
    InitError::Unfit(Message::new(text).add_hint("correct the file, or choose another column or operation"))
}
