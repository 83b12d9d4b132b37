//! Why a source can't be read at all. What is wrong with one row is a `BadRow` instead.

use std::fmt;
use std::io;

use super::columns::{Misfit, Place};

/// A source that can't be used.
#[derive(Debug, thiserror::Error)]
pub struct InputError {
    /// The source, as the user wrote it; `-` is standard input.
    pub file: String,
    /// The line, from 1, where one is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

/// What is wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No such file.
    #[error("no such file")]
    Missing,
    /// A glob without a match.
    #[error("matches no file")]
    NoMatch,
    /// A glob that can't be understood.
    #[error("is no valid pattern: {0}")]
    Pattern(&'static str),
    /// A folder in place of a file.
    #[error("is a folder")]
    Folder,
    /// Standard input, named more than once.
    #[error("standard input is named more than once")]
    StdinTwice,
    /// The system refused to open or read it.
    #[error("can't be read: {0}")]
    Read(io::Error),
    /// Standard input could not be kept for reading again.
    #[error("can't be copied to a temporary file: {0}")]
    Spool(io::Error),
    /// The compressed data are damaged or cut off.
    #[error("corrupt {format} data: {cause}")]
    Corrupt {
        /// gzip or zstd.
        format: &'static str,
        /// What the decoder found.
        cause: io::Error,
    },
    /// It was written to while it was read.
    #[error("changed while it was read")]
    Changed,
    /// It is something else than text.
    #[error("is {0}, not text")]
    NotText(&'static str),
    /// The byte order mark is that of another encoding.
    #[error("starts with the byte order mark of {0}, the job says encoding = \"{1}\"")]
    Mark(&'static str, &'static str),
    /// A JSON list in place of one record a line.
    #[error("is one JSON list, not one record a line")]
    JsonList,
    /// Nothing to read column names from.
    #[error("has no header line")]
    NoHeader,
    /// The header can't be told from the rows.
    #[error("the header {0}")]
    Header(&'static str),
    /// A column that every row must fill, or that `input.columns` names, is not there.
    #[error("has no column `{column}`; it has {}", listed(there))]
    MissingColumn {
        /// The API's name of the column.
        api: String,
        /// The name that was looked for.
        column: String,
        /// The names that are there.
        there: Vec<String>,
    },
    /// A needed column stands twice in the header.
    #[error("has two columns for `{0}`")]
    DoubleColumn(String),
    /// A column that would be passed over though it has a meaning.
    #[error("column {number}: `{column}` {misfit}")]
    Misfit {
        /// The column's name.
        column: String,
        /// Its place in the header, from 1.
        number: usize,
        /// What it means.
        misfit: Misfit,
    },
    /// A second header whose columns are others, or in another order.
    #[error("is a second header, with other columns than the first: {}", listed(.0))]
    SecondHeader(Vec<String>),
    /// `input.columns` maps a name that the operation does not have.
    #[error("`input.columns` maps `{0}`, the operation has {1}")]
    UnknownMapping(String, String),
    /// `input.columns` maps two names to one column.
    #[error("`input.columns` reads both `{0}` and `{1}` from `{2}`")]
    SharedMapping(String, String, String),
}

impl InputError {
    pub(super) fn new(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), line: None, problem: Box::new(problem) }
    }

    pub(super) fn at(file: &str, line: u64, problem: Problem) -> Self {
        Self { line: Some(line), ..Self::new(file, problem) }
    }

    /// The file's name of the column at fault, where one is.
    pub fn column(&self) -> Option<&str> {
        self.problem.column()
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint(&self.file)
    }
}

/// A place in a message: `rows.csv:7`, or the file alone.
pub(super) fn place(file: &str, line: Option<u64>) -> String {
    let file = if file == "-" { "standard input" } else { file };
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", place(&self.file, self.line), self.problem)
    }
}

