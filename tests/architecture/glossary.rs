//! The words that docs/glossary.md rejects.

use std::collections::{BTreeMap, BTreeSet};

use crate::File;
use crate::tokens::tokens;
use crate::violations::Violation;

/// Files that have to contain rejected words: the page that lists them, this file, and the names of earlier tables.
const EXCEPT: [&str; 3] =
    ["docs/glossary.md", "tests/architecture/glossary.rs", "src/queue/sqlite/upgrade/rename_tables.sql"];

/// Words of the page's section "Exceptions" that are rejected everywhere but in these phrases. The other words of that
/// section are rejected only as the name of a type, a module or a file.
const PHRASES: [(&str, &[&str]); 2] = [
    ("task", &["tokio task", "std task", "util task", "task tracker", "pid task", "proc 0 task"]),
    ("exchange", &["compare exchange"]),
];

/// The tables of docs/glossary.md.
pub(crate) struct Glossary {
    /// Words and phrases, each a list of words in lower case, by the first letter.
    rejected: BTreeMap<char, Vec<Vec<String>>>,
    /// Words that have another meaning as well.
    excepted: BTreeSet<String>,
}

pub(crate) fn read() -> Glossary {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/glossary.md");
    let glossary = Glossary::parse(&std::fs::read_to_string(path).expect("docs/glossary.md is there"));
    assert!(glossary.rejected.len() > 10 && !glossary.excepted.is_empty(), "docs/glossary.md has lost its tables");
    glossary
}

impl Glossary {
    /// Takes the column "do not write" of every table, and the column "word" of the exceptions.
    fn parse(page: &str) -> Self {
        let column = |name: &str| cells(page, name);
        let mut rejected: BTreeMap<char, Vec<Vec<String>>> = BTreeMap::new();
        for words in column("do not write").iter().flat_map(|cell| cell.split(',')).map(list) {
            if let Some(first) = words.first().and_then(|word| word.chars().next()) {
                rejected.entry(first).or_default().push(words);
            }
        }
        Self { rejected, excepted: column("word").iter().map(|word| word.to_lowercase()).collect() }
    }

    /// The rejected words and phrases that a word may start.
    fn starting_with(&self, word: &str) -> impl Iterator<Item = &Vec<String>> {
        word.chars().next().and_then(|first| self.rejected.get(&first)).into_iter().flatten()
    }

    fn rejects(&self, words: &[String]) -> bool {
        self.rejected.values().flatten().any(|rejected| rejected == words)
    }
}

fn list(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| word.text).collect()
}

/// The cells of the columns with this head, in all tables of a page.
fn cells(page: &str, head: &str) -> Vec<String> {
    let split = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let mut cells = Vec::new();
    let mut column = None;
    let mut is_in_table = false;
    for line in page.lines() {
        let is_row = line.starts_with('|');
        if is_row && !is_in_table {
            column = split(line).iter().position(|cell| cell == head);
        } else if let Some(column) = column.filter(|_| is_row && !line.contains("---")) {
            cells.extend(split(line).get(column).cloned());
        }
        is_in_table = is_row;
    }
    cells
}

/// A word of a text. `snake_case` and `CamelCase` are several words.
struct Word {
    /// In lower case.
    text: String,
    line: usize,
    /// Whether only spaces, hyphens and the marks of comments separate it from the word before.
    follows: bool,
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut line = 1;
    let mut follows = false;
    let mut is_in_word = false;
    for (at, c) in chars.iter().enumerate() {
        if c.is_alphanumeric() {
            let before = if at > 0 { chars[at - 1] } else { ' ' };
            let next_is_lower = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
            let starts = c.is_uppercase() && (!before.is_uppercase() || next_is_lower);
            if !is_in_word || starts {
                words.push(Word { text: String::new(), line, follows });
            }
            words.last_mut().expect("one was pushed").text.extend(c.to_lowercase());
            (is_in_word, follows) = (true, true);
        } else {
            is_in_word = false;
            follows &= c.is_whitespace() || matches!(c, '-' | '_' | '/' | '!' | ':' | '{' | '}');
            line += usize::from(*c == '\n');
        }
    }
    words
}

/// The rejected words that a file or its name contains.
pub(crate) fn rejected(file: &File, glossary: &Glossary) -> Vec<Violation> {
    if EXCEPT.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    for (text, in_name) in [(&file.path, true), (&file.text, false)] {
        let words = words(text);
        for (at, word) in words.iter().enumerate() {
            for rejected in glossary.starting_with(&word.text).filter(|rejected| is_at(&words, at, rejected)) {
                let is_bad = match rejected.as_slice() {
                    [single] if glossary.excepted.contains(single) => is_rejected_here(&words, at, single),
                    _ => true,
                };
                if is_bad {
                    let place = if in_name { "the file's name: " } else { "" };
                    found.push((word.line, format!("{place}`{}`", rejected.join(" "))));
                }
            }
        }
    }
    found.extend(names(file).filter_map(|(line, name)| {
        let is_in_phrases = PHRASES.iter().any(|(word, _)| *word == name);
        let is_bad =
            glossary.excepted.contains(&name) && !is_in_phrases && glossary.rejects(std::slice::from_ref(&name));
        is_bad.then(|| (line, format!("the name `{name}`")))
    }));
    found.sort();
    found.dedup();
    found.into_iter().map(|(line, text)| Violation::new("word", file, line, text)).collect()
}

