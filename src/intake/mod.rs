//! Intake: from rows in any order to requests ready to store, in bounded memory.
//!
//! ```text
//! row ─► number ─► protected? ─► partition (by account, in memory or on disk)     as rows arrive
//!                                    └─► part_index (equals, merges) ─► packer ─► StoredRequest   at the end, by part
//! ```
//!
//! Equal rows, and all rows of one `From_Account`, are in one part. So each part can be processed alone. The sink
//! receives each output as soon as it is known.

mod finish;
mod line_spans;
mod packer;
mod part_index;
mod partition;
mod spill_file;
#[cfg(test)]
mod tests;
mod waiting_row;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;
use crate::domain::operation::InputShape;
use crate::domain::request::account::UserId;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::{FieldValues, RejectedRow, RowNo, RowRef};
use crate::domain::request::skipped_row::{SkipReason, SkippedRow};
use crate::stored_request::StoredRequest;
use line_spans::LineSpans;
use partition::{PartitionKey, Partitions};
use waiting_row::WaitingRow;

/// The budget for rows in memory, in bytes. With the tables of the part in work, intake takes less than 64 MiB.
pub const MAX_ROW_BYTES_IN_MEMORY: usize = 40 << 20;

/// The options of a load.
#[derive(Clone, Copy)]
pub struct IntakeOptions<'a> {
    /// The columns of the operation.
    pub shape: InputShape,
    /// The most items in one request.
    pub items_per_request: NonZeroU32,
    /// Whether an id is on the protected list.
    pub protects: &'a dyn Fn(&[u8]) -> bool,
    /// The folder for rows that do not fit in memory. Nothing is written there for small inputs.
    pub temp_dir: &'a Path,
    /// The estimated size of the input in bytes. Only the speed depends on it.
    pub expected_bytes: u64,
    /// The most bytes of rows in memory: [`MAX_ROW_BYTES_IN_MEMORY`].
    pub memory: usize,
    /// The most bytes of ids and fields in one request: [`BODY_BYTES`](crate::stored_request::BODY_BYTES). A larger
    /// item is sent alone.
    pub body_bytes: usize,
}

/// What intake passes to its sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeOutput {
    /// Items to be sent together. The requests of one `From_Account` are adjacent.
    Request(StoredRequest),
    /// A row that is not sent.
    Skipped(SkippedRow),
    /// The lines of a sequence of rows in their source.
    LineSpan(LineSpan),
}

/// The sink accepts nothing more, because its receiver has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("loading was interrupted")]
pub struct SinkClosed;

/// Whether the ids and fields of a rejected row break the rule again when its results are used as input. Otherwise its
/// account is left out, because the row must not become a good one there.
fn breaks_its_rule_again(shape: &InputShape, row: &RejectedRow) -> bool {
    let good = |id: &Option<String>| id.as_deref().is_some_and(|id| UserId::check(id).is_ok());
    let good_ids = good(&row.account) && (shape.from.is_none() || good(&row.from) && row.from != row.account);
    let bad_field = row.column.as_deref().is_some_and(|column| row.fields.contains_key(column));
    !good_ids || bad_field || shape.fields.lack(&row.fields).is_some()
}

/// The result of a load. Every row is in exactly one of `items`, `merged`, `rejected`, `duplicate` and `protected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakeCounts {
    /// All rows, rejected ones included.
    pub rows: u64,
    /// Items to be sent.
    pub items: u64,
    /// Requests that hold them.
    pub requests: u64,
    /// Rows that share the item of an earlier row.
    pub merged: u64,
    /// Rows that break a rule.
    pub rejected: u64,
    /// Rows that repeat an earlier row.
    pub duplicate: u64,
    /// Rows that name a protected id.
    pub protected: u64,
}

impl IntakeCounts {
    /// Checks the numbers of rows and items against each other, and sets `merged`.
    fn check(mut self, packed_rows: u64, grouped: u64) -> Result<Self, IntakeError> {
        let accounted = packed_rows + self.rejected + self.duplicate + self.protected;
        if accounted != self.rows || grouped != self.items || packed_rows < grouped {
            return Err(IntakeError::Broken { counts: self, packed_rows, grouped });
        }
        self.merged = packed_rows - grouped;
        Ok(self)
    }
}

/// Why intake failed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// See [`SinkClosed`].
    #[error(transparent)]
    Closed(#[from] SinkClosed),
    /// Rows could not be written to or read from the temporary file.
    #[error(
        "{}: cannot {verb} a temporary file: {error}",
        dir.display()
    )]
    Temp {
        /// The folder.
        dir: PathBuf,
        /// `create`, `write` or `read`.
        verb: &'static str,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Rows were not read back as they were written, or a reader broke the promises of [`RowRef`].
    #[error("row {row} or one soon after it cannot be read back from temporary storage")]
    Damaged {
        /// The last row that could be read.
        row: RowNo,
    },
    /// The different rows of one friend take more than 4 GiB.
    #[error("row {row} cannot be loaded: the rows of its account take more than 4 GiB")]
    Overfull {
        /// The first row that does not fit.
        row: RowNo,
    },
    /// A row is lost or counted twice. This is a fault of imbulk, found before anything is sent.
    #[error(
        "the numbers do not add up: of {} rows, {packed_rows} are in requests, {} are rejected, {} duplicate and {} \
         protected; of {grouped} items, {} are in requests",
        counts.rows, counts.rejected, counts.duplicate, counts.protected, counts.items
    )]
    Broken {
        /// The numbers of rows, items and requests.
        counts: IntakeCounts,
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
                "free disk space there and run again: while the input is loaded, rows that do not fit in memory are \
                 kept in this folder; they take up to three times the unpacked size of the input"
            }
            Self::Damaged { .. } => "check the disk: it may be damaged; nothing was sent",
            Self::Broken { .. } => "nothing was sent; please report this",
            Self::Closed(_) | Self::Overfull { .. } => return None,
        };
        Some(hint.into())
    }
}

