//! The page of the sandbox has the faults that the sandbox has.

use std::collections::BTreeSet;

use crate::read;

/// The names in the first column of the table below the line `| kind | what happens |`.
fn kinds(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let rows = lines.skip_while(|line| *line != "| kind | what happens |").skip(2);
    let cells = rows.map_while(|row| row.strip_prefix("| ")?.split_once(" | "));
    cells.flat_map(|(names, _)| names.split(", ").map(str::to_owned)).collect()
}

#[test]
fn the_page_lists_every_kind_of_fault() {
    let (page, comment) = (kinds(&read("docs/reference/sandbox.md")), kinds(&read("crates/imbulk-sandbox/src/lib.rs")));
    assert!(page.len() > 20, "{page:?}");
    assert_eq!(page, comment);
}
