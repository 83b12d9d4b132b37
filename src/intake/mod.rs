//! Intake: from rows in any order to requests ready to store, in bounded memory.
//!
//! ```text
//! row ─► number ─► protected? ─► partition (by account, in memory or spilled)     while rows come
//!                                    └─► group (equals, merges) ─► pack ─► StoredRequest  part by part, at the end
//! ```
//!
//! Equal rows, and all rows of one `From_Account`, meet in one part, so each part can be settled alone. What
//! comes out goes to the sink as soon as it is known.

mod group;
mod line_spans;
mod pack;
mod partition;
mod record;
mod settle;
mod spill;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::domain::account::UserId;
use crate::domain::hint::Hint;
use crate::domain::line_span::LineSpan;
use crate::domain::operation::{FieldsRequired, InputShape};
use crate::domain::row::{BadRow, RowNo, RowRef, Tags};
use crate::domain::skipped_row::{SkipReason, SkippedRow};
use crate::stored_request::StoredRequest;
use line_spans::LineSpans;
use partition::{Partitions, Spread};
use record::Record;

/// The budget for rows that wait in memory. With the tables of the part at work the whole of intake stays
/// below 64 MiB.
pub const MEMORY: usize = 40 << 20;

/// What intake has to know.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// How the rows of the operation look.
    pub shape: InputShape,
    /// The most items in one request.
    pub items_per_request: NonZeroU32,
    /// Whether an id is on the protected list.
    pub protects: &'a dyn Fn(&[u8]) -> bool,
    /// Where rows wait that do not fit in memory; nothing is written there for small inputs.
    pub temp_dir: &'a Path,
    /// About how large the input is, in bytes; only speed depends on it.
    pub expected_bytes: u64,
    /// How many bytes of rows may wait in memory: [`MEMORY`].
    pub memory: usize,
    /// The most bytes of ids and tags in one request: [`BODY_BYTES`](crate::stored_request::BODY_BYTES). An item that is larger goes alone.
    pub body_bytes: usize,
}

/// What comes out of intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Items to be sent together. Those of one `From_Account` follow each other.
    Request(StoredRequest),
    /// A row that is not sent.
    Skipped(SkippedRow),
    /// Where rows stand in their source.
    LineSpan(LineSpan),
}

/// The sink takes nothing more: whoever reads from it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("loading was interrupted")]
pub struct Closed;

/// Whether what is kept of a bad row shows what is wrong with it. The results file can be used as input again, and a
/// row that was rejected for its form must not come out of it as a good one: then its account is left out.
fn breaks_its_rule_again(shape: &InputShape, row: &BadRow) -> bool {
    let good = |id: &Option<String>| id.as_deref().is_some_and(|id| UserId::check(id).is_ok());
    let good_ids = good(&row.account) && (shape.from.is_none() || good(&row.from) && row.from != row.account);
    let bad_tag = row.column.as_deref().is_some_and(|column| row.tags.contains_key(column));
    let changes_nothing = shape.fields.required == FieldsRequired::One && row.tags.is_empty();
    !good_ids || bad_tag || changes_nothing
}

/// What intake did. Every row is in exactly one of `items`, `merged`, `rejected`, `duplicate` and `protected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All rows, good and bad.
    pub rows: u64,
    /// Items to be sent.
    pub items: u64,
    /// Requests that hold them.
    pub requests: u64,
    /// Rows that share the item of an earlier row.
    pub merged: u64,
    /// Rows that break a rule.
    pub rejected: u64,
    /// Rows that say what an earlier row says.
    pub duplicate: u64,
    /// Rows that name a protected id.
    pub protected: u64,
}

impl Counts {
    /// Holds what went out against what came in and, in between, was grouped; fills in `merged`.
    fn add_up(mut self, packed_rows: u64, grouped: u64) -> Result<Self, IntakeError> {
        let accounted = packed_rows + self.rejected + self.duplicate + self.protected;
        if accounted != self.rows || grouped != self.items || packed_rows < grouped {
            return Err(IntakeError::Broken { counts: self, packed_rows, grouped });
        }
        self.merged = packed_rows - grouped;
        Ok(self)
    }
}

/// Why intake could not go on.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// See [`Closed`].
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Rows could not be laid aside on disk.
    #[error(
        "{}: cannot {verb} a temporary file: {error}",
        dir.display()
    )]
    Temp {
        /// The folder.
        dir: PathBuf,
        /// What was tried: `create`, `write` or `read`.
        verb: &'static str,
        /// The system's word on it.
        error: io::Error,
    },
    /// Rows came back otherwise than they were laid aside, or a reader broke the promises of [`RowRef`].
    #[error("row {row} or one soon after it cannot be read back from temporary storage")]
    Damaged {
        /// The last row that was whole.
        row: RowNo,
    },
    /// The different rows of one friend take more than 4 GiB.
    #[error("row {row} is one of too many: more than 4 GiB of rows that cannot be split")]
    Overfull {
        /// The first row that found no room.
        row: RowNo,
    },
    /// A row is lost or counted twice: a fault of this program, found before anything is sent.
    #[error(
        "the numbers do not add up: {} rows came, {packed_rows} are in requests, {} rejected, {} duplicate, {} \
         protected; {grouped} items were found, {} are in requests",
        counts.rows, counts.rejected, counts.duplicate, counts.protected, counts.items
    )]
    Broken {
        /// What was counted.
        counts: Counts,
        /// Rows in requests.
        packed_rows: u64,
        /// Items before they were packed.
        grouped: u64,
    },
}

