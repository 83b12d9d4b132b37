//! Formats result rows as CSV and JSONL. Values are written unchanged, also where a spreadsheet would read a formula.

use std::borrow::Cow;
use std::sync::Arc;

use csv::QuoteStyle;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::ExportError;
use super::own_rows::OwnLayout;
use super::{Division, ExportOptions, Format};
use crate::certificate::{CertifiedRow, LeafRow, LeafSource};
use crate::domain::operation::{BoundOperation, InputShape};
use crate::domain::request::own_row::{OwnCell, OwnRow, OwnValues};
use crate::domain::request::row::{FieldValues, RowNo};
use crate::domain::response::codes::class_of_row;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;
use crate::domain::results;
use crate::domain::timestamp::rfc3339;

/// A result row.
pub(super) struct ResultRow<'a> {
    pub(super) row: RowNo,
    /// The number of the input file.
    pub(super) input: u32,
    pub(super) source: &'a str,
    pub(super) number: u64,
    pub(super) from: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) fields: Cow<'a, FieldValues>,
    pub(super) outcome: Outcome,
    pub(super) code: Option<i64>,
    pub(super) reason: Cow<'a, str>,
    pub(super) attempts: u32,
    pub(super) finished_at: Option<i64>,
    /// What the last verification showed, and when.
    pub(super) verified: Option<(Verified, i64)>,
    /// The user's own columns; none if they are not exported, and for rows that were carried over.
    pub(super) own: Option<&'a OwnRow>,
}

impl<'a> ResultRow<'a> {
    /// The operation's ids in their sequence.
    fn ids(&self, operation: &BoundOperation) -> impl Iterator<Item = Option<&'a str>> {
        operation.shape.from.map(|_| self.from).into_iter().chain([self.account])
    }

    /// What the input has for the row.
    fn own_values(&self) -> Option<&'a OwnValues> {
        self.own.map(|own| &own.values)
    }
}

/// The columns of the results, and which rows they contain.
pub(super) struct Layout {
    format: Format,
    /// What makes leaves of the rows, if they are exported as leaves instead of in the format.
    leaves: Option<Arc<LeafSource>>,
    operation: BoundOperation,
    /// The columns of fields; empty for operations without fields.
    fields: Vec<String>,
    /// The names of the input files.
    pub(super) sources: Vec<String>,
    /// The outcomes whose rows are exported.
    outcomes: Vec<Outcome>,
    division: Division,
    /// The user's own columns, in place of the operation's.
    own: Option<OwnLayout>,
}

/// Formats result rows into memory.
pub(super) struct RowWriter<'a> {
    layout: &'a Layout,
    out: Buffer,
    finished: TimeCache,
    verified: TimeCache,
}

enum Buffer {
    Csv(Box<CsvCells>),
    Jsonl(Vec<u8>),
    Leaves(Vec<u8>, Arc<LeafSource>),
}

/// The last formatted time: neighbouring rows usually share it.
#[derive(Default)]
struct TimeCache {
    at: Option<i64>,
    text: String,
}

impl Layout {
    pub(super) fn new(
        (options, leaves): (&ExportOptions<'_>, Option<Arc<LeafSource>>),
        operation: BoundOperation,
        fields: Vec<String>,
        sources: Vec<String>,
        own: Option<OwnLayout>,
    ) -> Self {
        let (format, division, outcomes) = (options.format, options.division, options.outcomes());
        Self { format, leaves, operation, fields, sources, outcomes, division, own }
    }

    /// The number of outputs.
    pub(super) fn parts(&self) -> usize {
        match self.division {
            Division::None => 1,
            Division::ByOutcome => self.outcomes.len(),
        }
    }

    /// The output of a row with this outcome; none if it is not exported.
    pub(super) fn part_of(&self, outcome: Outcome) -> Option<usize> {
        let part = self.outcomes.iter().position(|exported| *exported == outcome)?;
        match self.division {
            Division::None => Some(0),
            Division::ByOutcome => Some(part),
        }
    }

    /// The header of CSV; empty for JSONL.
    pub(super) fn head(&self) -> Result<Vec<u8>, ExportError> {
        let mut lines = RowWriter::new(self, 0);
        if let Buffer::Csv(cells) = &mut lines.out {
            if let Some(own) = &self.own {
                let columns = own.columns.iter().map(String::as_str).chain(results::ADDED);
                cells.csv.write_record(columns.map(|name| quoted(name, own.delimiter).into_owned())).map_err(fail)?;
                return lines.into_bytes();
            }
            let mut columns: Vec<&str> = results::PLACE.into_iter().chain(self.operation.shape.columns()).collect();
            let of_row = results::OUTCOME.into_iter().chain(results::VERIFIED).chain([results::CLASS]);
            columns.extend(self.fields.iter().map(String::as_str).chain(of_row));
            cells.csv.write_record(columns).map_err(fail)?;
        }
        lines.into_bytes()
    }
}

impl<'a> RowWriter<'a> {
    /// A writer with a buffer of `bytes` bytes, which grows if they are not enough.
    pub(super) fn new(layout: &'a Layout, bytes: usize) -> Self {
        let out = Vec::with_capacity(bytes);
        let out = match (&layout.leaves, layout.format) {
            (None, Format::Csv) => {
                let mut csv = csv::WriterBuilder::new();
                if let Some(own) = &layout.own {
                    // The user's own cells keep their quotes, so the cells are quoted here.
                    csv.delimiter(own.delimiter).quote_style(QuoteStyle::Never);
                }
                Buffer::Csv(Box::new(CsvCells { csv: csv.from_writer(out), digits: Vec::new() }))
            }
            (None, Format::Jsonl) => Buffer::Jsonl(out),
            (Some(source), _) => Buffer::Leaves(out, Arc::clone(source)),
        };
        Self { layout, out, finished: TimeCache::default(), verified: TimeCache::default() }
    }

