//! Limits of size: columns per line, lines per file and function, parameters per function.

use crate::File;
use crate::tokens::{Token, tokens};
use crate::violations::Violation;

const CODE_COLUMNS: usize = 120;
const PROSE_COLUMNS: usize = 100;
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 60;
const PARAMETERS: usize = 6;

/// Lines that are wider than the limit. Text that was captured from the program is left out.
pub(crate) fn too_wide(file: &File) -> Vec<Violation> {
    let columns = match file.extension() {
        "rs" | "sql" | "toml" | "py" => CODE_COLUMNS,
        "md" => PROSE_COLUMNS,
        _ => return Vec::new(),
    };
    let is_prose = columns == PROSE_COLUMNS;
    let mut found = Vec::new();
    let mut is_code_block = false;
    for (line, text) in file.text.lines().enumerate() {
        let prose = if is_prose { without_links(text) } else { text.to_owned() };
        if is_prose && text.trim_start().starts_with("```") {
            is_code_block = !is_code_block;
        }
        let is_table = is_prose && text.starts_with('|');
        // A path in backticks can't be wrapped.
        let is_one_word = is_prose && !text.trim().contains(' ');
        let width = prose.chars().count();
        if width > columns && !is_code_block && !is_table && !is_one_word {
            found.push(Violation::new("width", file, line + 1, format!("{width} columns, more than {columns}")));
        }
    }
    found
}

/// A line of Markdown without the targets of its links.
fn without_links(line: &str) -> String {
    let mut parts = line.split("](");
    let mut prose = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        prose.push(']');
        prose.push_str(part.split_once(')').unwrap_or_default().1);
    }
    prose.split(' ').filter(|word| !word.contains("https://")).collect::<Vec<_>>().join(" ")
}

/// A file above the limit probably has two topics.
pub(crate) fn too_long(file: &File) -> Option<Violation> {
    let lines = file.text.lines().count();
    let text = format!("{lines} lines, more than {FILE_LINES}; split it by topic");
    (lines > FILE_LINES).then(|| Violation::new("length", file, 1, text))
}

/// Functions with too many lines or parameters.
pub(crate) fn functions(file: &File) -> Vec<Violation> {
    let tokens = tokens(&file.text);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Some(function) = Function::read(&tokens[at..]) else { continue };
        let line = tokens[at].line;
        if function.lines > FUNCTION_LINES {
            let text = format!("`{}` has {} lines, more than {FUNCTION_LINES}", function.name, function.lines);
            found.push(Violation::new("function", file, line, text));
        }
        if function.parameters > PARAMETERS {
            let text = format!("`{}` has {} parameters, more than {PARAMETERS}", function.name, function.parameters);
            found.push(Violation::new("parameters", file, line, text));
        }
    }
    found
}

#[derive(Debug, PartialEq)]
struct Function {
    name: String,
    /// With `self`.
    parameters: usize,
    /// From `fn` to the brace that ends the body.
    lines: usize,
}

impl Function {
    /// The function that starts at the first token, if one does.
    fn read(tokens: &[Token]) -> Option<Self> {
        let [keyword, name, ..] = tokens else { return None };
        let is_name = name.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if *keyword != "fn" || !is_name {
            return None;
        }
        let open = 2 + outside(&tokens[2..], |token| *token == "(")?;
        let close = open + end_of_group(&tokens[open..])?;
        let body = close + outside(&tokens[close..], |token| *token == "{" || *token == ";")?;
        let end = if tokens[body] == "{" { body + end_of_group(&tokens[body..])? } else { body };
        Some(Self {
            name: name.text.clone(),
            parameters: parameters(&tokens[open + 1..close]),
            lines: tokens[end].line - keyword.line + 1,
        })
    }
}

/// The first token outside brackets and `<…>` of which this is true.
fn outside(tokens: &[Token], is_wanted: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if depth == 0 && is_wanted(token) {
            return Some(at);
        }
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            // `->` ends nothing.
            ">" if at > 0 && tokens[at - 1] == "-" => {}
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The bracket that closes the one at the first token.
fn end_of_group(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

fn parameters(tokens: &[Token]) -> usize {
    let mut count = 0;
    let mut rest = tokens;
    while !rest.is_empty() {
        count += 1;
        let Some(comma) = outside(rest, |token| *token == ",") else { break };
        rest = &rest[comma + 1..];
    }
    count
}

#[test]
fn a_line_one_column_too_wide_is_reported_in_code_and_in_prose() {
    let wide = |path: &str, text: &str| too_wide(&File::new(path, text)).len();
    assert_eq!(wide("src/a.rs", &format!("// {}", "ä".repeat(117))), 0);
    assert_eq!(wide("src/a.rs", &format!("// {}", "ä".repeat(118))), 1);
    assert_eq!(wide("README.md", &"ä".repeat(100)), 0);
    assert_eq!(wide("README.md", &"ä ".repeat(51)), 1);
    let long = "ä".repeat(101);
    assert_eq!(wide("README.md", &format!("  `{long}`")), 0);
    assert_eq!(wide("README.md", &format!("a `{long}`")), 1);
    assert_eq!(wide("README.md", &format!("| {long} |\n```\n{long}\n```\n[a]({long}) https://{long}")), 0);
    assert_eq!(wide("README.md", &format!("```\n```\n{long} a")), 1);
}

#[test]
fn a_file_one_line_too_long_is_reported() {
    assert!(too_long(&File::new("src/a.rs", &"\n".repeat(FILE_LINES))).is_none());
    assert!(too_long(&File::new("src/a.rs", &"\n".repeat(FILE_LINES + 1))).is_some());
}

#[test]
fn a_function_one_line_too_long_is_reported_at_its_line() {
    let function = |lines: usize| format!("\n#[test]\nfn f() -> [u8; 2] {{{}}}\n", "\n".repeat(lines - 1));
    assert_eq!(functions(&File::new("src/a.rs", &function(FUNCTION_LINES))).len(), 0);
    let found = functions(&File::new("src/a.rs", &function(FUNCTION_LINES + 1)));
    assert_eq!((found.len(), found[0].rule, found[0].line), (1, "function", 3));
}

#[test]
fn a_function_with_one_parameter_too_many_is_reported() {
    let of = |code: &str| Function::read(&tokens(code)).map(|function| function.parameters);
    assert_eq!(of("fn f();"), Some(0));
    assert_eq!(of("fn f<F: Fn(u8, u8) -> u8>(self, m: HashMap<u8, fn(u8, u8) -> u8>, (a, b): (u8, u8),) {}"), Some(3));
    assert_eq!(of("fn(u8, u8) -> u8"), None);
    let found = functions(&File::new("src/a.rs", "fn f(a: A, b: B, c: C, d: D, e: E, f: F, g: G) {}"));
    assert_eq!((found.len(), found[0].rule), (1, "parameters"));
}
