//! JSONL: a record a line, flat or in the shape of the API's own request body.

mod fields;
mod object;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use crate::domain::job::Encoding;
use crate::domain::operation::ItemPlace;
use crate::domain::request::row::FieldValues;
use crate::domain::results;

use serde_json::value::RawValue;

use super::columns::Columns;
use super::encoding::REPLACEMENT;
use super::error::{InputError, Problem};
use super::own_cells::{OwnCells, OwnObject, OwnSink};
use super::row::{Fault, Sink};
use object::JsonLine;

/// The longest record in bytes. The largest body that the API can take, 1000 updates with long custom fields, has a
/// few MB.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Reads all rows.
///
/// A line that is no record is rejected by itself, but a file that is written in another way as a whole is refused with
/// what it is: one list, objects with commas between them, or objects that span lines.
pub(super) fn read(name: &str, text: impl Read, columns: &Columns<'_>, sink: &mut Sink<'_>) -> Result<(), InputError> {
    let mut text = BufReader::with_capacity(64 * 1024, text);
    let mut line = Vec::new();
    let mut lines = JsonLines { name, columns, started: false, unfinished: None };
    for number in 1.. {
        let unreadable = |error| InputError::of_read(name, Some(number), error);
        let flow = match read_line(&mut text, &mut line).map_err(unreadable)? {
            None => {
                lines.end(sink);
                break;
            }
            Some(Length::Fits) => lines.read(number, line.trim_ascii(), sink)?,
            Some(Length::Exceeds) => {
                let fault = Fault::new("the line is longer than 16 MiB");
                sink(Err(fault.into_row(number, None, None, FieldValues::new())))
            }
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Hands over the keys of each line that [`read`] takes a row from, as they are in the file. There are none of a line
/// that is no object.
///
/// # Errors
/// A line has a list of items: its keys belong to several rows.
pub(super) fn read_own(
    name: &str,
    text: impl Read,
    columns: &Columns<'_>,
    sink: &mut OwnSink<'_>,
) -> Result<(), InputError> {
    let mut text = BufReader::with_capacity(64 * 1024, text);
    let mut line = Vec::new();
    for number in 1.. {
        let unreadable = |error| InputError::of_read(name, Some(number), error);
        let object = match read_line(&mut text, &mut line).map_err(unreadable)? {
            None => break,
            Some(Length::Fits) if line.trim_ascii().is_empty() => continue,
            Some(Length::Fits) => own_object(&line),
            Some(Length::Exceeds) => OwnObject::default(),
        };
        let is_list_of_items = |(key, value): &(String, Box<RawValue>)| {
            let is_items = match columns.items {
                ItemPlace::Body => false,
                ItemPlace::Ids => key == columns.account.api || key == columns.account.file,
                ItemPlace::Objects { list } => key == list,
            };
            is_items && value.get().starts_with('[')
        };
        if object.0.iter().any(is_list_of_items) {
            return Err(InputError::at(name, number, Problem::ItemList));
        }
        let own = object.0.into_iter().filter(|(key, _)| !results::is_added(key));
        if sink(number, OwnCells::Json(own.collect())).is_break() {
            break;
        }
    }
    Ok(())
}

/// The object of a line; empty if it is none, or if bytes of it are no text.
fn own_object(line: &[u8]) -> OwnObject {
    let line = str::from_utf8(line).ok().filter(|line| !line.contains(REPLACEMENT));
    line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

/// The records that [`keys`] looks at.
const SAMPLED_RECORDS: usize = 100;

/// The keys of the first objects and of the objects in their lists, each once, in the order of the text. A line that is
/// no object adds none: [`read`] reports what is wrong with it.
pub(super) fn keys(name: &str, text: impl Read) -> Result<Vec<String>, InputError> {
    let mut text = BufReader::new(text);
    let (mut line, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLED_RECORDS {
        match read_line(&mut text, &mut line).map_err(|error| InputError::of_read(name, None, error))? {
            None => break,
            Some(Length::Fits) => add_keys(&serde_json::from_slice(&line).unwrap_or_default(), &mut keys),
            Some(Length::Exceeds) => {}
        }
    }
    Ok(keys)
}

fn add_keys(record: &serde_json::Value, keys: &mut Vec<String>) {
    for (key, value) in record.as_object().into_iter().flatten() {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        value.as_array().into_iter().flatten().for_each(|item| add_keys(item, keys));
    }
}

struct JsonLines<'a> {
    name: &'a str,
    columns: &'a Columns<'a>,
    /// Whether a line that is not blank was read.
    started: bool,
    /// A first record that ended before it was complete: it may go on in the next line.
    unfinished: Option<(u64, Fault)>,
}

impl JsonLines<'_> {
    fn read(&mut self, number: u64, line: &[u8], sink: &mut Sink<'_>) -> Result<ControlFlow<()>, InputError> {
        if line.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let first = !std::mem::replace(&mut self.started, true);
        if first && !line.starts_with(b"{") {
            let problem = if line.starts_with(b"[") { Problem::JsonList } else { Problem::NotJson };
            return Err(InputError::at(self.name, number, problem));
        }
        if let Some((start, fault)) = self.unfinished.take() {
            if !line.starts_with(b"{") {
                return Err(InputError::at(self.name, start, Problem::JsonSpansLines));
            }
            if sink(Err(fault.into_row(start, None, None, FieldValues::new()))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let error = match read_record(number, line, self.columns, sink) {
            Ok(flow) => return Ok(flow),
            Err(error) => error,
        };
        let fault = object::syntax(&error);
        if first && error.is_eof() {
            self.unfinished = Some((number, fault));
            return Ok(ControlFlow::Continue(()));
        }
        if first && let Some(problem) = shape_of(line) {
            return Err(InputError::at(self.name, number, problem));
        }
        Ok(sink(Err(fault.into_row(number, None, None, FieldValues::new()))))
    }

    /// Nothing follows.
    fn end(self, sink: &mut Sink<'_>) {
        if let Some((start, fault)) = self.unfinished {
            // Whether it wants more does not matter any more.
            let _flow = sink(Err(fault.into_row(start, None, None, FieldValues::new())));
        }
    }
}

/// How a file is written whose first line is more than one object.
fn shape_of(line: &[u8]) -> Option<Problem> {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    match line.get(values.byte_offset()..)?.trim_ascii_start().first()? {
        b',' => Some(Problem::JsonCommas),
        b'{' => Some(Problem::JsonJoined),
        _ => None,
    }
}

enum Length {
    Fits,
    Exceeds,
}

/// Reads the next line into `line`; of one that is too long, no more than is allowed. None at the end.
fn read_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Length>> {
    line.clear();
    let read = text.by_ref().take(MAX_RECORD_BYTES).read_until(b'\n', line)?;
    if read as u64 == MAX_RECORD_BYTES && line.last() != Some(&b'\n') {
        text.skip_until(b'\n')?;
        return Ok(Some(Length::Exceeds));
    }
    Ok((read > 0).then_some(Length::Fits))
}

/// Hands over the rows of a line. An error means that it is no JSON object.
fn read_record(
    number: u64,
    line: &[u8],
    columns: &Columns<'_>,
    sink: &mut Sink<'_>,
) -> Result<ControlFlow<()>, serde_json::Error> {
    let json = String::from_utf8_lossy(line);
    let damaged = match (&json, columns.encoding) {
        (Cow::Owned(_), Encoding::Utf8) => true,
        (Cow::Borrowed(_), Encoding::Utf8) => false,
        (json, Encoding::Gbk) => json.contains(REPLACEMENT),
    };
    let line = JsonLine { number, json: &json, damaged };
    object::read(line, columns, sink)
}
