//! Outcomes of rows that cannot be derived from the state of a request.

use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::{FieldValues, RowNo};
use crate::domain::response::outcome::Outcome;

/// A row of a settled request whose outcome is not success without a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// The row.
    pub row: RowNo,
    /// Its outcome.
    pub outcome: Outcome,
    /// The code that decided it.
    pub code: Option<i64>,
    /// The reason in words.
    pub reason: String,
}

/// A skipped row, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedResult {
    /// The row.
    pub row: RowNo,
    /// Rejected, duplicate or protected.
    pub outcome: Outcome,
    /// The earlier row that it repeats.
    pub duplicate_of: Option<Original>,
    /// The column at fault, if there is one.
    pub column: Option<String>,
    /// The reason in words.
    pub reason: Option<String>,
    /// As it is in the file.
    pub from: Option<String>,
    /// As it is in the file.
    pub account: Option<String>,
    /// As far as they were read before the row was rejected.
    pub fields: FieldValues,
}

/// The row that a duplicate repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// The row.
    pub row: RowNo,
    /// The span that it belongs to.
    pub span: LineSpan,
}
