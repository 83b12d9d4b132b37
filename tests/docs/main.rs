//! The documents, held against the program: what they say of commands, defaults, codes, files and tests is so.

mod commands;
mod job_file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use imbulk::cli::Cli;
use imbulk::domain::operation;
use imbulk::domain::response::codes::{ErrorClass, lookup};
use imbulk::domain::response::outcome::Outcome;

const DOCUMENTS: [&str; 15] = [
    "README.md",
    "SECURITY.md",
    "docs/reliability.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/api.md",
    "docs/architecture.md",
    "docs/decisions/0002-slots-in-a-shared-file.md",
    "docs/decisions/0003-two-way-friend-delete-all-leases-one-account.md",
    "docs/decisions/0004-quarantine-after-no-answer.md",
    "docs/decisions/0005-doubt-and-in-doubt.md",
    "docs/decisions/0006-runs-and-the-same-input.md",
    "docs/decisions/0007-retry-budget-and-breaker.md",
    "docs/decisions/0012-what-an-answer-proves.md",
    "docs/decisions/0013-slots-of-calls-without-an-answer.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The part of a document below a heading, up to the next one of its level or above.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &document[start + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap().len();
    // A single `#` is a comment in a shell or TOML example.
    let ends = (2..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    ends.min().map_or(body, |end| &body[..end])
}

/// The rows of the first table in a text, without its head, cell by cell.
fn table(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| ")).take_while(|line| line.starts_with("| "));
    let rows = rows.map(|line| {
        let line = line.replace("\\|", "\u{1}");
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|"));
        cells.collect::<Vec<_>>()
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 2, "a table has a head, a rule and rows");
    rows[2..].to_vec()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn subcommands() -> Vec<Command> {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let real = cli.get_subcommands().filter(|command| command.get_name() != "help");
    real.cloned().collect()
}

#[test]
fn the_readme_names_every_command_of_the_help_and_no_other() {
    let readme = read("README.md");
    let rows = table(section(&readme, "## Commands"));
    let named: BTreeSet<String> =
        rows.iter().filter_map(|row| quoted(&row[0]).next()?.split(' ').nth(1).map(ToOwned::to_owned)).collect();
    let real: BTreeSet<String> = subcommands().iter().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(named, real);
}

#[test]
fn every_flag_that_the_readme_names_is_one_of_the_help() {
    let readme = read("README.md");
    let mut commands = subcommands();
    commands.push(Cli::command());
    let real: BTreeSet<String> =
        commands.iter().flat_map(Command::get_arguments).filter_map(|flag| flag.get_long()).map(Into::into).collect();
    let ours = section(&readme, "## Commands").to_owned() + section(&readme, "## A first real job in five minutes");
    for word in ours.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        if let Some(flag) = word.strip_prefix("--").filter(|flag| flag.starts_with(|c: char| c.is_ascii_alphabetic())) {
            assert!(real.contains(flag), "there is no --{flag}");
        }
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    insta::assert_snapshot!("imbulk", Cli::command().term_width(100).render_long_help().to_string());
    for command in subcommands() {
        let name = command.get_name().to_owned();
        // The value that a variable has on this machine is no part of the help.
        let mut command = command.mut_args(|flag| flag.hide_env_values(true));
        insta::assert_snapshot!(name, command.render_long_help().to_string());
    }
}

#[test]
fn the_table_of_operations_is_the_programs() {
    let readme = read("README.md");
    let rows = table(section(&readme, "## Operations"));
    assert_eq!(rows.len(), operation::ALL.len());
    for (row, operation) in rows.iter().zip(operation::ALL) {
        let columns: Vec<&str> = quoted(&row[4]).filter(|column| !column.starts_with("Tag_")).collect();
        assert_eq!(row[0], format!("`{}`", operation.name()));
        assert_eq!(row[1], format!("`{}`", operation.path()));
        assert_eq!(row[2], operation.items_per_request().to_string());
        assert_eq!(row[3], operation.calls_per_second().to_string());
        assert_eq!(columns, operation.shape().columns().collect::<Vec<_>>());
    }
}

#[test]
fn the_table_of_outcomes_has_them_all_in_their_order() {
    let readme = read("README.md");
    let rows = table(section(&readme, "## How it decides"));
    let named: Vec<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(named, Outcome::ALL.map(|outcome| outcome.name().to_owned()));
}

#[test]
fn every_code_that_the_readme_files_under_a_class_is_treated_so() {
    let readme = read("README.md");
    let start = readme.find("| class |").expect("the table of classes");
    for row in table(&readme[start..]) {
        for code in row[2].split(' ') {
            let code: i64 = code.parse().unwrap_or_else(|_| panic!("no code: {code}"));
            let classes = lookup(code).map_or_else(|| vec![ErrorClass::Unknown], |info| classes(info.rule));
            assert!(classes.iter().any(|class| class.name() == row[0]), "{code} is {classes:?}, not {}", row[0]);
        }
    }
}

fn classes(rule: imbulk::domain::response::codes::Rule) -> Vec<ErrorClass> {
    rule.lines().into_iter().map(|(_, class)| class).collect()
}

#[test]
fn every_exit_code_is_in_the_readme() {
    use imbulk::domain::exit::Exit;
    let all =
        [Exit::Done, Exit::DoneWithFailures, Exit::Stopped, Exit::Halted, Exit::Held, Exit::Unusable, Exit::Internal];
    let readme = read("README.md");
    let named: Vec<String> = table(section(&readme, "### Exit codes")).iter().map(|row| row[0].clone()).collect();
    let mut real = all.map(|exit| exit.code().to_string());
    real.sort();
    assert_eq!(named, real);
}

#[test]
fn every_file_and_test_that_a_document_names_is_there() {
    let folders = ["src/", "tests/", "crates/", "docs/", "jobs/", "benches/", "fuzz/", "migrations/"];
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        for name in quoted(&read(document).replace("```", "")) {
            let (path, test) = name.split_once("::").map_or((name, None), |(path, test)| (path, Some(test)));
            if !folders.iter().any(|folder| path.starts_with(folder)) || path.contains(['*', ' ', '…']) {
                continue;
            }
            let file = root().join(path);
            let has = |test| read(path).contains(&format!("fn {test}("));
            if !file.exists() || test.is_some_and(|test| !has(test)) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}\n", missing.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document).parent().map_or_else(PathBuf::new, Path::to_owned);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("http") {
                continue;
            }
            assert!(path.is_empty() || folder.join(path).exists(), "{document}: {link} leads nowhere");
            let heading = |line: &&str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == anchor;
            let headed = text.lines().filter(|line| line.starts_with('#')).any(|line| heading(&line));
            assert!(anchor.is_empty() || !path.is_empty() || headed, "{document}: no heading {link}");
        }
    }
}
