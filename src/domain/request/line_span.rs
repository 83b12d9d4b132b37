//! The lines at which rows start in their files.

use super::row::RowNo;

/// Consecutive rows at a fixed distance of lines, so that one span gives the lines of ten million rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSpan {
    /// The first row. The span ends where the next one starts.
    pub first_row: RowNo,
    /// Index of the source among the run's sources.
    pub source: u32,
    /// The line of the first row.
    pub first_line: u64,
    /// Lines from one row to the next: usually 1, and 0 for the rows of one JSONL line.
    pub step: u64,
}

impl LineSpan {
    /// The line at which a row of this span starts.
    pub const fn line_of(&self, row: RowNo) -> u64 {
        self.first_line + (row - self.first_row) * self.step
    }
}
