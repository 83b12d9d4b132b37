//! The protected list: ids that are never sent, whatever the input says.

use std::collections::HashSet;

use foldhash::quality::FixedState;
use regex::bytes::{Regex, RegexBuilder};

use crate::domain::account::{MAX_BYTES, UserId, UserIdError};

/// Most bytes that the compiled patterns may take: some ten thousand patterns.
const PATTERN_BYTES: usize = 64 << 20;

/// Ids that are never sent.
///
/// One id a line. `*` stands for any characters, also for none, anywhere in the line. Blank lines don't count, nor do
/// lines that start with `#`; an id that starts so is written `\#…`. Blanks around an id, a byte order mark and
/// Windows line ends are no part of it. Ids are compared byte for byte, as the API does.
#[derive(Debug, Default)]
pub struct Protected {
    ids: HashSet<Box<[u8]>, FixedState>,
    sketch: Sketch,
    patterns: Option<Regex>,
    pattern_count: usize,
    lines: blake3::Hasher,
}

/// What is wrong with a protected list. A line that could protect nothing is an error: whoever wrote it believes that
/// it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectedError {
    /// A line that no account's id can be like.
    #[error("line {line}: `{id}` {why}")]
    Id {
        /// The line, from 1.
        line: usize,
        /// What stands there, control characters escaped.
        id: String,
        /// Why it is no id.
        why: UserIdError,
    },
    /// A line with an id and a comment.
    #[error("line {line}: `{text}` has a comment after the id\nhint: comments stand on lines of their own")]
    Comment {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// More patterns than fit into memory set aside for them.
    #[error("too many lines with `*`\nhint: join them to fewer, shorter patterns")]
    Patterns,
}

impl Protected {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, ProtectedError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut protected = Self::default();
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some(id) = id_of(line) else { continue };
            check(index + 1, id)?;
            protected.lines.update(id.as_bytes()).update(b"\n");
            if id.contains('*') {
                patterns.push(pattern(id));
            } else {
                protected.insert(id);
            }
        }
        if !patterns.is_empty() {
            protected.patterns = Some(compile(&patterns)?);
            protected.pattern_count = patterns.len();
        }
        Ok(protected)
    }

    /// The list with one more id: the admin that signs the calls is always on it.
    #[must_use]
    pub fn with(mut self, id: &str) -> Self {
        if self.insert(id) {
            self.lines.update(id.as_bytes()).update(b"\n");
        }
        self
    }

    /// Whether it was not there yet.
    fn insert(&mut self, id: &str) -> bool {
        self.sketch.add(id.as_bytes());
        self.ids.insert(id.as_bytes().into())
    }

    /// A digest of all lines: lists with equal digests protect the same ids.
    pub fn digest(&self) -> String {
        self.lines.finalize().to_hex().to_string()
    }

    /// How many ids are on the list.
    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    /// How many patterns are on the list.
    pub const fn patterns(&self) -> usize {
        self.pattern_count
    }

    /// Whether `id` is on the list.
    pub fn protects(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.sketch.may_hold(id) && self.ids.contains(id)
            || self.patterns.as_ref().is_some_and(|regex| regex.is_match(id))
    }
}

/// How the ids of a short list look: most others need not be looked up.
#[derive(Debug, Default)]
struct Sketch([u64; 4]);

impl Sketch {
    fn add(&mut self, id: &[u8]) {
        let (word, bit) = Self::place(id);
        self.0[word] |= bit;
    }

    fn may_hold(&self, id: &[u8]) -> bool {
        let (word, bit) = Self::place(id);
        self.0[word] & bit != 0
    }

    /// One of 256 places, by the length and the bytes at both ends.
    fn place(id: &[u8]) -> (usize, u64) {
        let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
        let mixed = id.len() ^ end(id.first()).wrapping_mul(3) ^ end(id.last()).wrapping_mul(5);
        (mixed / 64 % 4, 1 << (mixed % 64))
    }
}

/// The id or pattern of a line, if it has one.
fn id_of(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(line.strip_prefix('\\').filter(|rest| rest.starts_with('#')).unwrap_or(line))
}

fn check(line: usize, id: &str) -> Result<(), ProtectedError> {
    if id.contains(" #") {
        let text = id.escape_debug().to_string();
        return Err(ProtectedError::Comment { line, text });
    }
    // What a pattern says beside `*` must fit into an id; blanks at its ends are then within the id.
    let least = id.replace('*', "");
    let verdict = if least.len() == id.len() {
        UserId::check(id)
    } else if let Some(control) = least.chars().find(|c| c.is_control()) {
        Err(UserIdError::Control(control.into()))
    } else if least.len() > MAX_BYTES {
        Err(UserIdError::TooLong(least.len()))
    } else {
        Ok(())
    };
    verdict.map_err(|why| ProtectedError::Id { line, id: id.escape_debug().to_string(), why })
}

