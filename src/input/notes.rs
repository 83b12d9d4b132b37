//! What is accepted and must be known nevertheless: a bounded number of sentences about each file.
//!
//! A reader adds a note where it reads something literally that may not be what the user means. The
//! first few of a kind are kept word for word; the others are counted, so that a file of millions of such rows has
//! a short list. To add a kind: a variant of [`NoteKind`], and its words in [`NoteKind::more`].

use std::collections::BTreeMap;

use crate::domain::source_facts::SourceFacts;

use super::error::place;

/// Notes of one kind that are kept word for word.
const KEPT: usize = 3;

/// What a note is about. Notes are listed in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoteKind {
    /// A row spans several lines, since a quoted cell holds line feeds.
    SpansLines,
    /// The last line has no line feed.
    LastLine,
    /// An id ends with the short name of a column.
    EndsWithHeader,
}

impl NoteKind {
    /// The sentence for `count` further notes of this kind.
    fn more(self, count: u64) -> String {
        match self {
            Self::SpansLines if count == 1 => "1 more row spans several lines".to_owned(),
            Self::SpansLines => format!("{count} more rows span several lines"),
            Self::LastLine => "the last line has no line feed".to_owned(),
            Self::EndsWithHeader if count == 1 => "1 more id ends with the name of its column".to_owned(),
            Self::EndsWithHeader => format!("{count} more ids end with the name of their column"),
        }
    }
}

/// Collects the notes on one source.
#[derive(Debug)]
pub(super) struct Notes<'n> {
    file: &'n str,
    blank_rows: u64,
    kinds: BTreeMap<NoteKind, KeptNotes>,
}

#[derive(Debug, Default)]
struct KeptNotes {
    kept: Vec<String>,
    more: u64,
}

impl<'n> Notes<'n> {
    /// None yet on the source of this name.
    pub(super) const fn new(file: &'n str) -> Self {
        Self { file, blank_rows: 0, kinds: BTreeMap::new() }
    }

    /// Notes something on the row or line that starts at `line`. `text` is a complete sentence without its place, in
    /// lower case and without a period.
    pub(super) fn add(&mut self, kind: NoteKind, line: u64, text: impl FnOnce() -> String) {
        let KeptNotes { kept, more } = self.kinds.entry(kind).or_default();
        if kept.len() < KEPT {
            kept.push(format!("{}: {}", place(self.file, Some(line)), text()));
        } else {
            *more += 1;
        }
    }

    /// Counts rows that hold nothing but delimiters and blanks.
    pub(super) const fn blank_rows(&mut self, count: u64) {
        self.blank_rows += count;
    }

    /// The facts of a source with this number of rows.
    pub(super) fn into_facts(self, rows: u64) -> SourceFacts {
        let mut notes = Vec::new();
        for (kind, KeptNotes { kept, more }) in self.kinds {
            notes.extend(kept);
            if more > 0 {
                notes.push(format!("{}: {}", place(self.file, None), kind.more(more)));
            }
        }
        SourceFacts { rows, blank_rows: self.blank_rows, notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_notes_of_a_kind_are_kept_and_the_others_counted() {
        let mut notes = Notes::new("a.csv");
        for line in 1..=5 {
            notes.add(NoteKind::SpansLines, line, || format!("a quoted cell spans lines {line} to 9"));
        }
        notes.blank_rows(1);
        let facts = notes.into_facts(7);
        assert_eq!((facts.rows, facts.blank_rows), (7, 1));
        assert_eq!(
            facts.notes,
            [
                "a.csv:1: a quoted cell spans lines 1 to 9",
                "a.csv:2: a quoted cell spans lines 2 to 9",
                "a.csv:3: a quoted cell spans lines 3 to 9",
                "a.csv: 2 more rows span several lines",
            ]
        );
    }
}