/// Takes rows in input order, and passes requests and skipped rows to its sink.
///
/// Line spans, rejected and protected rows go to the sink at once, everything else when [`finish`](Intake::finish) is
/// called.
pub struct Intake<'a, S> {
    options: IntakeOptions<'a>,
    out: CountingSink<S>,
    line_spans: LineSpans,
    waiting: Partitions<'a>,
}

impl<'a, S: FnMut(IntakeOutput) -> Result<(), SinkClosed>> Intake<'a, S> {
    /// Starts a load. `sink` receives its outputs.
    pub fn new(options: IntakeOptions<'a>, sink: S) -> Self {
        let key = match options.shape.from {
            Some(_) => PartitionKey::FromAccount,
            None => PartitionKey::Account,
        };
        Self {
            options,
            out: CountingSink { sink, counts: IntakeCounts::default() },
            line_spans: LineSpans::default(),
            waiting: Partitions::new(&options, key),
        }
    }

    /// Takes the next row, of the source with this index.
    pub fn row(&mut self, source: u32, row: RowRef<'_>) -> Result<(), IntakeError> {
        let number = self.number(source, row.line)?;
        let waiting = WaitingRow { row: number, from: row.from, account: row.account, fields: row.fields };
        let mut ids = row.from.into_iter().chain([row.account]);
        match ids.find(|id| (self.options.protects)(id)) {
            Some(id) => {
                let id = text(id, number)?.to_owned();
                self.out.skip_row(&waiting, SkipReason::Protected { id })
            }
            None => self.waiting.add(&waiting),
        }
    }

    /// Takes the next row, which is rejected even if it names a protected id, because its content is unreliable.
    pub fn reject(&mut self, source: u32, row: RejectedRow) -> Result<(), IntakeError> {
        let number = self.number(source, row.line)?;
        let account = if breaks_its_rule_again(&self.options.shape, &row) { row.account } else { None };
        self.out.skipped_row(SkippedRow {
            row: number,
            reason: SkipReason::Rejected { column: row.column, reason: row.reason },
            from: row.from,
            account,
            fields: row.fields,
        })
    }

    /// Sends the requests and the remaining skipped rows to the sink.
    ///
    /// # Errors
    /// Some row is lost or counted twice, or the temporary file or the sink failed.
    pub fn finish(mut self) -> Result<IntakeCounts, IntakeError> {
        if let Some(last) = self.line_spans.finish() {
            self.out.send(IntakeOutput::LineSpan(last))?;
        }
        let (packed_rows, grouped) = finish::finish(&self.options, self.waiting, &mut self.out)?;
        self.out.counts.check(packed_rows, grouped)
    }

    /// Numbers the next row, which starts on this line.
    fn number(&mut self, source: u32, line: u64) -> Result<RowNo, IntakeError> {
        let row = self.out.counts.rows;
        self.out.counts.rows += 1;
        if let Some(ended) = self.line_spans.push(row, source, line) {
            self.out.send(IntakeOutput::LineSpan(ended))?;
        }
        Ok(row)
    }
}

impl<S> fmt::Debug for Intake<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("counts", &self.out.counts).finish_non_exhaustive()
    }
}

/// The sink, and the number of its outputs of each kind.
struct CountingSink<S> {
    sink: S,
    counts: IntakeCounts,
}

impl<S: FnMut(IntakeOutput) -> Result<(), SinkClosed>> CountingSink<S> {
    fn send(&mut self, output: IntakeOutput) -> Result<(), IntakeError> {
        Ok((self.sink)(output)?)
    }

    fn request(&mut self, request: StoredRequest) -> Result<(), IntakeError> {
        self.counts.requests += 1;
        self.counts.items += u64::from(request.item_count);
        self.send(IntakeOutput::Request(request))
    }

    fn skipped_row(&mut self, skipped: SkippedRow) -> Result<(), IntakeError> {
        let counter = match skipped.reason {
            SkipReason::Rejected { .. } => &mut self.counts.rejected,
            SkipReason::Duplicate { .. } => &mut self.counts.duplicate,
            SkipReason::Protected { .. } | SkipReason::Guarded { .. } => &mut self.counts.protected,
        };
        *counter += 1;
        self.send(IntakeOutput::Skipped(skipped))
    }

    fn skip_row(&mut self, waiting: &WaitingRow<'_>, reason: SkipReason) -> Result<(), IntakeError> {
        let text = |bytes| text(bytes, waiting.row).map(str::to_owned);
        self.skipped_row(SkippedRow {
            row: waiting.row,
            reason,
            from: waiting.from.map(text).transpose()?,
            account: Some(text(waiting.account)?),
            fields: parse_fields(waiting.fields).ok_or(IntakeError::Damaged { row: waiting.row })?,
        })
    }
}

/// The text of bytes that were read as text.
fn text(bytes: &[u8], row: RowNo) -> Result<&str, IntakeError> {
    std::str::from_utf8(bytes).map_err(|_| IntakeError::Damaged { row })
}

/// Parses the fields of a row.
fn parse_fields(json: &[u8]) -> Option<FieldValues> {
    if json.is_empty() {
        return Some(FieldValues::new());
    }
    serde_json::from_slice(json).ok()
}
