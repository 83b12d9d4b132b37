//! Joins result rows with the user's own columns, which another thread reads from the input.

use std::collections::VecDeque;
use std::ops::Range;

use tokio::sync::mpsc::Receiver;

use super::ExportError;
use crate::domain::hint::Message;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::own_row::OwnRow;
use crate::domain::request::row::RowNo;
use crate::queue::{InputFile, QueueError};

/// The user's own columns of all rows of the input, in input order.
#[derive(Debug)]
pub struct OwnRows {
    /// The names of the columns of CSV, in the sequence in which they are written; empty for JSONL.
    pub columns: Vec<String>,
    /// The user's own names of the operation's columns, in their sequence.
    pub ids: Vec<String>,
    /// The delimiter of the cells.
    pub delimiter: u8,
    /// The rows.
    pub rows: Receiver<Result<Vec<OwnRow>, Message>>,
}

/// What the layout of the rows needs to know of the user's own columns.
pub(super) struct OwnLayout {
    pub(super) columns: Vec<String>,
    /// The user's own names of the operation's columns.
    pub(super) ids: Vec<String>,
    pub(super) delimiter: u8,
}

impl OwnRows {
    pub(super) fn split(self, files: &[InputFile]) -> (OwnLayout, OwnRowsJoin) {
        let Self { columns, ids, delimiter, rows } = self;
        (OwnLayout { columns, ids, delimiter }, OwnRowsJoin::new(rows, files))
    }
}

/// The join. Both sides are in input order, so that no row is kept.
pub(super) struct OwnRowsJoin {
    rows: Receiver<Result<Vec<OwnRow>, Message>>,
    waiting: VecDeque<OwnRow>,
    /// For each source of the run its index among the files of the input; none if its rows were carried over.
    files: Vec<Option<usize>>,
}

impl OwnRowsJoin {
    pub(super) fn new(rows: Receiver<Result<Vec<OwnRow>, Message>>, files: &[InputFile]) -> Self {
        let mut next = 0;
        let file = |file: &InputFile| {
            file.carried_from.is_none().then(|| {
                next += 1;
                next - 1
            })
        };
        Self { rows, waiting: VecDeque::new(), files: files.iter().map(file).collect() }
    }

    /// The own columns of each of these rows; none for rows that were carried over.
    pub(super) async fn of_rows(
        &mut self,
        rows: Range<RowNo>,
        spans: &[LineSpan],
    ) -> Result<Vec<Option<OwnRow>>, ExportError> {
        let mut found = Vec::new();
        let mut span = 0;
        for row in rows {
            while spans.get(span + 1).is_some_and(|next| next.first_row <= row) {
                span += 1;
            }
            let at = spans.get(span).filter(|at| at.first_row <= row);
            let file = at.and_then(|at| self.files.get(usize::try_from(at.source).ok()?).copied());
            let (Some(at), Some(file)) = (at, file) else {
                return Err(QueueError::Damaged(format!("the line of row {row} cannot be read back")).into());
            };
            found.push(match file {
                Some(file) => Some(self.at(file, at.line_of(row)).await?),
                None => None,
            });
        }
        Ok(found)
    }

    async fn at(&mut self, file: usize, line: u64) -> Result<OwnRow, ExportError> {
        loop {
            if let Some(row) = self.waiting.pop_front() {
                if (row.file, row.line) == (file, line) {
                    return Ok(row);
                }
                let text = format!("the input has a row in line {}, and the run has one in line {line}", row.line);
                return Err(ExportError::Input(Message::new(text)));
            }
            match self.rows.recv().await {
                Some(rows) => self.waiting = rows.map_err(ExportError::Input)?.into(),
                None => {
                    let text = format!("the input ends before the row of line {line}");
                    return Err(ExportError::Input(Message::new(text)));
                }
            }
        }
    }
}