/// Whether the words from a place on are these. The last one may have an ending.
fn is_at(words: &[Word], at: usize, rejected: &[String]) -> bool {
    let Some(here) = words.get(at..at + rejected.len()) else { return false };
    let last = rejected.len() - 1;
    here.iter().zip(rejected).enumerate().all(|(n, (word, rejected))| {
        let ending = word.text.strip_prefix(rejected.as_str());
        let is_same = ending.is_some_and(|ending| ending.is_empty() || n == last && is_ending(ending));
        is_same && (n == 0 || word.follows)
    })
}

fn is_ending(ending: &str) -> bool {
    matches!(ending, "s" | "d" | "ed" | "ing")
}

/// Whether a word with an exception is used outside its phrases.
fn is_rejected_here(words: &[Word], at: usize, word: &str) -> bool {
    let Some((_, phrases)) = PHRASES.iter().find(|(name, _)| *name == word) else { return false };
    !phrases.iter().any(|phrase| {
        let phrase = list(phrase);
        let before = phrase.iter().position(|part| part == word).expect("a phrase contains its word");
        at.checked_sub(before).is_some_and(|start| is_at(words, start, &phrase))
    })
}

/// The names of a file, its types and its modules, in lower case, with their lines.
fn names(file: &File) -> impl Iterator<Item = (usize, String)> {
    let stem = file.path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
    let tokens = if file.extension() == "rs" { tokens(&file.text) } else { Vec::new() };
    let declares = |text: &str| matches!(text, "struct" | "enum" | "trait" | "type" | "mod");
    let declared: Vec<(usize, String)> = tokens
        .windows(2)
        .filter(|pair| declares(&pair[0].text))
        .map(|pair| (pair[1].line, pair[1].text.to_lowercase()))
        .collect();
    [(1, stem.to_lowercase())].into_iter().chain(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
| term | meaning | do not write |
| --- | --- | --- |
| job | a file | task, order |
| slot | a right | lane |
| sandbox | a mock | stand-in |

| do not write | write |
| --- | --- |
| so many | the number |

| word | the other meaning |
| --- | --- |
| task | of tokio |
| order | a sequence |
";

    fn found(path: &str, text: &str) -> Vec<String> {
        let glossary = Glossary::parse(PAGE);
        rejected(&File::new(path, text), &glossary).into_iter().map(|v| format!("{}: {}", v.line, v.text)).collect()
    }

    #[test]
    fn a_rejected_word_is_reported_in_comments_texts_and_identifiers() {
        assert_eq!(found("src/a.rs", "// a Lane\nlet x = \"lanes\";"), ["1: `lane`", "2: `lane`"]);
        assert_eq!(found("src/a.rs", "struct HTTPLane; fn my_lane(lane2: u8)"), ["1: `lane`"]);
        assert_eq!(found("docs/a.md", "A stand-in for\nso\nmany."), ["1: `stand in`", "2: `so many`"]);
        assert_eq!(found("src/lane.rs", ""), ["1: the file's name: `lane`"]);
    }

    #[test]
    fn a_part_of_a_word_and_words_apart_are_not_reported() {
        assert_eq!(found("src/a.rs", "plane, laner; so. Many; stand(in)"), [""; 0]);
    }

    #[test]
    fn a_word_with_an_exception_is_reported_outside_its_phrases() {
        assert_eq!(found("src/a.rs", "tokio::task::spawn(a tokio task)"), [""; 0]);
        assert_eq!(found("src/a.rs", "// a task"), ["1: `task`"]);
    }

    #[test]
    fn a_word_with_an_exception_and_no_phrase_is_reported_as_a_name() {
        assert_eq!(found("src/a.rs", "// in order\nfn order(order: Ordering)"), [""; 0]);
        assert_eq!(found("src/a.rs", "\npub struct Order<T>;"), ["2: the name `order`"]);
        assert_eq!(found("src/order.rs", ""), ["1: the name `order`"]);
    }

    #[test]
    fn the_tables_of_the_page_are_read() {
        let glossary = read();
        let has = |word: &str| glossary.rejects(&list(word));
        assert!(has("lane") && has("stand-in") && has("so many"), "columns of both tables");
        assert!(glossary.excepted.contains("order"), "the exceptions");
    }
}
