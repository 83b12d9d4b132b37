//! Why a source can't be read at all. What is wrong with one row is a `RejectedRow` instead.

use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::domain::guard::Bytes;
use crate::domain::hint::Hint;
use crate::domain::unusual_id::shown;

use super::columns::{Misfit, NamePlace};
use super::file_format::{Compression, UnsupportedFormat};

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
    /// A link that leads to no file.
    #[error("is a link to {0}: no such file")]
    DanglingLink(String),
    /// Another name of a file that is named before.
    #[error("is the same file as {0}")]
    SameFile(String),
    /// A JSONL line with several rows, of which each should be one.
    #[error("the object has a list of items, so that its keys belong to several rows")]
    ItemList,
    /// imbulk's own results among the files of a glob.
    #[error("contains results of imbulk, not input")]
    OwnResults,
    /// A glob without a match.
    #[error("matches no file")]
    NoMatch,
    /// A glob that can't be understood.
    #[error("is not a valid pattern: {0}")]
    Pattern(&'static str),
    /// A folder in place of a file.
    #[error("is a folder")]
    Folder,
    /// A pipe, a socket or a device among the files of a glob.
    #[error("is a pipe, a socket or a device, not a file")]
    NotAFile,
    /// Standard input, named more than once.
    #[error("standard input is named more than once")]
    StdinTwice,
    /// The system refused to open or read it.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// Standard input could not be kept for reading again.
    #[error("cannot be copied to a temporary file: {0}")]
    Spool(io::Error),
    /// The compressed data are damaged.
    #[error("the {} data is damaged: {cause}", compression.name())]
    Corrupt {
        /// How it is compressed.
        compression: Compression,
        /// What the decoder found.
        cause: io::Error,
    },
    /// The compressed data end too early.
    #[error("the {} data is cut off: the file ends too early", .0.name())]
    CutOff(Compression),
    /// Something follows the compressed data.
    #[error("the file goes on after the end of the {} data, with bytes that are not {}", .0.name(), .0.name())]
    Trailing(Compression),
    /// The name promises compression.
    #[error("is named {0} but is not compressed")]
    NotCompressed(&'static str),
    /// A zstd frame refers back further than is read.
    #[error("the zstd data needs a window of {}; at most {} are read", Bytes(*needed), Bytes(*limit))]
    Window {
        /// Bytes.
        needed: u64,
        /// Bytes.
        limit: u64,
    },
    /// A zstd frame needs a dictionary.
    #[error("the zstd data was compressed with a dictionary, which is not read")]
    Dictionary,
    /// It was written to while it was read.
    #[error("changed while it was read")]
    Changed,
    /// It is something else than text.
    #[error("is {}, not CSV or JSONL", .0.what)]
    NotText(&'static UnsupportedFormat),
    /// NUL bytes in place of text.
    #[error("contains NUL bytes in place of text")]
    Hole,
    /// Text that is said to be GBK and is UTF-8.
    #[error("is UTF-8 text, but the job says encoding = \"gbk\"")]
    Utf8AsGbk,
    /// An id or field that is not ASCII, in a file that is not UTF-8 elsewhere.
    #[error(
        "an id or field of this row is not ASCII, but line {line} of the file is not valid UTF-8: the file may be GBK"
    )]
    NotUtf8 {
        /// The first line that is not valid UTF-8.
        line: u64,
    },
    /// A stream whose last line has no line feed.
    #[error("the last line has no line end: the stream may be incomplete")]
    UnfinishedLine,
    /// The byte order mark is that of another encoding.
    #[error("starts with the byte order mark of {0}, the job says encoding = \"{1}\"")]
    Mark(&'static str, &'static str),
    /// A JSON list in place of one record a line.
    #[error("is one JSON list, not one object per line")]
    JsonList,
    /// A quoted cell without an end.
    #[error("a quoted cell starts in this row and is not closed within 1 MiB, or not before the file ends")]
    OpenQuote,
    /// Text behind a closing quote, on a line that may end within quotes.
    #[error("text follows a closing quote, so it is unknown which of the next lines are rows")]
    BrokenQuote,
    /// A quote that may close a cell of an earlier row.
    #[error("it is unknown where a quoted cell of this row ends: a quote in line {line} may close it")]
    StrayQuote {
        /// The line of that quote.
        line: u64,
    },
    /// Line ends that are not read.
    #[error("its lines end with {0}")]
    LineEnds(&'static str),
    /// Something else than JSON.
    #[error("is not JSON: each line must start with `{{`")]
    NotJson,
    /// JSON in place of CSV.
    #[error("contains JSON, not CSV")]
    JsonInCsv,
    /// An object that goes on in the next line.
    #[error("a JSON object spans several lines, not one object per line")]
    JsonSpansLines,
    /// Objects with commas between them.
    #[error("its JSON objects have a comma between them, not one object per line")]
    JsonCommas,
    /// Several objects on one line.
    #[error("several JSON objects are on one line, not one object per line")]
    JsonJoined,
    /// Nothing to read column names from.
    #[error("has no header line")]
    NoHeader,
    /// The header can't be distinguished from the rows.
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
    /// The header names a needed column twice.
    #[error("has two columns for `{0}`")]
    DoubleColumn(String),
    /// A column that would be passed over though it has a meaning.
    #[error("column {number}: `{}` {misfit}", shown(column))]
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
}

impl InputError {
    pub(super) fn new(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), line: None, problem: Box::new(problem) }
    }

    pub(super) fn at(file: &str, line: u64, problem: Problem) -> Self {
        Self { line: Some(line), ..Self::new(file, problem) }
    }

    /// A read of `file` that failed, by the reader of the rows at `line`.
    pub(super) fn of_read(file: &str, line: Option<u64>, error: io::Error) -> Self {
        match error.downcast::<ReadProblem>() {
            Ok(ReadProblem { line: known, problem }) => Self { line: known.or(line), ..Self::new(file, problem) },
            Err(error) => Self { line, ..Self::new(file, Problem::Read(error)) },
        }
    }

    /// The file's name of the column at fault, where one is.
    pub fn column(&self) -> Option<&str> {
        self.problem.column()
    }
}

