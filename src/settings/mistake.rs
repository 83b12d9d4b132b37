//! What is wrong with a job file, and where.

use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::nearest::nearest;

/// A job file that can't be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum JobFileError {
    /// It can't be read.
    #[error("{}: the job file cannot be read", file.display())]
    Read {
        /// The job file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wrong(Box<Mistake>),
}

/// A wrong place in a job file, ready to be shown with the line and a caret.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{}:{line}:{column}: {message}", file.display())]
pub struct Mistake {
    /// The job file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[help]
    pub hint: Option<String>,
    #[source_code]
    text: NamedSource<String>,
    #[label]
    span: SourceSpan,
}

/// A mistake that doesn't know its file yet.
#[derive(Debug)]
pub(super) struct Wrong {
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

/// A checked value, or what is wrong with it.
pub(super) type Checked<T> = Result<T, Wrong>;

impl Wrong {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Lists what is legal, the likeliest first.
    #[must_use]
    pub(super) fn legal(self, typed: &str, legal: &[&str]) -> Self {
        let all = format!("legal here: `{}`", legal.join("`, `"));
        match nearest(typed, legal) {
            Some(word) => self.hint(format!("did you mean `{word}`? {all}")),
            None => self.hint(all),
        }
    }

    /// The mistake in its file.
    pub(super) fn in_file(self, file: &Path, text: &str) -> JobFileError {
        let start = self.span.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        JobFileError::Wrong(Box::new(Mistake {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: self.message,
            hint: self.hint,
            text: NamedSource::new(file.to_string_lossy(), without_secrets(text)),
            span: self.span.into(),
        }))
    }
}

/// Turns serde's words into ours.
impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        let said = error.message();
        let wrong = |message| Self::new(error.span().unwrap_or(0..0), message);
        if said.starts_with("unknown field") {
            let mut names = said.split('`').skip(1).step_by(2);
            let typed = names.next().unwrap_or_default();
            if is_secret(typed) {
                return wrong(format!("`{typed}`: a job file holds no secrets"))
                    .hint("take it out and set IMBULK_SECRET_KEY or IMBULK_USERSIG in the environment");
            }
            let legal: Vec<&str> = names.collect();
            return wrong(format!("unknown key `{typed}`")).legal(typed, &legal);
        }
        if let Some(name) = said.strip_prefix("missing field ") {
            return wrong(format!("{name} is missing"));
        }
        if let Some((found, expected)) = said.strip_prefix("invalid type: ").and_then(|s| s.rsplit_once(", expected "))
        {
            return wrong(format!("expected {}, found {}", plain(expected), plain(found)));
        }
        wrong(said.to_owned())
    }
}

/// serde's names of types in words of job files.
fn plain(kind: &str) -> &str {
    match kind {
        "a string" => "a text in quotes",
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table, date or time",
        other => other,
    }
}

/// Whether a key looks as if its value were a secret.
fn is_secret(key: &str) -> bool {
    let letters: String = key.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    ["secret", "usersig", "password", "signature"].iter().any(|word| letters.contains(word)) || letters == "key"
}

/// The text as it may be shown: whatever a line that speaks of a secret goes on to say is starred out, byte for byte. That
/// is the rest of the line, and the lines after it up to the next key or section, as the value may span lines; of a section
/// whose name speaks of a secret, it is every value.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut secret_section, mut secret_value, mut open_text) = (false, false, None);
    for line in text.split_inclusive('\n') {
        let (before, after) = line.split_at(line.find('=').filter(|at| is_key(&line[..*at])).map_or(0, |at| at + 1));
        let within = open_text.is_some();
        if !within && line.trim_start().starts_with('[') && before.is_empty() {
            secret_section = is_secret(line);
            secret_value = false;
        } else if !within && !before.is_empty() {
            secret_value = secret_section;
        }
        secret_value |= is_secret(before) || is_secret(line);
        if within || !line.trim_start().starts_with('#') {
            open_text = text_left_open(line, open_text);
        }
        match (secret_value, within) {
            (false, _) => shown.push_str(line),
            (true, false) => shown.push_str(&format!("{before}{}", stars(after))),
            (true, true) => shown.push_str(&stars(line)),
        }
    }
    shown
}

/// Whether this, in front of a `=`, is a key and no part of a value.
fn is_key(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.\"' \t".contains(c);
    let whole = |quote| text.matches(quote).count().is_multiple_of(2);
    !text.trim().is_empty() && text.chars().all(legal) && whole('"') && whole('\'')
}

/// The quotes of a text over several lines that is open behind this line, if one is.
fn text_left_open(line: &str, mut open: Option<&'static str>) -> Option<&'static str> {
    let mut rest = line;
    loop {
        let next = match open {
            Some(quotes) => rest.find(quotes).map(|at| (at, None)),
            None => ["\"\"\"", "'''"].into_iter().filter_map(|quotes| Some((rest.find(quotes)?, Some(quotes)))).min(),
        };
        let Some((at, state)) = next else { return open };
        (rest, open) = (&rest[at + 3..], state);
    }
}

fn stars(text: &str) -> String {
    let star = |c: char| {
        if c.is_whitespace() { c.to_string() } else { "*".repeat(c.len_utf8()) }
    };
    text.chars().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_speak_of_a_secret_are_starred_out_and_nothing_moves() {
        let text = "name = \"a\"\nSecret-Key = \"geheim ü\"\napp = { usersig = \"xyz\" }\nmax = 1\n";
        let shown = without_secrets(text);
        assert_eq!(shown.len(), text.len());
        for secret in ["geheim", "xyz"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("name = \"a\"\nSecret-Key = *") && shown.ends_with("max = 1\n"));
    }

    #[test]
    fn a_secret_is_starred_out_however_it_is_written() {
        for text in [
            "usersig: geheim\n",
            "# the secret key: geheim\n",
            "secret_key = \"\"\"\ngeheim=\n\"\"\"\n",
            "secret_key = '''\n\n[geheim]\na = geheim'''\n",
            "# \"\"\"\nsecret_key = \"\"\"\nx = geheim\n\"\"\"\n",
            "secrets = [\n  \"geheim==\",\n  'geheim',\n]\n",
            "[secrets]\nvalue = \"geheim\"\nmore = \"geheim\"\n",
            "key = \"geheim\"\n",
        ] {
            let shown = without_secrets(&format!("a = 1\n{text}[app]\nb = 2\n"));
            assert!(!shown.contains("geheim"), "{shown}");
            assert!(shown.starts_with("a = 1\n") && shown.ends_with("[app]\nb = 2\n"), "{shown}");
        }
    }

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let at = |text: &str, start| match Wrong::new(start..start, "x").in_file(Path::new("f"), text) {
            JobFileError::Wrong(mistake) => (mistake.line, mistake.column),
            JobFileError::Read { .. } => (0, 0),
        };
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("a = 1\nb = 2", 6), (2, 1));
        assert_eq!(at("a = \"用\" # x", 9), (1, 8));
        assert_eq!(at("a", 99), (1, 2));
    }
}