impl Problem {
    fn column(&self) -> Option<&str> {
        match self {
            Self::MissingColumn { column, .. } | Self::DoubleColumn(column) | Self::Misfit { column, .. } => {
                Some(column)
            }
            Self::Missing
            | Self::NoMatch
            | Self::Pattern(_)
            | Self::Folder
            | Self::StdinTwice
            | Self::Read(_)
            | Self::Spool(_)
            | Self::Corrupt { .. }
            | Self::Changed
            | Self::NotText(_)
            | Self::Mark(..)
            | Self::JsonList
            | Self::NoHeader
            | Self::Header(_)
            | Self::SecondHeader(_)
            | Self::UnknownMapping(..)
            | Self::SharedMapping(..) => None,
        }
    }

    fn hint(&self, file: &str) -> Option<String> {
        let hint = match self {
            Self::Missing | Self::NoMatch => "input.path is relative to the job file's folder".to_owned(),
            Self::Folder => format!("name its files, or a glob such as \"{file}/*.csv\""),
            Self::StdinTwice => "name \"-\" once".to_owned(),
            Self::Corrupt { .. } => "fetch or export the file again; no row of it was used".to_owned(),
            Self::Changed => "run again when its export is complete".to_owned(),
            Self::NotText(_) => "export it as CSV (UTF-8), or unpack it".to_owned(),
            Self::Mark("UTF-8", _) => "leave input.encoding out".to_owned(),
            Self::Mark(..) => "save it as UTF-8".to_owned(),
            Self::JsonList => format!("make it one record a line: jq -c '.[]' {file}"),
            Self::NoHeader => "the first line names the columns".to_owned(),
            Self::Header(_) => "save it with a header line of its own that ends in LF or CRLF".to_owned(),
            Self::MissingColumn { api, column, there } => missing_column_hint(api, column, there),
            Self::DoubleColumn(_) => "rename one of them, or choose one with input.columns".to_owned(),
            Self::Misfit { column, misfit, .. } => misfit.hint(Place::Column, column),
            Self::SecondHeader(_) => {
                "files were joined: name them one by one in input.path, or give all of them the same columns".to_owned()
            }
            Self::Pattern(_) | Self::Read(_) | Self::Spool(_) | Self::UnknownMapping(..) | Self::SharedMapping(..) => {
                return None;
            }
        };
        Some(hint)
    }
}

fn missing_column_hint(api: &str, column: &str, there: &[String]) -> String {
    if there.iter().any(|name| name.contains('\u{fffd}')) {
        return "the header is not UTF-8: a file from a spreadsheet in China may need input.encoding = \"gbk\""
            .to_owned();
    }
    let plain = |name: &str| name.to_lowercase().replace([' ', '_', '-'], "");
    let alike =
        there.iter().find(|name| plain(name) == plain(column) || plain(name) == plain(api)).map_or("…", String::as_str);
    format!("name the file's own column in the job: input.columns = {{ {api} = \"{alike}\" }}")
}

/// Names for a message: quoted, parted by commas, not more than a screen can bear.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut list: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        list.push(format!("{} more", names.len() - SHOWN));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(column: &str, there: &[&str]) -> InputError {
        let problem = Problem::MissingColumn {
            api: "UserID".to_owned(),
            column: column.to_owned(),
            there: there.iter().map(|&name| name.to_owned()).collect(),
        };
        InputError::at("a.csv", 1, problem)
    }

    #[test]
    fn a_missing_column_is_told_with_those_that_are_there_and_the_likely_one() {
        let error = missing("UserID", &["user_id", "mail"]);
        assert_eq!(error.to_string(), "a.csv:1: has no column `UserID`; it has `user_id`, `mail`");
        assert!(error.hint().unwrap().contains("{ UserID = \"user_id\" }"));
    }

    #[test]
    fn an_unreadable_header_hints_at_the_encoding() {
        assert!(missing("用户", &["\u{fffd}"]).hint().unwrap().contains("gbk"));
    }

    #[test]
    fn a_thousand_columns_do_not_flood_the_message() {
        let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("980 more"));
    }
}
