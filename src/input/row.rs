//! The rules that every row keeps, whatever it was read from.

use std::fmt::Display;

use crate::domain::job::{Encoding, UnusualIds};
use crate::domain::operation::{self, FieldLack};
use crate::domain::request::account::UserId;
use crate::domain::request::row::{FieldValue, FieldValues, RejectedRow, RowRef};
use crate::domain::unusual_id;

use super::columns::{Column, Columns};
use super::encoding;

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The API's name of the column at fault, where one is.
    pub(super) column: Option<String>,
    /// The reason, as a lower-case fragment.
    pub(super) reason: String,
    /// Whether what was read of the row breaks the same rule again when its results are used as input. Else nothing of
    /// it is kept: a guess at an id, or a row without what made it rejected, would be sent.
    kept: bool,
}

impl Fault {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self::in_column(None, reason)
    }

    /// `column` is the API's name of the column at fault, where one is.
    pub(super) fn in_column(column: Option<String>, reason: impl Into<String>) -> Self {
        Self { column, reason: reason.into(), kept: false }
    }

    /// `what` goes on from the column's name: "has 40 bytes, …".
    pub(super) fn of(column: &str, what: impl Display) -> Self {
        Self::in_column(Some(column.to_owned()), format!("`{column}` {what}"))
    }

    /// Lets what was read of the row come back in the results.
    #[must_use]
    pub(super) fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// The row with this fault, and what could be read of it.
    pub(super) fn into_row(
        self,
        line: u64,
        from: Option<String>,
        account: Option<String>,
        fields: FieldValues,
    ) -> RejectedRow {
        let (from, account, fields) =
            if self.kept { (from, account, fields) } else { (None, None, FieldValues::new()) };
        RejectedRow { line, column: self.column, reason: self.reason, from, account, fields }
    }
}

/// An id that the API takes, and that may be one.
fn check_id(columns: &Columns<'_>, column: Column<'_>, id: &str) -> Result<(), Fault> {
    UserId::check(id).map_err(|error| Fault::of(column.api, error).kept())?;
    match columns.unusual_ids {
        UnusualIds::Allow => Ok(()),
        UnusualIds::Reject => {
            unusual_id::check(id).map_err(|why| unusual(column, why).kept())?;
            check_decoded(columns, column, id)
        }
    }
}

/// Single rows of UTF-8 in a file of GBK, and rows that were converted so before. Of a file of GBK, the bytes come back
/// in no results: as UTF-8 the id would be another one.
fn check_decoded(columns: &Columns<'_>, column: Column<'_>, id: &str) -> Result<(), Fault> {
    if id.is_ascii() {
        return Ok(());
    }
    let Some(utf8) = encoding::likely_utf8(id) else { return Ok(()) };
    Err(match columns.encoding {
        Encoding::Gbk => unusual(column, format_args!("is `{utf8}` in UTF-8, but the job says encoding = \"gbk\"")),
        Encoding::Utf8 => unusual(column, format_args!("is `{utf8}`, read as GBK by the program that wrote it")).kept(),
    })
}

/// A fault of an id that `input.unusual_ids` allows.
pub(super) fn unusual(column: Column<'_>, why: impl Display) -> Fault {
    Fault::of(column.api, format_args!("{why}; input.unusual_ids = \"allow\" accepts such ids"))
}

/// The ids of a row: each one legal, and not the same twice.
pub(super) fn check_ids(columns: &Columns<'_>, from: Option<&str>, account: &str) -> Result<(), Fault> {
    if let (Some(column), Some(from)) = (columns.from, from) {
        check_id(columns, column, from)?;
    }
    check_id(columns, columns.account, account)?;
    if from == Some(account) {
        let twice = Fault::of(columns.account.api, "names the same account twice: it is From_Account, too");
        return Err(twice.kept());
    }
    Ok(())
}

/// Adds a field to what the row sets, or says why it can't.
pub(super) fn set_field(
    columns: &Columns<'_>,
    fields: &mut FieldValues,
    field: &str,
    value: FieldValue,
) -> Result<(), Fault> {
    let legal = columns.fields.check(field, &value);
    if fields.contains_key(field) {
        return Err(Fault::of(field, "is set twice"));
    }
    fields.insert(field.into(), value);
    legal.map_err(|error| Fault::of(field, error).kept())
}

/// The fields of a row as [`RowRef::fields`] has them.
pub(super) fn fields_json(columns: &Columns<'_>, fields: &FieldValues) -> Result<String, Fault> {
    match columns.fields.lack(fields) {
        Some(FieldLack::Any) => Err(Fault::new("would change nothing: no field is set").kept()),
        Some(FieldLack::Field(name)) => Err(Fault::of(name, "is missing").kept()),
        None if columns.fields.is_empty() => Ok(String::new()),
        None => Ok(operation::to_json(fields)),
    }
}

/// What a source hands its rows to, one by one; it answers with `Break` when it wants no more.
pub type Sink<'s> = dyn FnMut(Result<RowRef<'_>, RejectedRow>) -> std::ops::ControlFlow<()> + 's;