impl Hint for IntakeError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Temp { .. } => {
                "free disk space there and run again: while the input is loaded, rows that do not fit in memory are kept in \
                 this folder; they take up to three times the unpacked size of the input"
            }
            Self::Damaged { .. } => "check the disk: it may be damaged; nothing was sent",
            Self::Broken { .. } => "nothing was sent; please report this",
            Self::Closed(_) | Self::Overfull { .. } => return None,
        };
        Some(hint.into())
    }
}

/// Takes rows in input order and hands out what becomes of them.
///
/// Segments, rejected and protected rows go to the sink as they come, everything else when
/// [`finish`](Intake::finish) is called.
pub struct Intake<'a, S> {
    plan: Plan<'a>,
    out: Out<S>,
    line_spans: LineSpans,
    waiting: Partitions<'a>,
}

impl<'a, S: FnMut(Output) -> Result<(), Closed>> Intake<'a, S> {
    /// Nothing read yet; `sink` is handed what comes out.
    pub fn new(plan: Plan<'a>, sink: S) -> Self {
        let spread = match plan.shape.from {
            Some(_) => Spread::Lane,
            None => Spread::Account,
        };
        Self {
            plan,
            out: Out { sink, counts: Counts::default() },
            line_spans: LineSpans::default(),
            waiting: Partitions::new(&plan, spread),
        }
    }

    /// Takes the next row, of the source with this index.
    pub fn row(&mut self, source: u32, row: RowRef<'_>) -> Result<(), IntakeError> {
        let number = self.number(source, row.line)?;
        let record = Record { row: number, from: row.from, account: row.account, tags: row.tags };
        let mut ids = row.from.into_iter().chain([row.account]);
        match ids.find(|id| (self.plan.protects)(id)) {
            Some(id) => {
                let id = text(id, number)?.to_owned();
                self.out.skip_record(&record, SkipReason::Protected { id })
            }
            None => self.waiting.add(&record),
        }
    }

    /// Takes the next row, a bad one. It is rejected whatever ids it names: what stands in it can't be trusted.
    pub fn bad(&mut self, source: u32, row: BadRow) -> Result<(), IntakeError> {
        let number = self.number(source, row.line)?;
        let account = if breaks_its_rule_again(&self.plan.shape, &row) { row.account } else { None };
        self.out.skipped_row(SkippedRow {
            row: number,
            reason: SkipReason::Rejected { column: row.column, reason: row.reason },
            from: row.from,
            account,
            tags: row.tags,
        })
    }

    /// Packs what was taken. Every row is accounted for, or this is an error.
    pub fn finish(mut self) -> Result<Counts, IntakeError> {
        if let Some(last) = self.line_spans.finish() {
            self.out.send(Output::LineSpan(last))?;
        }
        let (packed_rows, grouped) = settle::settle(&self.plan, self.waiting, &mut self.out)?;
        self.out.counts.add_up(packed_rows, grouped)
    }

    /// The number of the next row, which starts on this line.
    fn number(&mut self, source: u32, line: u64) -> Result<RowNo, IntakeError> {
        let row = self.out.counts.rows;
        self.out.counts.rows += 1;
        if let Some(ended) = self.line_spans.push(row, source, line) {
            self.out.send(Output::LineSpan(ended))?;
        }
        Ok(row)
    }
}

impl<S> fmt::Debug for Intake<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("counts", &self.out.counts).finish_non_exhaustive()
    }
}

/// The sink, with a count of what went into it.
struct Out<S> {
    sink: S,
    counts: Counts,
}

impl<S: FnMut(Output) -> Result<(), Closed>> Out<S> {
    fn send(&mut self, output: Output) -> Result<(), IntakeError> {
        Ok((self.sink)(output)?)
    }

    fn request(&mut self, request: StoredRequest) -> Result<(), IntakeError> {
        self.counts.requests += 1;
        self.counts.items += u64::from(request.item_count);
        self.send(Output::Request(request))
    }

    fn skipped_row(&mut self, skipped: SkippedRow) -> Result<(), IntakeError> {
        let counter = match skipped.reason {
            SkipReason::Rejected { .. } => &mut self.counts.rejected,
            SkipReason::Duplicate { .. } => &mut self.counts.duplicate,
            SkipReason::Protected { .. } => &mut self.counts.protected,
        };
        *counter += 1;
        self.send(Output::Skipped(skipped))
    }

    fn skip_record(&mut self, record: &Record<'_>, reason: SkipReason) -> Result<(), IntakeError> {
        let text = |bytes| text(bytes, record.row).map(str::to_owned);
        self.skipped_row(SkippedRow {
            row: record.row,
            reason,
            from: record.from.map(text).transpose()?,
            account: Some(text(record.account)?),
            tags: parse_tags(record.tags).ok_or(IntakeError::Damaged { row: record.row })?,
        })
    }
}

/// Bytes that came in as text, as text.
fn text(bytes: &[u8], row: RowNo) -> Result<&str, IntakeError> {
    std::str::from_utf8(bytes).map_err(|_| IntakeError::Damaged { row })
}

/// Reads the tags of a row back.
fn parse_tags(json: &[u8]) -> Option<Tags> {
    if json.is_empty() {
        return Some(Tags::new());
    }
    serde_json::from_slice(json).ok()
}
