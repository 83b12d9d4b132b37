//! One range of rows: everything that is known of them, put in order and written.

use std::borrow::Cow;

use super::ExportError;
use super::lines::{Layout, Line, Lines};
use super::spill::Record;
use crate::domain::line_span::LineSpan;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::row::{RowNo, Tags};
use crate::queue::{Exception, QueueError, SkippedResult};

/// What is known of the rows from `first` to before `end`.
pub(super) struct Rows {
    pub(super) first: RowNo,
    pub(super) end: RowNo,
    /// What requests say, in no order.
    pub(super) records: Vec<u8>,
    /// In row order, as all that follow.
    pub(super) exceptions: Vec<Exception>,
    pub(super) skipped: Vec<SkippedResult>,
    pub(super) line_spans: Vec<LineSpan>,
}

/// What rows are written as.
pub(super) struct Written {
    pub(super) lines: Vec<u8>,
    /// The rows of these lines.
    pub(super) tally: Tally,
    /// All rows.
    pub(super) found: Tally,
}

/// What requests say of one row.
#[derive(Clone, Copy)]
enum Slot<'a> {
    /// None names it.
    Empty,
    /// One does.
    One(Record<'a>),
    /// Several do.
    Several,
}

/// Where a row stands.
struct Place<'a> {
    source: &'a str,
    line: u64,
}

impl Rows {
    /// Writes the rows that are wanted, and counts them; counts all that are found, too. Every row must have one outcome.
    pub(super) fn write(&self, layout: &Layout) -> Result<Written, ExportError> {
        let sources = &layout.sources;
        let mut lines = Lines::new(layout, 2 * self.records.len());
        let (mut tally, mut found) = (Tally::default(), Tally::default());
        let slots = self.slots()?;
        let mut exceptions = self.exceptions.iter().peekable();
        let mut skipped_rows = self.skipped.iter().peekable();
        let mut span = 0;
        for (row, slot) in (self.first..).zip(slots) {
            while self.line_spans.get(span + 1).is_some_and(|next| next.first_row <= row) {
                span += 1;
            }
            let place = place(sources, self.line_spans.get(span), row)?;
            let exception = exceptions.next_if(|exception| exception.row == row);
            let skipped = skipped_rows.next_if(|skipped| skipped.row == row);
            let (outcome, line) = match (slot, skipped, exception) {
                (Slot::One(record), None, exception) => of_record(record, exception, &place)?,
                (Slot::Empty, Some(skipped), None) => of_skipped_row(skipped, sources, &place)?,
                (Slot::Empty, None, _) => return Err(place.missing(row)),
                (Slot::Empty, Some(_), Some(_)) | (Slot::One(_), Some(_), _) | (Slot::Several, _, _) => {
                    return Err(place.doubled(row));
                }
            };
            found[outcome] += 1;
            if layout.only.as_ref().is_none_or(|only| only.contains(&outcome)) {
                tally[outcome] += 1;
                lines.write(&line)?;
            }
        }
        Ok(Written { lines: lines.into_bytes()?, tally, found })
    }

    fn slots(&self) -> Result<Vec<Slot<'_>>, ExportError> {
        let count = usize::try_from(self.end - self.first).unwrap_or(usize::MAX);
        let mut slots = vec![Slot::Empty; count];
        let mut bytes = self.records.as_slice();
        while !bytes.is_empty() {
            let record = Record::decode(&mut bytes).ok_or_else(|| damaged("temporary data"))?;
            let slot = usize::try_from(record.row - self.first).ok();
            let slot = slot.and_then(|slot| slots.get_mut(slot)).ok_or_else(|| damaged("temporary data"))?;
            *slot = match slot {
                Slot::Empty => Slot::One(record),
                Slot::One(_) | Slot::Several => Slot::Several,
            };
        }
        Ok(slots)
    }
}

fn of_record<'a>(
    record: Record<'a>,
    exception: Option<&'a Exception>,
    place: &Place<'a>,
) -> Result<(Outcome, Line<'a>), ExportError> {
    let tags = if record.tags.is_empty() {
        Tags::new()
    } else {
        serde_json::from_str(record.tags).map_err(|_| damaged("temporary data"))?
    };
    let outcome = match (record.outcome, exception) {
        (outcome, None) => outcome,
        (Outcome::Succeeded, Some(exception)) => exception.outcome,
        // Pending in a request and ended beside it.
        (_, Some(_)) => return Err(place.doubled(record.row)),
    };
    let line = Line {
        source: place.source,
        number: place.line,
        from: Some(record.from),
        account: Some(record.account),
        tags: Cow::Owned(tags),
        outcome,
        code: exception.and_then(|exception| exception.code),
        reason: exception.map_or(record.earlier, |exception| &exception.reason).into(),
        attempts: record.attempts,
        finished_at: record.finished_at,
    };
    Ok((outcome, line))
}

fn of_skipped_row<'a>(
    skipped: &'a SkippedResult,
    sources: &[String],
    at: &Place<'a>,
) -> Result<(Outcome, Line<'a>), ExportError> {
    let reason = match &skipped.duplicate_of {
        Some(original) => {
            let original = place(sources, Some(&original.span), original.row)?;
            Cow::Owned(format!("duplicate of {original}"))
        }
        None => Cow::Borrowed(skipped.reason.as_deref().unwrap_or_default()),
    };
    let line = Line {
        source: at.source,
        number: at.line,
        from: skipped.from.as_deref(),
        account: skipped.account.as_deref(),
        tags: Cow::Borrowed(&skipped.tags),
        outcome: skipped.outcome,
        code: None,
        reason,
        attempts: 0,
        finished_at: None,
    };
    Ok((skipped.outcome, line))
}

fn place<'a>(sources: &'a [String], span: Option<&LineSpan>, row: RowNo) -> Result<Place<'a>, ExportError> {
    let nowhere = || damaged(&format!("the line of row {row}"));
    let span = span.filter(|span| span.first_row <= row).ok_or_else(nowhere)?;
    let source = usize::try_from(span.source).ok().and_then(|source| sources.get(source));
    Ok(Place { source: source.ok_or_else(nowhere)?, line: span.line_of(row) })
}

fn damaged(what: &str) -> ExportError {
    QueueError::Damaged(format!("{what} can't be read back")).into()
}

impl Place<'_> {
    fn missing(&self, row: RowNo) -> ExportError {
        let place = self.to_string();
        ExportError::Missing { row, place }
    }

    fn doubled(&self, row: RowNo) -> ExportError {
        let place = self.to_string();
        ExportError::Doubled { row, place }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}