    pub(super) fn write(&mut self, line: &ResultRow<'_>) -> Result<(), ExportError> {
        if let Buffer::Leaves(out, source) = &mut self.out {
            source.append(line.leaf_row(&self.layout.operation.shape), out);
            return Ok(());
        }
        let class = line.code.map(|code| class_of_row(&self.layout.operation, line.outcome, code).name());
        let finished_at = line.finished_at.map_or("", |at| self.finished.text(at));
        let verified = line.verified.map(|(verified, at)| (verified.name(), self.verified.text(at)));
        let texts = LineTexts { finished_at, verified, class };
        match &mut self.out {
            Buffer::Csv(cells) => cells.write(self.layout, line, &texts).map_err(fail),
            Buffer::Jsonl(out) => {
                let object = ResultObject { layout: self.layout, line, texts };
                serde_json::to_writer(&mut *out, &object).map_err(|error| ExportError::Output(error.into()))?;
                out.push(b'\n');
                Ok(())
            }
            Buffer::Leaves(..) => unreachable!("leaves are appended above"),
        }
    }

    pub(super) fn into_bytes(self) -> Result<Vec<u8>, ExportError> {
        match self.out {
            Buffer::Csv(cells) => cells.csv.into_inner().map_err(|error| ExportError::Output(error.into_error())),
            Buffer::Jsonl(out) | Buffer::Leaves(out, _) => Ok(out),
        }
    }
}

impl ResultRow<'_> {
    fn leaf_row(&self, shape: &InputShape) -> LeafRow<'_> {
        LeafRow {
            facts: CertifiedRow {
                row: self.row,
                input: self.input,
                line: self.number,
                outcome: self.outcome,
                code: self.code,
                finished_at: self.finished_at,
                verified: self.verified,
            },
            from: shape.from.map(|_column| self.from),
            account: self.account,
        }
    }
}

fn fail(error: csv::Error) -> ExportError {
    ExportError::Output(std::io::Error::other(error))
}

impl TimeCache {
    fn text(&mut self, at: i64) -> &str {
        if self.at != Some(at) {
            self.at = Some(at);
            self.text = rfc3339(at);
        }
        &self.text
    }
}

/// Texts of a result row that are made for it.
struct LineTexts<'a> {
    finished_at: &'a str,
    /// What the last verification showed, and when.
    verified: Option<(&'a str, &'a str)>,
    class: Option<&'a str>,
}

struct CsvCells {
    csv: csv::Writer<Vec<u8>>,
    /// The number that is written next.
    digits: Vec<u8>,
}

impl CsvCells {
    fn write(&mut self, layout: &Layout, line: &ResultRow<'_>, texts: &LineTexts<'_>) -> Result<(), csv::Error> {
        if let Some(own) = &layout.own {
            self.own(own, layout, line)?;
        }
        let quoted_if_own = |text| layout.own.as_ref().map_or(Cow::Borrowed(text), |own| quoted(text, own.delimiter));
        self.csv.write_field(&*quoted_if_own(line.source))?;
        self.number(line.number)?;
        if layout.own.is_none() {
            self.api_columns(layout, line)?;
        }
        self.csv.write_field(line.outcome.name())?;
        match line.code {
            Some(code) => self.number(code)?,
            None => self.csv.write_field("")?,
        }
        self.csv.write_field(&*quoted_if_own(&line.reason))?;
        self.number(line.attempts)?;
        self.csv.write_field(texts.finished_at)?;
        let (verified, verified_at) = texts.verified.unwrap_or_default();
        self.csv.write_field(verified)?;
        self.csv.write_field(verified_at)?;
        self.csv.write_field(texts.class.unwrap_or_default())?;
        self.csv.write_record(None::<&[u8]>)
    }

