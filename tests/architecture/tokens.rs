//! As much of Rust's grammar as it takes to see which modules a file names.

use std::collections::BTreeSet;

/// An identifier, a number, `::`, or one other character. Comments and texts are left out.
pub(crate) type Token = String;

/// The tokens of a file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => comment(rest),
            ['"', ..] => string(rest),
            ['r' | 'b' | 'c', ..] if raw(rest).is_some() => raw(rest).unwrap_or(1),
            ['\'', ..] => quote(rest),
            [':', ':', ..] => {
                tokens.push("::".to_owned());
                2
            }
            [c, ..] if c.is_whitespace() => 1,
            [c, ..] if is_word(*c) => {
                let word: String = rest.iter().take_while(|c| is_word(**c)).collect();
                let length = word.chars().count();
                tokens.push(word);
                length
            }
            _ => {
                tokens.push(rest[0].to_string());
                1
            }
        };
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of a block comment; they nest.
fn comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of a text in quotes.
fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of a raw text, `r#"…"#`, if it is one.
fn raw(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    if prefix > 2 || rest[prefix - 1] != 'r' {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let start = prefix + hashes + 1;
    if rest.get(start - 1) != Some(&'"') {
        return None;
    }
    let mut end = vec!['"'];
    end.resize(hashes + 1, '#');
    let length = rest[start..].windows(end.len()).position(|window| window == end)?;
    Some(start + length + end.len())
}

/// Length of a character, or of the mark in front of a lifetime.
fn quote(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => 3 + tail.iter().position(|c| *c == '\'').map_or(0, |end| end + 1),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// The top modules that a file names. `home` is the path of its own module.
pub(crate) fn uses(tokens: &[Token], home: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inner = Inner::default();
    for (at, token) in tokens.iter().enumerate() {
        inner.step(tokens, at);
        let starts = at == 0 || tokens[at - 1] != "::";
        if starts && matches!(token.as_str(), "crate" | "imbulk" | "super" | "self") {
            let mut here = home.to_vec();
            here.extend(inner.modules.iter().map(|(name, _)| name.clone()));
            follow(&tokens[at..], here, &mut found);
        }
    }
    found
}

/// The modules within the file that a place lies in.
#[derive(Default)]
struct Inner {
    depth: usize,
    /// Name, and the depth of braces at which it ends.
    modules: Vec<(String, usize)>,
}

impl Inner {
    fn step(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].as_str() {
            "{" => {
                if at >= 2 && tokens[at - 2] == "mod" {
                    self.modules.push((tokens[at - 1].clone(), self.depth));
                }
                self.depth += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.modules.pop_if(|(_, depth)| *depth == self.depth);
            }
            _ => {}
        }
    }
}

/// Follows a path, and all branches of `{a, b::{c}}`, from the module `here`. Notes the top module of each, and returns
/// how many tokens it took.
fn follow(tokens: &[Token], mut here: Vec<String>, found: &mut BTreeSet<String>) -> usize {
    let mut at = 0;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("crate" | "imbulk") => here.clear(),
            Some("super") => drop(here.pop()),
            Some("{") => return at + branches(&tokens[at..], &here, found),
            Some("self" | "*") | None => {}
            Some(name) => here.push(name.to_owned()),
        }
        if tokens.get(at + 1).map(String::as_str) != Some("::") {
            found.extend(here.first().cloned());
            return at + 1;
        }
        at += 2;
    }
}

fn branches(tokens: &[Token], here: &[String], found: &mut BTreeSet<String>) -> usize {
    let mut at = 1;
    while at < tokens.len() && tokens[at] != "}" {
        let starts = matches!(tokens[at - 1].as_str(), "{" | ",");
        at += if starts { follow(&tokens[at..], here.to_vec(), found) } else { 1 };
    }
    at + 1
}