fn pattern(id: &str) -> String {
    let parts: Vec<String> = id.split('*').map(regex::escape).collect();
    parts.join(".*")
}

/// One automaton for all patterns, so that their number costs nothing a row.
fn compile(patterns: &[String]) -> Result<Regex, ProtectedError> {
    RegexBuilder::new(&format!(r"\A(?:{})\z", patterns.join("|")))
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|_| ProtectedError::Patterns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn protects(list: &str, id: &str) -> bool {
        Protected::parse(list).expect("a good list").protects(id)
    }

    #[test]
    fn an_id_protects_itself_and_nothing_else() {
        assert!(protects("alice\nbob", "bob"));
        for other in ["bo", "bobb", "Bob", "", "alice\nbob"] {
            assert!(!protects("alice\nbob", other), "{other:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters_at_any_place() {
        for (list, id) in [
            ("vip_*", "vip_"),
            ("vip_*", "vip_7"),
            ("*bot", "chat.bot"),
            ("a*b*c", "a-b-c"),
            ("*", "anyone"),
            ("客服*", "客服七"),
            ("*七", "客服七"),
            ("a*", "a\nb"),
        ] {
            assert!(protects(list, id), "{list} {id}");
        }
        for (list, id) in [("vip_*", "a_vip_7"), ("*bot", "bots"), ("a*b*c", "acb"), ("a.*", "ab"), ("A*", "ab")] {
            assert!(!protects(list, id), "{list} {id}");
        }
    }

    #[test]
    fn blank_lines_comments_marks_and_windows_line_ends_are_no_ids() {
        let list = "\u{feff}first\r\n\r\n# a comment\r\n  #another\r\n  padded \r\n\\#hash\r\nlast";
        for id in ["first", "padded", "#hash", "last"] {
            assert!(protects(list, id), "{id}");
        }
        for id in ["", "# a comment", "\\#hash", "\u{feff}first", "first\r"] {
            assert!(!protects(list, id), "{id}");
        }
    }

    #[test]
    fn a_line_that_could_protect_nothing_is_refused_with_its_line() {
        let long = format!("ok\n\n{}", "x".repeat(33));
        let error = Protected::parse(&long).unwrap_err().to_string();
        assert_eq!(error, format!("line 3: `{}` has 33 bytes, the API takes at most 32", "x".repeat(33)));
        let error = Protected::parse("a\u{7}b*").unwrap_err().to_string();
        assert_eq!(error, r"line 1: `a\u{7}b*` contains the control character U+0007");
        let error = Protected::parse("old\rmac").unwrap_err().to_string();
        assert_eq!(error, r"line 1: `old\rmac` contains the control character U+000D");
        let error = Protected::parse("admin # the boss").unwrap_err();
        assert!(matches!(error, ProtectedError::Comment { line: 1, .. }));
        let error = Protected::parse(&format!("{}*", "x".repeat(33))).unwrap_err();
        assert!(matches!(error, ProtectedError::Id { why: UserIdError::TooLong(33), .. }));
    }

    #[test]
    fn the_admin_is_on_every_list() {
        assert!(Protected::default().with("administrator").protects("administrator"));
        assert!(!Protected::default().protects("administrator"));
    }

    #[test]
    fn thousands_of_patterns_are_one_automaton() {
        let list: Vec<String> = (0..5_000).map(|n| format!("team{n}_*")).collect();
        let protected = Protected::parse(&list.join("\n")).expect("a good list");
        assert!(protected.protects("team4999_x"));
        assert!(!protected.protects("team5000_x"));
    }

    proptest! {
        #[test]
        fn just_the_ids_of_a_list_are_protected(
            listed in prop::collection::btree_set("[a-d用]{1,3}", 0..60),
            others in prop::collection::vec("[a-d用]{1,3}", 60),
        ) {
            let lines: Vec<&str> = listed.iter().map(String::as_str).collect();
            let list = Protected::parse(&lines.join("\n")).unwrap();
            for id in listed.iter().chain(&others) {
                prop_assert_eq!(list.protects(id), listed.contains(id), "{}", id);
            }
        }

        #[test]
        fn a_pattern_matches_what_fills_its_gaps(
            parts in proptest::collection::vec("[ab.+\\[]{0,4}", 2..4),
            fill in "[a-z]{0,5}",
        ) {
            let list = parts.join("*");
            prop_assert!(protects(&list, &parts.join(&fill)), "{list}");
        }

        #[test]
        fn any_text_is_a_list_or_an_error(text in any::<String>()) {
            let _ = Protected::parse(&text);
        }
    }
}
