//! What the rules of this test report, and how many violations of each rule a folder may still have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

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

/// The lines `RULE FOLDER COUNT`. A count may be lowered; a line without violations must be removed.
const CEILINGS: &str = include_str!("ceilings.txt");

/// How many violations of one folder a failure prints; the report has all.
const SHOWN: usize = 40;

impl Violation {
    pub(crate) fn new(rule: &'static str, file: &File, line: usize, text: String) -> Self {
        Self { rule, path: file.path.clone(), line, text }
    }

    /// The folder for which the violation counts: the uppermost, so that files may move within it.
    fn folder(&self) -> &str {
        self.path.split_once('/').map_or(".", |(folder, _)| folder)
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

fn ceilings() -> BTreeMap<(String, String), usize> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        ((words[0].to_owned(), words[1].to_owned()), words[2].parse().expect("a number"))
    };
    CEILINGS.lines().map(line).collect()
}

/// The counts that are above their ceiling, or that have reached zero.
fn compare(found: &[Violation], ceilings: &BTreeMap<(String, String), usize>) -> Vec<String> {
    let mut counts: BTreeMap<(String, String), Vec<&Violation>> = BTreeMap::new();
    for violation in found {
        counts.entry((violation.rule.to_owned(), violation.folder().to_owned())).or_default().push(violation);
    }
    let mut wrong = Vec::new();
    for (key @ (rule, folder), here) in &counts {
        let ceiling = ceilings.get(key).copied().unwrap_or(0);
        if here.len() > ceiling {
            wrong.push(format!("{rule} in {folder}: {} violations, at most {ceiling} are allowed", here.len()));
            wrong.extend(here.iter().take(SHOWN).map(|v| format!("  {}:{}: {}", v.path, v.line, v.text)));
        }
    }
    let done = ceilings.keys().filter(|key| !counts.contains_key(*key));
    wrong.extend(done.map(|(rule, folder)| format!("{rule} in {folder}: no violations; remove it from ceilings.txt")));
    wrong
}

/// Writes the violations and the ceilings that would fit them to files below `target/tmp`.
fn write_reports(found: &[Violation]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut list = String::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for violation in found {
        let Violation { rule, path, line, text } = violation;
        let _ = writeln!(list, "{path}:{line}: {rule}: {text}");
        *counts.entry((rule, violation.folder())).or_default() += 1;
    }
    let mut ceilings = String::new();
    for ((rule, folder), count) in counts {
        let _ = writeln!(ceilings, "{rule} {folder} {count}");
    }
    std::fs::write(folder.join("violations.txt"), list).expect("the folder is there");
    std::fs::write(folder.join("ceilings.txt"), ceilings).expect("the folder is there");
    format!(
        "all violations: {0}/violations.txt\nceilings that fit: {0}/ceilings.txt; remove a line that reached zero from \
         tests/architecture/ceilings.txt",
        folder.display()
    )
}

#[test]
fn names_texts_and_sizes_keep_the_rules() {
    let found = violations();
    let reports = write_reports(&found);
    let wrong = compare(&found, &ceilings());
    assert!(wrong.is_empty(), "\n{}\n{reports}\n", wrong.join("\n"));
}

#[test]
fn a_count_above_its_ceiling_and_a_ceiling_without_violations_are_reported() {
    let violation = || Violation { rule: "width", path: "src/a/b/c.rs".into(), line: 7, text: "wide".into() };
    let ceiling = |folder: &str, count| BTreeMap::from([(("width".to_owned(), folder.to_owned()), count)]);
    assert_eq!(compare(&[violation()], &ceiling("src", 1)).len(), 0);
    assert_eq!(
        compare(&[violation(), violation()], &ceiling("src", 1)),
        ["width in src: 2 violations, at most 1 are allowed", "  src/a/b/c.rs:7: wide", "  src/a/b/c.rs:7: wide"]
    );
    assert_eq!(compare(&[], &ceiling("src", 1)), ["width in src: no violations; remove it from ceilings.txt"]);
}
