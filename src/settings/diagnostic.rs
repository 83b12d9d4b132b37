//! What is wrong with a job file, and where.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;

/// A job file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// It cannot be read.
    #[error("{}: the job file cannot be read: {source}", file.display())]
    Read {
        /// The job file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Wrong(#[from] JobFileDiagnostic),
}

/// A wrong place in a job file. It quotes nothing but the value at fault, because other lines may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", file.display())]
pub struct JobFileDiagnostic {
    /// The job file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The key, if one is at fault, and what is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Hint for JobFileError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Read { .. } => Some("name a job file; `imbulk init` writes one".into()),
            Self::Wrong(diagnostic) => diagnostic.hint.clone().map(Cow::Owned),
        }
    }
}

/// A value that cannot be used. It does not know its file yet.
#[derive(Debug)]
pub(super) struct InvalidValue {
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl InvalidValue {
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
        let all = format!("expected one of `{}`", legal.join("`, `"));
        match nearest(typed, legal) {
            Some(word) => self.hint(format!("did you mean `{word}`? {all}")),
            None => self.hint(all),
        }
    }

    /// A key that the job file does not have. `place`: the keys that lead to it, with a colon.
    pub(super) fn unknown_key(span: Range<usize>, place: &str, typed: &str, legal: &[&str]) -> Self {
        if is_secret(typed) {
            return Self::new(span, format!("{place}`{typed}`: a job file must not contain secrets"))
                .hint("remove it, and set IMBULK_SECRET_KEY or IMBULK_USERSIG in the environment");
        }
        Self::new(span, format!("{place}unknown key `{typed}`")).legal(typed, legal)
    }

    /// The diagnostic in its file.
    pub(super) fn in_file(self, file: &Path, text: &str) -> JobFileError {
        let line = line_of(text, &self.span);
        JobFileError::Wrong(JobFileDiagnostic { file: file.to_owned(), line, message: self.message, hint: self.hint })
    }
}

/// The line on which a span starts, from 1.
pub(super) fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// The word of `words` that `typed` most likely was meant to be.
fn nearest<'a>(typed: &str, words: &[&'a str]) -> Option<&'a str> {
    /// Below this, Jaro-Winkler calls words similar that share no more than a letter or two.
    const SIMILAR: f64 = 0.8;
    let typed = typed.to_lowercase();
    let near = words.iter().map(|word| (strsim::jaro_winkler(&typed, &word.to_lowercase()), *word));
    let (similarity, word) = near.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (similarity >= SIMILAR).then_some(word)
}

/// Turns serde's words into ours.
impl From<toml::de::Error> for InvalidValue {
    fn from(error: toml::de::Error) -> Self {
        let place = keys(&error).map(|keys| format!("{keys}: ")).unwrap_or_default();
        let said = error.message();
        let wrong = |message: &str| Self::new(error.span().unwrap_or(0..0), format!("{place}{message}"));
        if said.starts_with("unknown field") {
            let mut names = said.split('`').skip(1).step_by(2);
            let typed = names.next().unwrap_or_default();
            let legal: Vec<&str> = names.collect();
            return Self::unknown_key(error.span().unwrap_or(0..0), &place, typed, &legal);
        }
        if let Some(name) = said.strip_prefix("missing field ") {
            return wrong(&format!("{name} is missing"));
        }
        if let Some((found, expected)) = said.strip_prefix("invalid type: ").and_then(|s| s.rsplit_once(", expected "))
        {
            return wrong(&format!("expected {}, found {}", plain(expected), plain(found)));
        }
        wrong(said)
    }
}

/// The keys that lead to the place, joined by dots. The library names them in its text alone, and there only for an
/// error without the file.
fn keys(error: &toml::de::Error) -> Option<String> {
    let mut error = error.clone();
    error.set_input(None);
    let text = error.to_string();
    let keys = text.trim_end().strip_prefix(error.message())?.trim_start().strip_prefix("in `")?;
    keys.strip_suffix('`').map(ToOwned::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_understood_and_other_words_are_not() {
        let words = &["max_attempts", "base_delay", "max_delay"];
        assert_eq!(nearest("max_atempts", words), Some("max_attempts"));
        assert_eq!(nearest("Base-Delay", words), Some("base_delay"));
        assert_eq!(nearest("timeout", words), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(nearest("|", &[",", ";"]), None);
    }

    #[test]
    fn lines_start_at_one() {
        let line = |text: &str, start| match InvalidValue::new(start..start, "x").in_file(Path::new("f"), text) {
            JobFileError::Wrong(diagnostic) => diagnostic.line,
            JobFileError::Read { .. } => 0,
        };
        assert_eq!(line("", 0), 1);
        assert_eq!(line("a = 1\nb = 2", 6), 2);
        assert_eq!(line("a = \"用\" # x\n", 9), 1);
        assert_eq!(line("a", 99), 1);
    }
}
