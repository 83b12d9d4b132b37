//! `docs/messages.md` lists every text that the program can print, so that its language can be reviewed in one sitting.
//!
//! The texts are the string literals of the source that read as prose. Left out are tests, SQL, attributes other than
//! `#[error]`, and the texts of panics. The help has snapshots of its own.

use std::path::{Path, PathBuf};

use imbulk::domain::response::codes::lookup;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::pages::files_below;
use crate::texts::is_chinese;
use crate::{quoted, read, root, section, table};

const PAGE: &str = "docs/messages.md";

const HEAD: &str = "# Messages

Every text that the program can print, by source file: errors, hints, notes, questions, plans,
summaries and explanations of codes. `{}` and `{name}` are values. The list is generated, and
`tests/docs/messages.rs` fails when it is out of date. The help texts are in `tests/docs/snapshots`.
";

#[test]
fn the_list_of_messages_is_up_to_date() {
    let generated = page();
    if read(PAGE) == generated {
        return;
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages.md");
    std::fs::write(&new, generated).expect("a folder for files of tests");
    panic!("{PAGE} is out of date. Read the new list, then: cp {} {PAGE}", new.display());
}

#[test]
fn texts_for_people_are_found_and_others_are_not() {
    let source = r#"
        //! Documentation is no message.
        #[error("{path}: cannot be read")]
        struct E;
        #[expect(dead_code, reason = "a reason is no message")]
        fn f() {
            tell(format!("note: {n} rows are left\nhint: run it again"));
            sqlx::query("SELECT id FROM run");
            value.expect("a broken invariant");
            assert_eq!(a, b, "not this one");
            let key = "max_attempts";
        }
        #[cfg(test)]
        mod tests {
            const TEXT: &str = "only a test";
        }
        const AFTER: &str = "after the tests";
    "#;
    let expected = ["{path}: cannot be read", "note: {n} rows are left\nhint: run it again", "after the tests"];
    assert_eq!(messages(source), expected);
}

#[test]
fn the_messages_that_the_guide_for_causes_quotes_are_printed_by_the_program() {
    let guide = read("docs/guides/troubleshoot.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = words(&read(PAGE));
    let mut checked = 0;
    for heading in ["## Before the first call", "## While it sends"] {
        for row in table(section(&guide, heading)) {
            for message in quoted(&row[0].replace("`` ", "`").replace(" ``", "`")) {
                let code = message.strip_prefix("code ").and_then(|rest| rest.split(':').next());
                if let Some(code) = code {
                    let code = code.parse().unwrap_or_else(|_| panic!("{message}: not a code"));
                    assert!(lookup(code).is_some(), "{message}: unknown to imbulk");
                } else {
                    let parts = message.split('…').map(|part| words(part.trim_end_matches([':', ' '])));
                    parts.for_each(|part| assert!(printed.contains(&part), "{message}: `{part}` is not printed"));
                }
                checked += 1;
            }
        }
    }
    assert!(checked >= 30, "{checked} messages are checked");
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for file in sources() {
        let file = file.display().to_string();
        let messages = messages(&read(&file));
        if messages.is_empty() {
            continue;
        }
        page.push_str(&format!("\n## {file}\n\n```text\n"));
        for message in messages {
            message.lines().enumerate().for_each(|(at, line)| wrap(&mut page, line.trim_end(), at > 0));
        }
        page.push_str("```\n");
    }
    page
}

/// Adds a line, wrapped; lines that continue a message are indented.
fn wrap(page: &mut String, line: &str, continues: bool) {
    const WIDTH: usize = 100;
    let mut current = if continues { "    ".to_owned() } else { String::new() };
    for word in line.split(' ') {
        if !current.trim().is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH {
            page.push_str(current.trim_end());
            page.push('\n');
            "    ".clone_into(&mut current);
        }
        if !current.trim().is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    page.push_str(current.trim_end());
    page.push('\n');
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    files_below(Path::new("src"), &mut files);
    files_below(Path::new("crates/imbulk-sandbox/src"), &mut files);
    files.retain(|file| {
        let is_test = file.iter().any(|part| {
            ["tests", "tests.rs", "testing.rs", "simulation", "cli.rs", "manual"].iter().any(|name| part == *name)
        });
        file.extension().is_some_and(|end| end == "rs") && !is_test
    });
    files.sort();
    assert!(files.len() > 100, "the sources are not below {}", root().display());
    files
}

/// The messages of a source file, in their order.
fn messages(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(source.parse().expect("a source file"), &mut found);
    let mut seen = std::collections::HashSet::new();
    found.retain(|text| is_message(text) && seen.insert(text.clone()));
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut is_test = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                let Some(TokenTree::Group(attribute)) = tokens.next_if(|next| is_group(next, Delimiter::Bracket))
                else {
                    continue;
                };
                let text = attribute.stream().to_string();
                if text.starts_with("error") {
                    collect(attribute.stream(), found);
                }
                is_test |= text.replace(' ', "") == "cfg(test)";
            }
            TokenTree::Ident(name) if is_for_programmers(&name.to_string()) => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                tokens.next_if(|next| is_group(next, Delimiter::Parenthesis));
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => is_test = false,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && is_test => is_test = false,
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

/// Calls whose texts no user sees: panics and SQL.
fn is_for_programmers(name: &str) -> bool {
    let names = ["expect", "expect_err", "panic", "unreachable", "query", "query_as", "query_scalar", "include_str"];
    names.contains(&name) || name.starts_with("assert") || name.starts_with("debug_assert")
}

/// Whether a literal reads as prose: two words and no SQL, or Chinese.
fn is_message(text: &str) -> bool {
    const SQL: [&str; 10] =
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "PRAGMA ", "CREATE ", "BEGIN ", "WITH ", "FROM ", "VALUES "];
    let text = text.trim();
    let is_word = |word: &&str| word.chars().filter(char::is_ascii_lowercase).count() > 1;
    let is_sql = SQL.iter().any(|start| text.starts_with(start))
        || [" = ?", "ORDER BY", "excluded.", "(run, "].iter().any(|part| text.contains(part));
    let is_chinese = text.chars().any(is_chinese);
    is_chinese || !is_sql && text.split_whitespace().filter(is_word).count() > 1
}
