//! JSONL: a record a line, flat or in the shape of the API's own request body.

mod fields;
mod record;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use crate::domain::job::Encoding;
use crate::domain::row::Tags;

use super::columns::Columns;
use super::compression::read_problem;
use super::encoding::REPLACEMENT;
use super::error::{InputError, Problem};
use super::row::{Fault, Sink};
use record::Line;

/// The longest record in bytes. The largest body that the API can take, 1000 updates with long custom fields, has a
/// few MB.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Reads all rows.
pub(super) fn read(name: &str, text: impl Read, columns: &Columns<'_>, sink: &mut Sink<'_>) -> Result<(), InputError> {
    let mut text = BufReader::with_capacity(64 * 1024, text);
    let mut line = Vec::new();
    let mut started = false;
    for number in 1.. {
        let unreadable = |error| InputError::at(name, number, read_problem(error));
        let Some(length) = read_line(&mut text, &mut line).map_err(unreadable)? else {
            break;
        };
        let flow = match length {
            Length::Fits => {
                let line = line.trim_ascii();
                if !started && line.starts_with(b"[") {
                    return Err(InputError::at(name, number, Problem::JsonList));
                }
                started |= !line.is_empty();
                read_record(number, line, columns, sink)
            }
            Length::Exceeds => {
                let fault = Fault::new("the record is longer than 16 MiB");
                sink(Err(fault.into_row(number, None, None, Tags::new())))
            }
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
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

fn read_record(number: u64, line: &[u8], columns: &Columns<'_>, sink: &mut Sink<'_>) -> ControlFlow<()> {
    if line.is_empty() {
        return ControlFlow::Continue(());
    }
    let json = String::from_utf8_lossy(line);
    let damaged = match (&json, columns.encoding) {
        (Cow::Owned(_), Encoding::Utf8) => true,
        (Cow::Borrowed(_), Encoding::Utf8) => false,
        (json, Encoding::Gbk) => json.contains(REPLACEMENT),
    };
    let line = Line { number, json: &json, damaged };
    record::read(line, columns, sink)
}
