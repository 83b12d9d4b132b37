//! Every `imbulk …` in a text is a command that can be typed.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use imbulk::cli::Cli;

use crate::pages::{self, files_below};
use crate::{read, subcommands};

/// Files whose texts users read: the program's own, the documents, and the jobs.
fn texts() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = pages::all().into_iter().map(PathBuf::from).collect();
    for folder in ["src", "crates", "jobs", "migrations"] {
        files_below(Path::new(folder), &mut files);
    }
    let is_text = |file: &PathBuf| {
        let ends = file.extension().is_some_and(|end| ["rs", "md", "toml", "sql", "txt"].iter().any(|own| end == *own));
        ends && !file.ends_with("tests.rs")
    };
    files.retain(is_text);
    files.iter().map(|file| (file.display().to_string(), read(&file.display().to_string()))).collect()
}

/// The commands of a text: what is in backticks after `imbulk`, lines of examples, and in texts of the program what
/// follows `imbulk` and a subcommand's name, up to two blanks.
fn commands(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // A text of the program may go on in the next line of its file.
    let text = text.replace("\\\n", " ");
    let is_code = Path::new(file).extension().is_some_and(|end| end == "rs");
    let names: Vec<String> = subcommands().iter().map(|command| command.get_name().to_owned()).collect();
    for line in text.lines() {
        let line = line.trim().trim_start_matches("$ ");
        let in_backticks = line.split('`').skip(1).step_by(2);
        found.extend(in_backticks.filter_map(|quoted| quoted.strip_prefix("imbulk ")).map(one_blank));
        let is_example = !is_code && line.split_whitespace().any(|word| word == "imbulk") && !line.contains('`');
        let is_hint = is_code && line.contains('"') && !line.starts_with("//");
        if is_example || is_hint {
            let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            for rest in outside.split("imbulk ").skip(1) {
                let name = rest.split(' ').next().unwrap_or_default();
                if names.iter().any(|own| own == name) {
                    found.push(until_prose(rest));
                }
            }
        }
    }
    found
}

fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn until_prose(rest: &str) -> String {
    let ends = ["  ", "\"", " #", " &", " >", " |", ";", ")", "\\n"].iter().filter_map(|end| rest.find(end)).min();
    rest[..ends.unwrap_or(rest.len())].to_owned()
}

/// With a value in place of each placeholder.
fn filled(command: &str) -> Vec<String> {
    let words = command.split(' ').filter(|word| !word.is_empty() && *word != "…" && *word != "...");
    let words = words.map(|word| {
        let word = word.trim_matches(['[', ']']).trim_end_matches("...").trim_end_matches('…');
        match word {
            "CODE" | "N" => "1".to_owned(),
            "SHELL" => "bash".to_owned(),
            "SUBCOMMAND" => "run".to_owned(),
            "OPERATION" => "account_delete".to_owned(),
            word if word.contains('{') => "1".to_owned(),
            word => word.to_owned(),
        }
    });
    std::iter::once("imbulk".to_owned()).chain(words).collect()
}

/// What is wrong with a command; nothing is where the text only names a subcommand.
fn problem(command: &str) -> Option<String> {
    let words = filled(command);
    match Cli::try_parse_from(&words) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
            ErrorKind::MissingRequiredArgument if words.len() == 2 => None,
            _ => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

#[test]
fn every_command_that_a_text_names_can_be_typed() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (file, text) in texts() {
        for command in commands(&file, &text) {
            seen += 1;
            wrong.extend(problem(&command).map(|problem| format!("{file}: `imbulk {command}`: {problem}")));
        }
    }
    assert!(wrong.is_empty(), "not commands of imbulk:\n{}\n", wrong.join("\n"));
    assert!(seen > 50, "only {seen} commands found");
}

#[test]
fn a_command_that_does_not_exist_is_found_in_every_kind_of_text() {
    let advice = r#"advice: "pause it: `imbulk control NAME pause`","#;
    let hint = r#"steps.push(format!("imbulk retry {job} --outcom failed     sends them again"));"#;
    let example = "```sh\nimbulk run job.toml --exekute\n```";
    for (file, text) in [("a.rs", advice), ("b.rs", hint), ("c.md", example)] {
        let found = commands(file, text);
        assert!(found.iter().any(|command| problem(command).is_some()), "{file}: {found:?}");
    }
    for fine in ["run", "results NAME --outcome failed", "explain CODE", "status [NAME]", "run {job} --execute"] {
        assert_eq!(problem(fine), None, "{fine}");
    }
}
