//! What the rules of this test report. No violation is allowed.

use std::fmt;

use crate::{File, cycles, files, glossary, sizes};

/// A place that breaks a rule.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, file: &File, line: usize, text: String) -> Self {
        Self { rule, path: file.path.clone(), line, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, line, text } = self;
        write!(f, "{path}:{line}: {rule}: {text}")
    }
}

/// Every violation in the repository.
fn violations() -> Vec<Violation> {
    let texts = glossary::read();
    let rust = files(&["src", "crates", "tests", "benches", "fuzz"], &["rs"]);
    let prose = files(
        &["", "src", "crates", "tests", "benches", "fuzz", "migrations", "jobs", "docs", ".ci"],
        &["rs", "md", "toml", "sql", "snap", "txt", "py", ""],
    );
    let mut found = Vec::new();
    for file in &prose {
        found.extend(glossary::rejected(file, &texts));
        found.extend(sizes::too_wide(file));
    }
    for file in &rust {
        found.extend(sizes::too_long(file));
        found.extend(sizes::functions(file));
    }
    found.extend(cycles::cycles(&rust));
    found
}

#[test]
fn names_texts_and_sizes_keep_the_rules() {
    let found: Vec<String> = violations().iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} violations\n{}\n", found.len(), found.join("\n"));
}
