//! One range of rows: its rows are put in order, completed and formatted.

use std::borrow::Cow;

use super::ExportError;
use super::lines::{Layout, ResultRow, RowWriter};
use super::spill::SentRow;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::own_row::OwnRow;
use crate::domain::request::row::{FieldValues, RowNo};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::queue::{QueueError, RowOutcome, SkippedResult, VerifiedRow};

/// Everything that is known of the rows from `first` up to, but without, `end`.
pub(super) struct RowRange {
    pub(super) first: RowNo,
    pub(super) end: RowNo,
    /// Encoded [`SentRow`]s, unordered.
    pub(super) sent_rows: Vec<u8>,
    /// In row order, like the lists below.
    pub(super) exceptions: Vec<RowOutcome>,
    pub(super) skipped: Vec<SkippedResult>,
    pub(super) line_spans: Vec<LineSpan>,
    pub(super) verified: Vec<VerifiedRow>,
    /// The user's own columns of each row; empty if they are not exported.
    pub(super) own_rows: Vec<Option<OwnRow>>,
}

/// The formatted rows of a range.
pub(super) struct FormattedRange {
    /// The lines of each output.
    pub(super) parts: Vec<Vec<u8>>,
    /// The formatted rows by outcome.
    pub(super) tally: Tally,
    /// All rows of the range by outcome.
    pub(super) found: Tally,
}

/// How many requests contain a row.
#[derive(Clone, Copy)]
enum FoundRow<'a> {
    /// None.
    None,
    /// One, as it must be unless the row is skipped.
    One(SentRow<'a>),
    /// Several, which is damage.
    Several,
}

/// The file and line of a row.
struct SourceLine<'a> {
    row: RowNo,
    number: u32,
    source: &'a str,
    line: u64,
}

impl RowRange {
    /// Formats the rows that the layout asks for, and counts all rows. Every row must have exactly one outcome.
    pub(super) fn format(&self, layout: &Layout) -> Result<FormattedRange, ExportError> {
        let sources = &layout.sources;
        // Most rows have the same outcome, so the first part is usually the only one that is large.
        let bytes = |part| if part == 0 { 2 * self.sent_rows.len() } else { 0 };
        let mut parts: Vec<_> = (0..layout.parts()).map(|part| RowWriter::new(layout, bytes(part))).collect();
        let (mut tally, mut found) = (Tally::default(), Tally::default());
        let found_rows = self.found_rows()?;
        let mut exceptions = self.exceptions.iter().peekable();
        let mut skipped_rows = self.skipped.iter().peekable();
        let mut verified_rows = self.verified.iter().peekable();
        let mut span = 0;
        for (row, found_row) in (self.first..).zip(found_rows) {
            while self.line_spans.get(span + 1).is_some_and(|next| next.first_row <= row) {
                span += 1;
            }
            let source_line = source_line(sources, self.line_spans.get(span), row)?;
            let exception = exceptions.next_if(|exception| exception.row == row);
            let skipped = skipped_rows.next_if(|skipped| skipped.row == row);
            let verified = verified_rows.next_if(|verified| verified.row == row);
            let (outcome, mut line) = match (found_row, skipped, exception) {
                (FoundRow::One(sent_row), None, exception) => of_sent_row(sent_row, exception, &source_line)?,
                (FoundRow::None, Some(skipped), None) => of_skipped_row(skipped, sources, &source_line)?,
                (FoundRow::None, None, _) => return Err(source_line.missing(row)),
                (FoundRow::None, Some(_), Some(_)) | (FoundRow::One(_), Some(_), _) | (FoundRow::Several, _, _) => {
                    return Err(source_line.doubled(row));
                }
            };
            line.own = usize::try_from(row - self.first).ok().and_then(|at| self.own_rows.get(at)?.as_ref());
            line.verified = verified.map(|verified| (verified.verified, verified.at));
            found[outcome] += 1;
            if let Some(part) = layout.part_of(outcome) {
                tally[outcome] += 1;
                parts[part].write(&line)?;
            }
        }
        let parts = parts.into_iter().map(RowWriter::into_bytes).collect::<Result<_, _>>()?;
        Ok(FormattedRange { parts, tally, found })
    }

