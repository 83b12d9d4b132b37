//! The end of a row, which may be the header of another file: the line feed between the two files is missing.

use std::collections::{BTreeSet, HashSet};

use crate::domain::unusual_id;

/// A row and the names it may end with. Rows may have thousands of cells, so each cell is looked at once.
pub(super) struct RowEnd<'a> {
    /// In lower case.
    cells: &'a [String],
    /// The names of the file's own header, in lower case.
    names: HashSet<&'a str>,
    /// Those of the columns of ids, and the last cell that is one.
    ids: Vec<(&'a str, Option<usize>)>,
    /// The last cell that is no name of the header.
    last_unknown: Option<usize>,
}

impl<'a> RowEnd<'a> {
    /// A row with these cells in a file with these names. `ids` are the indexes of the columns of ids.
    pub(super) fn new(cells: &'a [String], names: &'a [String], ids: impl Iterator<Item = usize>) -> Self {
        let set: HashSet<&str> = names.iter().map(String::as_str).collect();
        let last_of = |name: &str| cells.iter().rposition(|cell| cell == name);
        Self {
            cells,
            ids: ids.filter_map(|index| names.get(index)).map(|name| (name.as_str(), last_of(name))).collect(),
            last_unknown: cells.iter().rposition(|cell| !set.contains(cell.as_str())),
            names: set,
        }
    }

    /// The names that cells end with, with the index of the cell.
    pub(super) fn names_at_ends(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let of_api = unusual_id::COLUMN_NAMES.map(str::to_lowercase);
        let is_name = move |end: &str| self.names.contains(end) || of_api.iter().any(|name| name == end);
        let lengths = self.names.iter().copied().chain(unusual_id::COLUMN_NAMES).map(str::len);
        let lengths: BTreeSet<usize> = lengths.filter(|length| *length > 0).collect();
        let ends = self.cells.iter().enumerate().flat_map(move |(at, cell)| {
            let starts = lengths.iter().filter_map(|length| cell.len().checked_sub(*length)).filter(|start| *start > 0);
            let ends: Vec<&str> = starts.filter_map(|start| cell.get(start..)).collect();
            ends.into_iter().map(move |end| (at, end))
        });
        ends.filter(move |(_, end)| is_name(end))
    }

    /// Whether a name at the end of the cell `at`, together with the cells behind, can be a header of these names.
    pub(super) fn is_header(&self, at: usize, name: &str) -> bool {
        let is_last = at + 1 == self.cells.len();
        let are_known = self.names.contains(name) && self.last_unknown.is_none_or(|unknown| unknown <= at);
        !is_last && are_known && self.ids.iter().all(|(id, last)| *id == name || *last > Some(at))
    }
}
