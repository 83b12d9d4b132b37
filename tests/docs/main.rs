//! Compares the documents with the program: commands, options, defaults, codes, files and tests.

mod commands;
mod deploy;
mod examples;
mod job_file;
mod manual;
mod messages;
mod pages;
mod sandbox;
mod texts;
mod translations;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use imbulk::cli::Cli;
use imbulk::domain::operation::{self, FieldKind, FieldName, FieldsRequired};
use imbulk::domain::response::codes::{ErrorClass, lookup};
use imbulk::domain::response::outcome::Outcome;

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

/// The texts in backticks.
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
fn the_readme_can_be_read_in_five_minutes() {
    assert!(read("README.md").lines().count() <= 150, "longer texts belong into docs/");
}

#[test]
fn the_reference_names_every_command_and_no_other() {
    let reference = read("docs/reference/commands.md");
    let named: BTreeSet<String> = table(&reference)
        .iter()
        .filter_map(|row| quoted(&row[0]).next()?.split(' ').nth(1).map(ToOwned::to_owned))
        .collect();
    let real: BTreeSet<String> = subcommands().iter().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(named, real);
}

/// The long names of the options that a help text shows.
fn options(command: &Command, global: bool) -> BTreeSet<&str> {
    let own = command.get_arguments().filter(|option| option.is_global_set() == global);
    own.filter_map(|option| option.get_long()).filter(|name| *name != "help" && *name != "version").collect()
}

/// The long options that a section of the reference has in its table.
fn listed(section: &str) -> BTreeSet<&str> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let words = cells.flat_map(|cell| cell.split(['`', ' ', ',']));
    words.filter_map(|word| word.strip_prefix("--")).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_reference_names_every_option_of_a_command_and_no_other() {
    let reference = read("docs/reference/commands.md");
    for command in subcommands() {
        let part = section(&reference, &format!("## imbulk {}", command.get_name()));
        assert_eq!(listed(part), options(&command, false), "imbulk {}", command.get_name());
    }
    assert_eq!(listed(section(&reference, "## Options of every command")), options(&Cli::command(), true));
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
    let rows = table(&read("docs/reference/operations.md"));
    assert_eq!(rows.len(), operation::ALL.len());
    for (row, operation) in rows.iter().zip(operation::ALL) {
        let columns: Vec<&str> = quoted(&row[4]).collect();
        assert_eq!(row[0], format!("`{}`", operation.name));
        assert_eq!(row[1], format!("`{}`", operation.path));
        assert_eq!(row[2], operation.items_per_request.to_string());
        assert_eq!(row[3], operation.calls_per_second.to_string());
        assert_eq!(columns, operation.shape.all_columns());
    }
}

#[test]
fn the_table_of_fields_is_the_programs() {
    let page = read("docs/reference/operations.md");
    let rows = table(page.split_once("Some operations have fields").expect("a second table").1);
    let fields = operation::ALL.iter().flat_map(|operation| {
        let family = operation.shape.fields;
        family.fields.iter().map(move |field| {
            let most = match field.kind {
                FieldKind::Text { max_bytes } | FieldKind::TextOrInteger { max_bytes } => {
                    format!(", at most {max_bytes} bytes")
                }
                FieldKind::Groups { max_bytes } => format!(", at most {max_bytes} bytes each"),
                FieldKind::OneOf(_) | FieldKind::Prefixed { .. } | FieldKind::Integer { .. } => String::new(),
            };
            let required = match family.required {
                FieldsRequired::One => "at least one of the fields",
                FieldsRequired::Named(name) if field.name == FieldName::Exact(name) => "yes",
                FieldsRequired::Named(_) | FieldsRequired::None => "no",
            };
            let [operation, name] = [operation.name.to_owned(), field.name.to_string()].map(|text| format!("`{text}`"));
            vec![operation, name, format!("{}{most}", field.kind), required.to_owned()]
        })
    });
    assert_eq!(rows, fields.collect::<Vec<_>>());
}

#[test]
fn the_table_of_outcomes_has_them_all_in_their_order() {
    let rows = table(&read("docs/reference/results.md"));
    let named: Vec<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(named, Outcome::ALL.map(|outcome| outcome.name().to_owned()));
}

#[test]
fn every_code_of_the_reference_has_the_class_of_its_row() {
    for row in table(&read("docs/reference/error-codes.md")) {
        for code in row[2].split(' ') {
            let code: i64 = code.parse().unwrap_or_else(|_| panic!("no code: {code}"));
            let classes = lookup(code).map_or_else(|| vec![ErrorClass::Unknown], classes);
            assert!(classes.iter().any(|class| class.name() == row[0]), "{code} is {classes:?}, not {}", row[0]);
        }
    }
}

fn classes(info: &imbulk::domain::response::codes::CodeInfo) -> Vec<ErrorClass> {
    info.lines().into_iter().map(|(_, class)| class).collect()
}

#[test]
fn every_exit_code_is_in_the_reference() {
    use imbulk::domain::exit::Exit;
    let all =
        [Exit::Done, Exit::DoneWithFailures, Exit::Stopped, Exit::Halted, Exit::InUse, Exit::Unusable, Exit::Internal];
    let rows = table(&read("docs/reference/exit-codes.md"));
    let named: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let mut real = all.map(|exit| exit.code().to_string());
    real.sort();
    assert_eq!(named, real);
}

#[test]
fn every_file_and_test_that_a_document_names_is_there() {
    let folders = ["src/", "tests/", "crates/", "deploy/", "docs/", "jobs/", "benches/", "fuzz/", "migrations/"];
    let mut missing = Vec::new();
    for document in pages::all() {
        for name in quoted(&read(&document).replace("```", "")) {
            let (path, test) = name.split_once("::").map_or((name, None), |(path, test)| (path, Some(test)));
            if !folders.iter().any(|folder| path.starts_with(folder))
                || path.contains(['*', ' ', '…'])
                || path.contains("NAME")
            {
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
    for document in pages::all() {
        let text = read(&document);
        let folder = root().join(&document).parent().map_or_else(PathBuf::new, Path::to_owned);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("http") {
                continue;
            }
            assert!(path.is_empty() || folder.join(path).exists(), "{document}: {link} leads nowhere");
            let target = if path.is_empty() { text.clone() } else { read_page(&folder.join(path)) };
            assert!(anchor.is_empty() || anchors(&target).any(|own| own == anchor), "{document}: no heading {link}");
        }
    }
}

/// The text of a page; nothing for a folder or a picture.
fn read_page(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What links to the headings of a page are called.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    })
}

/// The keys of a JSON value, and of everything within it.
fn keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_json_examples_is_explained() {
    let page = read("docs/reference/json.md");
    let mut named: BTreeSet<String> = quoted(&page.replace("```", "")).map(ToOwned::to_owned).collect();
    named.extend(Outcome::ALL.map(|outcome| outcome.name().to_owned()));
    let examples = pages::blocks("docs/reference/json.md").into_iter().filter(|block| block.language == "console");
    for pages::Block { text, line, .. } in examples {
        let start = text.find(['[', '{']).expect("an example of JSON");
        let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter();
        let mut real = BTreeSet::new();
        keys(&stream.next().expect("an example").expect("well-formed JSON"), &mut real);
        // The body of a sample has the keys of the API.
        real.retain(|key| !key.starts_with(char::is_uppercase));
        let missing: Vec<_> = real.difference(&named).collect();
        assert!(missing.is_empty(), "docs/reference/json.md:{line}: not explained: {missing:?}");
    }
}