    /// The operation's columns.
    fn api_columns(&mut self, layout: &Layout, line: &ResultRow<'_>) -> Result<(), csv::Error> {
        line.ids(&layout.operation).try_for_each(|id| self.csv.write_field(id.unwrap_or_default()))?;
        for field in &layout.fields {
            let shape = &layout.operation.shape;
            let cell = line.fields.get(field.as_str()).map(|value| results::cell(&shape.fields, field, value));
            self.csv.write_field(cell.unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }

    /// The user's own columns. Of a row that is not in the input, only the ids.
    fn own(&mut self, own: &OwnLayout, layout: &Layout, line: &ResultRow<'_>) -> Result<(), csv::Error> {
        let cells = match line.own_values() {
            Some(OwnValues::Cells(cells)) => Some(cells),
            Some(OwnValues::Object(_)) | None => None,
        };
        for (at, column) in own.columns.iter().enumerate() {
            let id = || {
                let mut ids = own.ids.iter().zip(line.ids(&layout.operation));
                let id = ids.find(|(id, _)| *id == column).and_then(|(_, id)| id);
                quoted(id.unwrap_or_default(), own.delimiter)
            };
            let cell = match cells {
                Some(cells) => match cells.get(at).and_then(Option::as_ref) {
                    Some(OwnCell { text, is_quoted: true }) => in_quotes(text).into(),
                    Some(OwnCell { text, is_quoted: false }) => text.into(),
                    None => "".into(),
                },
                None => id(),
            };
            self.csv.write_field(&*cell)?;
        }
        Ok(())
    }

    /// serde_json writes numbers without the formatting machinery of the standard library.
    fn number(&mut self, number: impl Serialize) -> Result<(), csv::Error> {
        self.digits.clear();
        serde_json::to_writer(&mut self.digits, &number).map_err(std::io::Error::from)?;
        self.csv.write_field(&self.digits)
    }
}

struct ResultObject<'a> {
    layout: &'a Layout,
    line: &'a ResultRow<'a>,
    texts: LineTexts<'a>,
}

impl Serialize for ResultObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { layout, line, texts } = self;
        let mut object = serializer.serialize_map(None)?;
        let [source, number, outcome, code, reason, attempts, finished_at, of_verified, of_verified_at, of_class] =
            if layout.own.is_some() { results::ADDED } else { results::ALL };
        if let Some(own) = &layout.own {
            own_entries(own, layout, line, &mut object)?;
        }
        object.serialize_entry(source, line.source)?;
        object.serialize_entry(number, &line.number)?;
        if layout.own.is_none() {
            for (column, id) in layout.operation.shape.columns().zip(line.ids(&layout.operation)) {
                object.serialize_entry(column, &id)?;
            }
            for (field, value) in line.fields.iter() {
                object.serialize_entry(field, value)?;
            }
        }
        object.serialize_entry(outcome, line.outcome.name())?;
        object.serialize_entry(code, &line.code)?;
        object.serialize_entry(reason, &line.reason)?;
        object.serialize_entry(attempts, &line.attempts)?;
        object.serialize_entry(finished_at, &line.finished_at.map(|_| texts.finished_at))?;
        let (verified, verified_at) = texts.verified.unzip();
        object.serialize_entry(of_verified, &verified)?;
        object.serialize_entry(of_verified_at, &verified_at)?;
        object.serialize_entry(of_class, &texts.class)?;
        object.end()
    }
}

/// A cell in quotes if it needs them.
fn quoted(text: &str, delimiter: u8) -> Cow<'_, str> {
    let needs_quotes = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if text.bytes().any(needs_quotes) { in_quotes(text).into() } else { text.into() }
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The user's own keys. Of a row that is not in the input, only the ids.
fn own_entries<M: SerializeMap>(
    own: &OwnLayout,
    layout: &Layout,
    line: &ResultRow<'_>,
    object: &mut M,
) -> Result<(), M::Error> {
    match line.own_values() {
        Some(OwnValues::Object(values)) => {
            values.iter().try_for_each(|(key, value)| object.serialize_entry(key, value))
        }
        Some(OwnValues::Cells(cells)) => {
            let mut cells = own.columns.iter().zip(cells);
            cells.try_for_each(|(column, cell)| {
                cell.iter().try_for_each(|cell| object.serialize_entry(column, &cell.text))
            })
        }
        None => {
            let mut ids = own.ids.iter().zip(line.ids(&layout.operation));
            ids.try_for_each(|(column, id)| object.serialize_entry(column, &id))
        }
    }
}
