//! What the tests of this module share: a job's input, and rows in a form that can be compared.

use std::ops::ControlFlow;

use crate::domain::job::{Encoding, InputSettings, RejectPolicy, UnusualIds};
use crate::domain::operation::{self, InputShape};

use super::error::InputError;
use super::open::spool;
use super::source::Source;

/// The shape of an operation.
pub(super) fn shape(operation: &str) -> InputShape {
    operation::by_name(operation).unwrap().shape
}

/// UTF-8 with these columns.
pub(super) fn input(columns: &[(&str, &str)]) -> InputSettings {
    let columns = columns.iter().map(|(api, file)| ((*api).to_owned(), (*file).to_owned()));
    InputSettings {
        paths: Vec::new(),
        columns: columns.collect(),
        encoding: Encoding::Utf8,
        delimiter: None,
        rejects: RejectPolicy::Count,
        unusual_ids: UnusualIds::Reject,
    }
}

pub(super) fn source(name: &str, bytes: &[u8]) -> Source {
    spool(name, bytes, &std::env::temp_dir()).unwrap()
}

/// Rows as text, one each: `2 a>b {"Tag":…}` or `2 bad a>b column: reason`.
pub(super) fn rows_with(
    operation: &str,
    name: &str,
    bytes: &[u8],
    input: &InputSettings,
) -> Result<Vec<String>, InputError> {
    let mut rows = Vec::new();
    source(name, bytes).read(&shape(operation), input, &mut |row| {
        rows.push(match row {
            Ok(row) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let from = row.from.map(|from| text(from) + ">").unwrap_or_default();
                format!("{} {from}{} {}", row.line, text(row.account), text(row.fields)).trim_end().to_owned()
            }
            Err(bad) => {
                let from = bad.from.map(|from| format!("{from}>")).unwrap_or_default();
                let account = bad.account.unwrap_or_default();
                format!("{} bad {from}{account}: {}", bad.line, bad.reason)
            }
        });
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

pub(super) fn rows(operation: &str, name: &str, text: &str) -> Vec<String> {
    rows_with(operation, name, text.as_bytes(), &input(&[])).unwrap()
}
