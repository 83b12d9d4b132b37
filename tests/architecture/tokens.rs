//! A lexer for as much of Rust as the rules need. Comments and string literals are left out.

/// An identifier, a number, `::`, or one other character.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

impl PartialEq<&str> for Token {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// The tokens of a file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let (length, token) = next(&chars[at..]);
        tokens.extend(token.map(|text| Token { text, line }));
        let end = chars.len().min(at + length);
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// The length of what comes next, and the token if it is one.
fn next(rest: &[char]) -> (usize, Option<String>) {
    match rest {
        ['/', '/', ..] => (rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), None),
        ['/', '*', ..] => (comment(rest), None),
        ['"', ..] => (string(rest), None),
        ['r' | 'b' | 'c', ..] if raw(rest).is_some() => (raw(rest).unwrap_or(1), None),
        ['\'', ..] => (quote(rest), None),
        [':', ':', ..] => (2, Some("::".to_owned())),
        [c, ..] if c.is_whitespace() => (1, None),
        [c, ..] if is_word(*c) => {
            let word: String = rest.iter().take_while(|c| is_word(**c)).collect();
            (word.chars().count(), Some(word))
        }
        _ => (1, Some(rest[0].to_string())),
    }
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

/// Length of a string literal.
fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of a raw string literal, `r#"…"#`, if it is one.
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

/// Length of a character literal, or of the `'` in front of a lifetime.
fn quote(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => 3 + tail.iter().position(|c| *c == '\'').map_or(0, |end| end + 1),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}
