//! The manual pages: one for each subcommand, with the same sections, and readable by the tools that show them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use imbulk::cli::manual;
use imbulk_testkit::requirements::{Requirement, are_met};

use crate::subcommands;

const SECTIONS: [&str; 8] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"];

/// Writes all pages into a folder and returns their names, sorted.
fn write_pages(folder: &Path) -> BTreeSet<String> {
    let written = Command::new(env!("CARGO_BIN_EXE_imbulk")).args(["man", "--output"]).arg(folder).status();
    assert!(written.expect("imbulk").success());
    let names = fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").file_name());
    names.map(|name| name.into_string().expect("a name")).collect()
}

#[test]
fn every_subcommand_has_a_page_with_the_usual_sections() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = write_pages(folder.path());
    let mut expected: BTreeSet<String> =
        subcommands().iter().map(|command| format!("imbulk-{}.1", command.get_name())).collect();
    expected.insert("imbulk.1".to_owned());
    assert_eq!(pages, expected);
    for page in pages {
        let text = fs::read_to_string(folder.path().join(&page)).expect("a page");
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let headings: Vec<&str> = headings.iter().map(|heading| heading.trim_matches('"')).collect();
        let mut rest = headings.iter();
        for section in SECTIONS {
            assert!(rest.any(|heading| *heading == section), "{page}: {section} is missing or misplaced: {headings:?}");
        }
    }
}

#[test]
fn one_page_is_printed_as_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    write_pages(folder.path());
    for (arguments, file) in [(&["man"][..], "imbulk.1"), (&["man", "run"], "imbulk-run.1")] {
        let printed = Command::new(env!("CARGO_BIN_EXE_imbulk")).args(arguments).output().expect("imbulk");
        let written = fs::read_to_string(folder.path().join(file)).expect("a page");
        assert_eq!(String::from_utf8_lossy(&printed.stdout), written);
    }
}

#[test]
fn help_and_page_of_a_subcommand_say_the_same() {
    let named: Vec<&str> = manual::ALL.iter().map(|manual| manual.name).filter(|name| !name.is_empty()).collect();
    let real = subcommands();
    assert_eq!(named, real.iter().map(clap::Command::get_name).collect::<Vec<_>>());
    for (command, manual) in real.iter().zip(&manual::ALL[1..]) {
        let help = command.get_after_long_help().expect("a help text").to_string();
        assert_eq!(help, manual.help(), "imbulk {}", command.get_name());
    }
}

#[test]
fn mandoc_finds_no_fault_in_the_pages() {
    if !are_met("the check of the manual pages", &[Requirement::Tool("mandoc")]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pages = write_pages(folder.path());
    // No page has a date, so that builds can be reproduced. The library writes such macros before lists of values.
    let intended = ["missing date", "skipping paragraph macro"];
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "warning"]).args(&pages).current_dir(folder.path());
    let found = String::from_utf8(mandoc.output().expect("mandoc").stdout).expect("text");
    let faults: Vec<&str> = found.lines().filter(|line| !intended.iter().any(|text| line.contains(text))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
