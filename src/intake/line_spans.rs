//! The lines of the rows in their sources, as spans with equal steps.

use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::RowNo;

/// Collects line spans while rows arrive.
#[derive(Debug, Default)]
pub(super) struct LineSpans {
    open: Option<OpenSpan>,
}

/// The span of the last row.
#[derive(Debug, Clone, Copy)]
struct OpenSpan {
    first_row: RowNo,
    source: u32,
    first_line: u64,
    last_line: u64,
    /// Known from the second row on.
    step: Option<u64>,
}

impl LineSpans {
    /// Adds the next row. Returns the previous span if the row does not continue it.
    pub(super) fn push(&mut self, row: RowNo, source: u32, line: u64) -> Option<LineSpan> {
        if let Some(open) = &mut self.open
            && open.try_extend(source, line)
        {
            return None;
        }
        let begun = OpenSpan { first_row: row, source, first_line: line, last_line: line, step: None };
        self.open.replace(begun).map(OpenSpan::end)
    }

    /// The last span.
    pub(super) fn finish(&mut self) -> Option<LineSpan> {
        self.open.take().map(OpenSpan::end)
    }
}

impl OpenSpan {
    /// Extends the span with a row on this line, if the row continues it.
    fn try_extend(&mut self, source: u32, line: u64) -> bool {
        let step = line.checked_sub(self.last_line);
        let fits = source == self.source && step.is_some() && (self.step.is_none() || self.step == step);
        if fits {
            self.step = step;
            self.last_line = line;
        }
        fits
    }

    fn end(self) -> LineSpan {
        LineSpan {
            first_row: self.first_row,
            source: self.source,
            first_line: self.first_line,
            step: self.step.unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_spans_of(rows: &[(u32, u64)]) -> Vec<LineSpan> {
        let mut line_spans = LineSpans::default();
        let mut found: Vec<LineSpan> =
            (0..).zip(rows).filter_map(|(row, &(source, line))| line_spans.push(row, source, line)).collect();
        found.extend(line_spans.finish());
        found
    }

    #[test]
    fn a_plain_file_is_one_span() {
        let rows: Vec<_> = (2..1000).map(|line| (0, line)).collect();
        let whole = LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 };
        assert_eq!(line_spans_of(&rows), [whole]);
        assert_eq!(line_spans_of(&[]), []);
    }

    #[test]
    fn items_of_one_object_share_its_line() {
        let line_spans = line_spans_of(&[(0, 7), (0, 7), (0, 7), (0, 9)]);
        assert_eq!(line_spans[0].step, 0);
        assert_eq!(line_spans[1].first_line, 9);
        assert_eq!(line_spans.len(), 2);
    }

    #[test]
    fn a_new_source_starts_a_new_span() {
        let line_spans = line_spans_of(&[(0, 2), (0, 3), (1, 4), (1, 5)]);
        assert_eq!(line_spans.iter().map(|s| s.source).collect::<Vec<_>>(), [0, 1]);
    }

    proptest::proptest! {
        #[test]
        fn every_row_finds_its_line_again(steps in proptest::collection::vec((0u32..2, 0u64..3), 0..60)) {
            let mut line = 1;
            let rows: Vec<_> = steps.iter().map(|&(source, step)| { line += step; (source, line) }).collect();
            let line_spans = line_spans_of(&rows);
            for (row, &(source, line)) in (0..).zip(&rows) {
                let at = line_spans.partition_point(|s| s.first_row <= row) - 1;
                proptest::prop_assert_eq!((line_spans[at].source, line_spans[at].line_of(row)), (source, line));
            }
        }
    }
}