impl Hint for InputError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        self.problem.hint(&quoted(&self.file)).map(Cow::Owned)
    }
}

/// A problem that is found while text is read, on its way through [`io::Error`].
#[derive(Debug)]
pub(super) struct ReadProblem {
    /// The line, where it is known better than by the reader of the rows.
    line: Option<u64>,
    problem: Problem,
}

impl ReadProblem {
    pub(super) fn of(problem: Problem) -> io::Error {
        io::Error::other(Self { line: None, problem })
    }

    pub(super) fn at(line: u64, problem: Problem) -> io::Error {
        io::Error::other(Self { line: Some(line), problem })
    }

    /// What a failed read means for the user.
    pub(super) fn problem(error: io::Error) -> Problem {
        error.downcast::<Self>().map_or_else(Problem::Read, |found| found.problem)
    }
}

impl fmt::Display for ReadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for ReadProblem {}

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
            | Self::DanglingLink(_)
            | Self::SameFile(_)
            | Self::OwnResults
            | Self::ItemList
            | Self::NoMatch
            | Self::Pattern(_)
            | Self::Folder
            | Self::NotAFile
            | Self::StdinTwice
            | Self::Read(_)
            | Self::Spool(_)
            | Self::Corrupt { .. }
            | Self::CutOff(_)
            | Self::Trailing(_)
            | Self::NotCompressed(_)
            | Self::Window { .. }
            | Self::Dictionary
            | Self::Hole
            | Self::Utf8AsGbk
            | Self::NotUtf8 { .. }
            | Self::UnfinishedLine
            | Self::Changed
            | Self::NotText(_)
            | Self::Mark(..)
            | Self::JsonList
            | Self::NotJson
            | Self::JsonInCsv
            | Self::JsonSpansLines
            | Self::JsonCommas
            | Self::JsonJoined
            | Self::OpenQuote
            | Self::BrokenQuote
            | Self::StrayQuote { .. }
            | Self::LineEnds(_)
            | Self::NoHeader
            | Self::Header(_)
            | Self::SecondHeader(_) => None,
        }
    }

    fn hint(&self, file: &str) -> Option<String> {
        self.path_hint(file)
            .or_else(|| self.compression_hint(file))
            .or_else(|| self.encoding_hint(file))
            .or_else(|| self.json_hint(file))
            .or_else(|| self.csv_hint(file))
            .or_else(|| self.column_hint())
    }

    /// The hint for a problem with the choice of files.
    fn path_hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::Missing | Self::NoMatch => "input.path is relative to the job file's folder".to_owned(),
            Self::DanglingLink(_) => "restore the file that the link names, or remove the link".to_owned(),
            Self::SameFile(_) => "name it once; a link among the files of a glob is another name".to_owned(),
            Self::OwnResults => {
                "write results to another folder, or narrow the glob; named directly, they are valid input".to_owned()
            }
            Self::ItemList => "leave out --with-input".to_owned(),
            Self::Folder => format!("name its files, or a glob such as \"{file}/*.csv\""),
            Self::NotAFile => "narrow the glob; a pipe is read only if input.path names it directly".to_owned(),
            Self::StdinTwice => "name \"-\" once".to_owned(),
            Self::Changed => "run again when its export is complete".to_owned(),
            _ => return None,
        })
    }

    /// The hint for a problem with a compressed file.
    fn compression_hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::Corrupt { .. } | Self::CutOff(_) => {
                "fetch or export the file again; no row of it was used".to_owned()
            }
            Self::Trailing(Compression::Gzip) => {
                format!("check with `gzip -t {file}`; if the data is complete: gzip -dc {file} > rows.csv")
            }
            Self::Trailing(Compression::Zstd) => {
                format!("check with `zstd -t {file}`; if the data is complete: zstd -dc {file} > rows.csv")
            }
            Self::NotCompressed(ending) => {
                format!("remove {ending} from its name if it is plain text; else fetch or export it again")
            }
            Self::Window { .. } => format!("unpack it: zstd -d --long=31 {file}; or compress it without --long"),
            Self::Dictionary => format!("unpack it: zstd -d -D dictionary {file}"),
            _ => return None,
        })
    }

    /// The hint for a problem with bytes that are not text in the declared encoding.
    fn encoding_hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::NotText(foreign) => foreign.hint.replace("{file}", file),
            Self::Hole => "export it again: a crash or a full disk can leave such bytes in place of rows".to_owned(),
            Self::Utf8AsGbk => {
                format!(
                    "read the output of: iconv -f GBK -t UTF-8 {file}; if its text is right, use it as input; \
                     else the file is UTF-8: remove input.encoding in both cases"
                )
            }
            Self::NotUtf8 { .. } => {
                format!(
                    "if the file is GBK: input.encoding = \"gbk\"; else export it as UTF-8; to see where it is \
                     not: iconv -f UTF-8 -t UTF-8 {file}"
                )
            }
            Self::Mark("UTF-8", _) => "leave input.encoding out".to_owned(),
            Self::Mark(..) => "save it as UTF-8".to_owned(),
            _ => return None,
        })
    }

    /// The hint for a problem with the form of a JSONL file.
    fn json_hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::JsonList => format!("write one object per line: jq -c '.[]' {file} > rows.jsonl"),
            Self::NotJson => "name it .csv if it is CSV; JSONL has one JSON object per line".to_owned(),
            Self::JsonInCsv => {
                format!(
                    "name it .jsonl if it has one object per line; else: jq -c '.[]?, \
                     select(type == \"object\")' {file} > rows.jsonl"
                )
            }
            Self::JsonSpansLines | Self::JsonJoined => {
                format!("write one object per line: jq -c . {file} > rows.jsonl")
            }
            Self::JsonCommas => {
                format!("write one object per line: (echo '['; cat {file}; echo ']') | jq -c '.[]' > rows.jsonl")
            }
            _ => return None,
        })
    }

    /// The hint for a problem with the form of a CSV file.
    fn csv_hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::UnfinishedLine => {
                "check that the sending command succeeded (set -o pipefail); if nothing is missing, end the \
                 last line with a line feed"
                    .to_owned()
            }
            Self::OpenQuote => {
                "export the file again, it may be cut off; if the quote is text, write the cell in quotes and \
                 the quote twice"
                    .to_owned()
            }
            Self::BrokenQuote => "write the cell in quotes, and each quote within it twice: \"5\"\" pipe\"".to_owned(),
            Self::StrayQuote { .. } => {
                "export the file again: each quote within a quoted cell must be written twice, not as \\\", and \
                 no cell may be cut off"
                    .to_owned()
            }
            Self::LineEnds(_) => {
                format!("convert them: tr '\\r' '\\n' < {file} > rows.csv (empty lines are skipped)")
            }
            Self::NoHeader => "the first line names the columns".to_owned(),
            Self::Header(_) => "save it with a header line of its own that ends in LF or CRLF".to_owned(),
            _ => return None,
        })
    }

    /// The hint for a problem with the columns.
    fn column_hint(&self) -> Option<String> {
        Some(match self {
            Self::MissingColumn { api, column, there } => missing_column_hint(api, column, there),
            Self::DoubleColumn(_) => "rename one of them, or choose one with input.columns".to_owned(),
            Self::Misfit { column, misfit, .. } => misfit.hint(NamePlace::Column, column),
            Self::SecondHeader(_) => {
                "files were joined: name them one by one in input.path, or give all of them the same columns".to_owned()
            }
            _ => return None,
        })
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

/// A name of a file as a shell takes it.
fn quoted(file: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if file.chars().all(plain) { file.to_owned() } else { format!("'{}'", file.replace('\'', r"'\''")) }
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
    fn a_missing_column_is_reported_with_the_existing_columns_and_the_likely_one() {
        let error = missing("UserID", &["user_id", "mail"]);
        assert_eq!(error.to_string(), "a.csv:1: has no column `UserID`; it has `user_id`, `mail`");
        assert!(error.hint().unwrap().contains("{ UserID = \"user_id\" }"));
    }

    #[test]
    fn names_in_hints_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("data/备份-1.csv"), "data/备份-1.csv");
        assert_eq!(quoted("it's $1.csv"), r"'it'\''s $1.csv'");
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
