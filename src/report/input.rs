//! The files of a run's input: how many rows each has, and what must be known before they are sent.

use schemars::JsonSchema;
use serde::Serialize;

use super::text::{Text, counted, visible};
use crate::queue::InputFile;

/// The files of a run's input, in their order, and the files of earlier runs of which rows were carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Input(pub Vec<InputFile>);

impl Input {
    /// A line per file with its rows, each followed by the notes on it.
    pub(super) fn block(&self, text: &mut Text) {
        let (own, carried): (Vec<_>, Vec<_>) = self.0.iter().partition(|file| file.carried_from.is_none());
        text.figure("input", &counted(own.len() as u64, "file", "files"));
        for file in carried {
            let rows = counted(file.facts.rows, "row", "rows");
            text.line(&format!("  {}  {rows} carried over", visible(&file.name)));
        }
        for file in own {
            let blank = match file.facts.blank_rows {
                0 => String::new(),
                blank => format!(", {} skipped", counted(blank, "blank row", "blank rows")),
            };
            let rows = counted(file.facts.rows, "row", "rows");
            text.line(&format!("  {}  {rows}{blank}", visible(&file.name)));
            for note in &file.facts.notes {
                text.line(&format!("    {}", visible(note)));
            }
        }
    }

    /// What must be known before the rows are sent, one line per note, for stderr.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|file| &file.facts.notes).map(|note| format!("note: {}", visible(note)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::source_facts::SourceFacts;

    #[test]
    fn each_file_is_listed_with_its_rows_and_what_must_be_known_of_it() {
        let file = |name: &str, rows, blank_rows, notes: &[&str]| InputFile {
            name: name.to_owned(),
            carried_from: None,
            facts: SourceFacts { rows, blank_rows, notes: notes.iter().map(|&note| note.to_owned()).collect() },
        };
        let notes = ["b\u{1b}.csv:2: a quoted cell makes the row span lines 2 to 4"];
        let carried = InputFile { carried_from: Some("0190".to_owned()), ..file("a.csv (run 0190)", 3, 0, &[]) };
        let input = Input(vec![file("a.csv", 1, 0, &[]), file("b\u{1b}.csv", 12_000, 1, &notes), carried]);
        let mut text = Text::default();
        input.block(&mut text);
        insta::assert_snapshot!(String::from(text), @r"
        input          2 files
          a.csv (run 0190)  3 rows carried over
          a.csv  1 row
          b\u{1b}.csv  12,000 rows, 1 blank row skipped
            b\u{1b}.csv:2: a quoted cell makes the row span lines 2 to 4
        ");
        let notes: Vec<String> = input.notes().collect();
        assert_eq!(notes, [r"note: b\u{1b}.csv:2: a quoted cell makes the row span lines 2 to 4"]);
    }
}
