//! Where rows start in their files.

use super::row::RowNo;

/// A stretch of rows that follow each other at a fixed distance of lines, so that a file of ten million rows
/// needs one entry to tell every row's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSpan {
    /// The first row of the stretch; it ends where the next one starts.
    pub first_row: RowNo,
    /// Index of the source among the run's sources.
    pub source: u32,
    /// The line of the first row.
    pub first_line: u64,
    /// Lines from one row to the next: 1 as a rule, 0 for the items of one JSONL record.
    pub step: u64,
}

impl LineSpan {
    /// The line on which a row of this stretch starts.
    pub const fn line_of(&self, row: RowNo) -> u64 {
        self.first_line + (row - self.first_row) * self.step
    }
}
