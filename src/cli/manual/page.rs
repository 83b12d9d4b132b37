//! The shape of the texts after the options, and how a help text shows them.

use crate::domain::exit::Exit;

/// A name and its meaning. The meaning may be empty.
pub type Row = (&'static str, &'static str);

/// The texts of one subcommand, or of the program.
#[derive(Debug)]
pub struct Manual {
    /// The subcommand; empty for the program.
    pub name: &'static str,
    /// Commands to type, each with its effect.
    pub examples: &'static [Row],
    /// Sections that only this subcommand has.
    pub notes: &'static [Note],
    /// The files that the subcommand reads or writes.
    pub files: &'static [Row],
    /// The environment variables that the subcommand reads.
    pub environment: &'static [Row],
    /// The exit codes of the subcommand.
    pub exits: &'static [(Exit, &'static str)],
}

/// A section that only one subcommand has.
#[derive(Debug)]
pub struct Note {
    /// Its title.
    pub title: &'static str,
    /// A paragraph.
    pub text: &'static str,
    /// Names and meanings after the paragraph.
    pub rows: &'static [Row],
}

/// A section, ready to be rendered.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Its title in a help text.
    pub title: &'static str,
    /// Its title in a manual page, where the usual titles differ.
    pub heading: String,
    /// A paragraph; empty if there is none.
    pub text: &'static str,
    /// Names and meanings.
    pub rows: Vec<(String, &'static str)>,
}

/// The width of a help text: a terminal that is not resized shows 80 columns.
const COLUMNS: usize = 80;

impl Manual {
    /// The sections in the sequence of a help text. A manual page has the reverse sequence, as man-pages(7) advises.
    pub fn sections(&self) -> Vec<Section> {
        let exits = self.exits.iter().map(|(exit, meaning)| (exit.code().to_string(), *meaning)).collect();
        let mut sections = vec![Section::new("Examples", "EXAMPLES", "", owned(self.examples))];
        sections.extend(
            self.notes
                .iter()
                .map(|note| Section::new(note.title, &note.title.to_uppercase(), note.text, owned(note.rows))),
        );
        sections.push(Section::new("Files", "FILES", "", owned(self.files)));
        sections.push(Section::new("Environment variables", "ENVIRONMENT", "", owned(self.environment)));
        sections.push(Section::new("Exit codes", "EXIT STATUS", "", exits));
        sections
    }

    /// The end of the help text.
    pub fn help(&self) -> String {
        let sections: Vec<String> = self.sections().iter().map(Section::help).collect();
        sections.join("\n\n")
    }
}

impl Section {
    fn new(title: &'static str, heading: &str, text: &'static str, rows: Vec<(String, &'static str)>) -> Self {
        let text = if text.is_empty() && rows.is_empty() { "none" } else { text };
        Self { title, heading: heading.to_owned(), text, rows }
    }

    fn help(&self) -> String {
        let mut lines = wrapped(&format!("{}: {}", self.title, self.text), 0);
        let name_columns = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, meaning) in &self.rows {
            let mut meaning = wrapped(meaning, name_columns + 4).into_iter();
            let first = meaning.next().unwrap_or_default();
            lines.push(format!("  {name:name_columns$}  {first}").trim_end().to_owned());
            lines.extend(meaning.map(|line| format!("{:1$}{line}", "", name_columns + 4)));
        }
        lines.join("\n")
    }
}

fn owned(rows: &[Row]) -> Vec<(String, &'static str)> {
    rows.iter().map(|(name, meaning)| ((*name).to_owned(), *meaning)).collect()
}

/// The lines of a text that is indented by some columns.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if indent + line.chars().count() + 1 + word.chars().count() < COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_continues_below_its_first_word() {
        let rows = vec![
            ("a".to_owned(), "one"),
            (
                "bb".to_owned(),
                "of a text that is much too long for a single line \
                        because it has more than eighty columns",
            ),
        ];
        let section = Section::new("Files", "FILES", "", rows);
        assert_eq!(
            section.help(),
            "Files:\n  a   one\n  bb  of a text that is much too long for a single line because it has more\n\
             \x20     than eighty columns"
        );
    }

    #[test]
    fn an_empty_section_says_so_and_a_paragraph_follows_its_title() {
        assert_eq!(Section::new("Files", "FILES", "", Vec::new()).help(), "Files: none");
        let rows = vec![("one".to_owned(), "")];
        assert_eq!(Section::new("Faults", "FAULTS", "most of them.", rows).help(), "Faults: most of them.\n  one");
    }
}