    fn found_rows(&self) -> Result<Vec<FoundRow<'_>>, ExportError> {
        let count = usize::try_from(self.end - self.first).unwrap_or(usize::MAX);
        let mut found_rows = vec![FoundRow::None; count];
        let mut bytes = self.sent_rows.as_slice();
        while !bytes.is_empty() {
            let sent_row = SentRow::decode(&mut bytes).ok_or_else(|| damaged("temporary data"))?;
            let found_row = usize::try_from(sent_row.row - self.first).ok();
            let found_row = found_row
                .and_then(|found_row| found_rows.get_mut(found_row))
                .ok_or_else(|| damaged("temporary data"))?;
            *found_row = match found_row {
                FoundRow::None => FoundRow::One(sent_row),
                FoundRow::One(_) | FoundRow::Several => FoundRow::Several,
            };
        }
        Ok(found_rows)
    }
}

fn of_sent_row<'a>(
    sent_row: SentRow<'a>,
    exception: Option<&'a RowOutcome>,
    source_line: &SourceLine<'a>,
) -> Result<(Outcome, ResultRow<'a>), ExportError> {
    let fields = if sent_row.fields.is_empty() {
        FieldValues::new()
    } else {
        serde_json::from_str(sent_row.fields).map_err(|_| damaged("temporary data"))?
    };
    let outcome = match (sent_row.outcome, exception) {
        (outcome, None) => outcome,
        (Outcome::Succeeded, Some(exception)) => exception.outcome,
        // The request is pending, but an exception gives the row a final outcome.
        (_, Some(_)) => return Err(source_line.doubled(sent_row.row)),
    };
    let line = ResultRow {
        row: sent_row.row,
        input: source_line.number,
        source: source_line.source,
        number: source_line.line,
        from: Some(sent_row.from),
        account: Some(sent_row.account),
        fields: Cow::Owned(fields),
        outcome,
        code: exception.and_then(|exception| exception.code),
        reason: exception.map_or(sent_row.earlier, |exception| &exception.reason).into(),
        attempts: sent_row.attempts,
        finished_at: sent_row.finished_at,
        verified: None,
        own: None,
    };
    Ok((outcome, line))
}

fn of_skipped_row<'a>(
    skipped: &'a SkippedResult,
    sources: &[String],
    at: &SourceLine<'a>,
) -> Result<(Outcome, ResultRow<'a>), ExportError> {
    let reason = match &skipped.duplicate_of {
        Some(original) => {
            let original = source_line(sources, Some(&original.span), original.row)?;
            Cow::Owned(format!("duplicate of {original}"))
        }
        None => Cow::Borrowed(skipped.reason.as_deref().unwrap_or_default()),
    };
    let line = ResultRow {
        row: at.row,
        input: at.number,
        source: at.source,
        number: at.line,
        from: skipped.from.as_deref(),
        account: skipped.account.as_deref(),
        fields: Cow::Borrowed(&skipped.fields),
        outcome: skipped.outcome,
        code: None,
        reason,
        attempts: 0,
        finished_at: None,
        verified: None,
        own: None,
    };
    Ok((skipped.outcome, line))
}

fn source_line<'a>(sources: &'a [String], span: Option<&LineSpan>, row: RowNo) -> Result<SourceLine<'a>, ExportError> {
    let nowhere = || damaged(&format!("the line of row {row}"));
    let span = span.filter(|span| span.first_row <= row).ok_or_else(nowhere)?;
    let number = span.source;
    let source = usize::try_from(number).ok().and_then(|source| sources.get(source));
    Ok(SourceLine { row, number, source: source.ok_or_else(nowhere)?, line: span.line_of(row) })
}

fn damaged(what: &str) -> ExportError {
    QueueError::Damaged(format!("{what} cannot be read back")).into()
}

impl SourceLine<'_> {
    fn missing(&self, row: RowNo) -> ExportError {
        let source_line = self.to_string();
        ExportError::Missing { row, source_line }
    }

    fn doubled(&self, row: RowNo) -> ExportError {
        let source_line = self.to_string();
        ExportError::Doubled { row, source_line }
    }
}

impl std::fmt::Display for SourceLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}
