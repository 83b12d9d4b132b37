//! The protected list: ids that are never sent, whatever the input says.

use std::borrow::Cow;
use std::collections::HashSet;
use std::str::{self, Utf8Error};

use foldhash::quality::FixedState;
use regex::bytes::{Regex, RegexBuilder};

use crate::domain::hint::Hint;
use crate::domain::operation::field_names;
use crate::domain::request::account::{MAX_BYTES, UserId, UserIdError};
use crate::domain::unusual_id::{self, UnusualId, is_invisible, shown};

/// Maximum size of the compiled patterns in bytes: about ten thousand patterns.
const PATTERN_BYTES: usize = 64 << 20;

/// Ids that are never sent.
///
/// One id per line. `*` anywhere in a line matches any characters, or none. Blank lines and lines that start with `#`
/// are ignored; an id that starts with `#` is written `\#…`. Blanks around an id, a byte order mark at the start and
/// Windows line ends are removed. Ids are compared byte for byte, as the API does.
#[derive(Debug, Default)]
pub struct Protected {
    ids: HashSet<Box<[u8]>, FixedState>,
    sketch: Sketch,
    patterns: Option<Regex>,
    pattern_count: usize,
    lines: blake3::Hasher,
}

/// What is wrong with a protected list. A line that cannot protect any id is an error, because its author believes that
/// it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectedError {
    /// A line that cannot be an id.
    #[error("line {line}: `{id}` {why}")]
    Id {
        /// The line, from 1.
        line: usize,
        /// What is there, control characters escaped.
        id: String,
        /// Why it cannot be an id.
        why: UserIdError,
    },
    /// A line that looks like damage by a program, not like an id.
    #[error("line {line}: `{id}` {why}")]
    Unusual {
        /// The line, from 1.
        line: usize,
        /// What is there, invisible characters escaped.
        id: String,
        /// Why.
        why: UnusualId,
    },
    /// A line of a table, or with quotes.
    #[error("line {line}: `{id}` contains {what}, but a line has one id")]
    Separator {
        /// The line, from 1.
        line: usize,
        /// What is there, invisible characters escaped.
        id: String,
        /// What does not belong there.
        what: &'static str,
    },
    /// The header of a table.
    #[error("line {line}: `{id}` is a header, not an id")]
    Header {
        /// The line, from 1.
        line: usize,
        /// What is there.
        id: String,
    },
    /// An id or pattern, and the header of another file.
    #[error("line {line}: `{id}` ends with the column name `{name}` (were files joined without a line feed?)")]
    Joined {
        /// The line, from 1.
        line: usize,
        /// What is there.
        id: String,
        /// The name at its end.
        name: String,
    },
    /// A pattern of another language.
    #[error("line {line}: `{id}` {why}")]
    OtherPattern {
        /// The line, from 1.
        line: usize,
        /// What is there.
        id: String,
        /// How it differs from a pattern.
        why: &'static str,
    },
    /// A line with an id and a comment.
    #[error("line {line}: `{text}` has a comment after the id")]
    Comment {
        /// The line, from 1.
        line: usize,
        /// The text of the line.
        text: String,
    },
    /// A list in another encoding.
    #[error("line {line}: is not UTF-8")]
    Encoding {
        /// The first line that is not, from 1.
        line: usize,
    },
    /// No id and no pattern.
    #[error("the protected list has no id and no pattern")]
    Empty,
    /// The compiled patterns exceed their memory.
    #[error("too many lines with `*`")]
    Patterns,
}

impl Hint for ProtectedError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Id { .. } => "correct the line, or delete it: no account can have this id",
            Self::Unusual { .. } => "if an account has this id, write `*` in place of such characters",
            Self::Separator { .. } => "if an account has this id, write `*` in place of it",
            Self::Header { .. } => {
                "delete the line; if an account has this id, write `*` in place of its last character"
            }
            Self::Joined { .. } => {
                "put the id on a line of its own; if an account has this id, write `*` in place of its last character"
            }
            Self::OtherPattern { .. } => {
                "a pattern is an id with `*` for any characters: vip_*; if an account has this id, write `*` in place \
                 of such characters"
            }
            Self::Comment { .. } => "put the comment on a line of its own",
            Self::Encoding { .. } => "save the list as UTF-8",
            Self::Empty => "if no id must stay, write protected = [] in [guard]",
            Self::Patterns => "join them to fewer, shorter patterns",
        };
        Some(hint.into())
    }
}

impl Protected {
    /// Reads a list. `columns` are the job's own names for columns of ids, which are no ids here.
    pub fn parse(text: impl AsRef<[u8]>, columns: &[&str]) -> Result<Self, ProtectedError> {
        let text = decode(text.as_ref())?;
        let mut protected = Self::default();
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some(id) = id_of(line) else { continue };
            let is_first = protected.ids.is_empty() && patterns.is_empty();
            check_header(index + 1, id, is_first, columns)?;
            check(index + 1, id)?;
            protected.lines.update(id.as_bytes()).update(b"\n");
            if id.contains('*') {
                patterns.push(pattern(id));
            } else {
                protected.insert(id);
            }
        }
        if patterns.is_empty() && protected.ids.is_empty() {
            return Err(ProtectedError::Empty);
        }
        if !patterns.is_empty() {
            protected.patterns = Some(compile(&patterns)?);
            protected.pattern_count = patterns.len();
        }
        Ok(protected)
    }

    /// The number of different ids, the admins included.
    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    /// The number of lines with `*`.
    pub const fn patterns(&self) -> usize {
        self.pattern_count
    }

    /// The list with one more id: the admin account is always protected.
    #[must_use]
    pub fn with(mut self, id: &str) -> Self {
        if self.insert(id) {
            self.lines.update(id.as_bytes()).update(b"\n");
        }
        self
    }

    /// Adds an id. Returns whether it is new.
    fn insert(&mut self, id: &str) -> bool {
        self.sketch.add(id.as_bytes());
        self.ids.insert(id.as_bytes().into())
    }

    /// A digest of all lines: lists with equal digests protect the same ids.
    pub fn digest(&self) -> String {
        self.lines.finalize().to_hex().to_string()
    }

    /// Whether `id` is on the list.
    pub fn protects(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.sketch.may_hold(id) && self.ids.contains(id)
            || self.patterns.as_ref().is_some_and(|regex| regex.is_match(id))
    }
}

/// A filter for short lists: most ids that are not on the list need no lookup.
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

    /// A hash of the length and the bytes at both ends, in one byte.
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

/// The text of a list in UTF-8 without its byte order mark.
fn decode(text: &[u8]) -> Result<&str, ProtectedError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let decoded = str::from_utf8(text);
    // ASCII text in UTF-16 contains NUL in every other byte, and is valid UTF-8.
    let bad = decoded.as_ref().err().map(Utf8Error::valid_up_to).or_else(|| text.iter().position(|byte| *byte == 0));
    match (decoded, bad) {
        (Ok(text), None) => Ok(text),
        (_, bad) => {
            let before = &text[..bad.unwrap_or_default()];
            Err(ProtectedError::Encoding { line: before.split(|byte| *byte == b'\n').count() })
        }
    }
}

/// Refuses the header of a table, also where it follows an id because a line feed is missing.
fn check_header(line: usize, id: &str, is_first: bool, columns: &[&str]) -> Result<(), ProtectedError> {
    let name = id.to_lowercase();
    let known = || unusual_id::COLUMN_NAMES.iter().chain(columns).map(|header| header.to_lowercase());
    let is_header = field_names::is_near_id_column(id.as_bytes()) || known().any(|header| header == name);
    if is_header || is_first && field_names::is_vague(id) {
        return Err(ProtectedError::Header { line, id: shown(id) });
    }
    match known().find(|header| field_names::is_long(header) && name.ends_with(&**header)) {
        Some(header) => Err(ProtectedError::Joined { line, id: shown(id), name: ending(id, &header) }),
        None => Ok(()),
    }
}

/// The end of an id, if it equals this lower-case name regardless of case.
fn ending(id: &str, name: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    chars[chars.len().saturating_sub(name.chars().count())..].iter().collect()
}

/// Refuses patterns of other languages, which would protect no id here.
fn check_pattern(line: usize, id: &str) -> Result<(), ProtectedError> {
    other_pattern(id).map_or(Ok(()), |why| Err(ProtectedError::OtherPattern { line, id: shown(id), why }))
}

/// The kind of pattern that a line looks like, if it is one of another language. An id may contain these characters as
/// well, but a wrong refusal costs less than an id that is not protected.
fn other_pattern(id: &str) -> Option<&'static str> {
    const REGEX: &str = "looks like a regular expression";
    const GLOB: &str = "looks like a pattern of a shell";
    const EXPRESSIONS: [&str; 7] = [".*", ".+", "\\d", "\\w", "\\s", "\\.", "(?"];
    if id.contains(['＊', '？', '％']) {
        return Some("contains a full-width sign, which is no part of a pattern");
    }
    if id.starts_with('^') || id.ends_with('$') || EXPRESSIONS.iter().any(|expression| id.contains(expression)) {
        return Some(REGEX);
    }
    if id.contains('%') {
        return Some("looks like a pattern of SQL");
    }
    let has_pair = |open: char, close: char| id.find(open).is_some_and(|at| id[at..].contains(close));
    if id.contains('?') || has_pair('[', ']') || has_pair('{', '}') || id.starts_with('!') {
        return Some(GLOB);
    }
    id.contains("\\*").then_some("has a backslash in front of `*`, which is always a pattern here")
}

fn check(line: usize, id: &str) -> Result<(), ProtectedError> {
    if id.contains(" #") {
        return Err(ProtectedError::Comment { line, text: shown(id) });
    }
    check_pattern(line, id)?;
    // The parts of a pattern must fit into an id. A part of an ordinary id may look unusual.
    let literal = id.replace('*', "");
    let is_pattern = literal.len() < id.len();
    if let Some(invisible) = literal.chars().find(|c| is_invisible(*c) && !c.is_control()) {
        return Err(ProtectedError::Unusual { line, id: shown(id), why: UnusualId::Invisible(invisible.into()) });
    }
    let verdict = if !is_pattern {
        UserId::check(id)
    } else if let Some(control) = literal.chars().find(|c| c.is_control()) {
        Err(UserIdError::Control(control.into()))
    } else if literal.len() > MAX_BYTES {
        Err(UserIdError::TooLong(literal.len()))
    } else {
        Ok(())
    };
    verdict.map_err(|why| ProtectedError::Id { line, id: shown(id), why })?;
    let separators =
        [('"', "a quote"), (',', "a comma"), (';', "a semicolon"), ('|', "a vertical bar"), (' ', "a blank")];
    if let Some((_, what)) = separators.into_iter().find(|(separator, _)| literal.contains(*separator)) {
        return Err(ProtectedError::Separator { line, id: shown(id), what });
    }
    if is_pattern {
        return Ok(());
    }
    unusual_id::check(id).map_err(|why| ProtectedError::Unusual { line, id: shown(id), why })
}

fn pattern(id: &str) -> String {
    let parts: Vec<String> = id.split('*').map(regex::escape).collect();
    parts.join(".*")
}

/// Compiles all patterns into one automaton, so that the time per row does not depend on their number.
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
        Protected::parse(list, &[]).expect("a good list").protects(id)
    }

    #[test]
    fn an_id_protects_itself_and_nothing_else() {
        assert!(protects("alice\nbob", "bob"));
        for other in ["bo", "bobb", "Bob", "", "alice\nbob"] {
            assert!(!protects("alice\nbob", other), "{other:?}");
        }
    }

    #[test]
    fn a_star_matches_any_characters_at_any_place() {
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
        for (list, id) in [("vip_*", "a_vip_7"), ("*bot", "bots"), ("a*b*c", "acb"), ("A*", "ab")] {
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
        let error = Protected::parse(&long, &[]).unwrap_err().to_string();
        assert_eq!(error, format!("line 3: `{}` has 33 bytes; the API allows at most 32", "x".repeat(33)));
        let error = Protected::parse("a\u{7}b*", &[]).unwrap_err().to_string();
        assert_eq!(error, r"line 1: `a\u{7}b*` contains the control character U+0007");
        let error = Protected::parse("old\rmac", &[]).unwrap_err().to_string();
        assert_eq!(error, r"line 1: `old\rmac` contains the control character U+000D");
        let error = Protected::parse("admin # the boss", &[]).unwrap_err();
        assert!(matches!(error, ProtectedError::Comment { line: 1, .. }));
        let error = Protected::parse(format!("{}*", "x".repeat(33)), &[]).unwrap_err();
        assert!(matches!(error, ProtectedError::Id { why: UserIdError::TooLong(33), .. }));
    }

    fn refused(list: impl AsRef<[u8]>) -> String {
        Protected::parse(list, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_line_of_a_table_or_another_encoding_is_refused_with_its_line() {
        for (list, line, word) in [
            ("vip_1\n\u{feff}vip_2", 2, "U+FEFF"),
            ("vip_1\nvip_2\u{200b}\n", 2, "U+200B"),
            ("vip\u{a0}1", 1, "U+00A0"),
            ("\u{3000}vip_1 x", 1, "a blank"),
            ("vip_*\u{200d}", 1, "U+200D"),
            ("a\n\"vip_1\"", 2, "a quote"),
            ("a\n'vip_1'", 2, "quotes"),
            ("vip_1,VIP", 1, "a comma"),
            ("vip_1;VIP", 1, "a semicolon"),
            ("vip_1|VIP", 1, "a vertical bar"),
            ("vip_1\tVIP", 1, "U+0009"),
            ("vip_1, vip_*", 1, "a comma"),
            ("john smith", 1, "a blank"),
            ("# list\nUserID\nvip_1", 2, "header"),
            ("vip_1\nuser_id", 2, "header"),
            ("\naccount\nvip_1", 2, "header"),
            ("NULL", 1, "missing"),
            ("a\n1.4E+08", 2, "rewritten"),
            ("------", 1, "letter"),
            ("(2 rows affected)", 1, "a blank"),
            ("=\"123\"", 1, "a quote"),
        ] {
            let said = refused(list);
            assert!(said.starts_with(&format!("line {line}: `")) && said.contains(word), "{list:?}: {said}");
        }
        assert!(protects("vip_1\naccount\nid", "account"), "an account may have such a name");
        assert!(protects("*", "anyone") && protects("john*smith", "john smith"));
    }

    #[test]
    fn an_id_that_ends_with_a_header_is_refused_with_its_line() {
        for list in ["a\nvip_1UserID", "a\nvip_1\u{feff}UserID", "a\nvip_*user_id", "a\nvip_1TO_Account"] {
            let said = refused(list);
            assert!(said.starts_with("line 2: `vip_"), "{list:?}: {said}");
        }
        assert!(refused("vip_1UserID").contains("ends with the column name `UserID`"));
        assert!(protects("david\nUserID2\nsuperuser", "david"), "short names end ids by chance");
    }

    #[test]
    fn the_column_names_of_the_job_are_no_ids() {
        for (name, list) in [
            ("member_no", "a\nmember_no"),
            ("member_no", "a\nMember_No"),
            ("member_no", "a\nu2member_no"),
            ("账号", "a\n账号"),
            ("id", "a\nid"),
        ] {
            let said = Protected::parse(list, &[name]).unwrap_err().to_string();
            assert!(said.starts_with("line 2: "), "{list:?}: {said}");
            assert!(protects(list, "a"), "another job may have such an account");
        }
        assert!(Protected::parse("david", &["id"]).unwrap().protects("david"));
    }

    #[test]
    fn patterns_of_other_languages_are_refused() {
        for line in [
            "vip_＊",
            "＊",
            "^vip_.*$",
            "^vip_1$",
            "^vip_",
            "vip_1$",
            "vip_.*",
            "vip_.+",
            "vip_\\d+",
            "(?i)vip_*",
            "vip_?",
            "vip_？",
            "vip_%",
            "%vip%",
            "vip_[0-9]",
            "vip_[0-9]*",
            "vip_{1,2}",
            "vip_{1..9}",
            "!vip_1",
            "vip_\\*",
        ] {
            let error = Protected::parse(format!("a\n{line}"), &[]);
            assert!(matches!(error, Err(ProtectedError::OtherPattern { line: 2, .. })), "{line}: {error:?}");
        }
        for id in ["a+b", "+8613800000000", "a.b", "a^b", "$cash", "a]b", "(a)b", "CORP\\u1", "a=b", "a~b"] {
            assert!(protects(id, id), "{id}");
        }
    }

    #[test]
    fn an_invisible_character_is_shown_in_the_message() {
        assert!(refused("vip_2\u{200b}").contains(r"`vip_2\u{200b}`"));
    }

    #[test]
    fn a_list_in_another_encoding_is_refused() {
        assert!(refused(b"a\n\xbf\xcd\xb7\xfe").starts_with("line 2: is not UTF-8"));
        assert!(refused(b"\xff\xfea\0\n\0").starts_with("line 1: is not UTF-8"));
        assert!(refused(b"a\0\n\0b\0").starts_with("line 1: is not UTF-8"));
    }

    #[test]
    fn a_list_that_protects_nobody_is_refused() {
        for list in ["", "\n\n", "# vip_1\n  # vip_2\n", "\u{feff}", " \t\r\n"] {
            assert_eq!(Protected::parse(list, &[]).unwrap_err(), ProtectedError::Empty, "{list:?}");
        }
    }

    #[test]
    fn ids_and_patterns_are_counted() {
        let list = Protected::parse("a\nb\na\nvip_*\n# c\n", &[]).expect("a good list").with("admin");
        assert_eq!((list.ids(), list.patterns()), (3, 1));
    }

    #[test]
    fn the_admin_is_on_every_list() {
        assert!(Protected::default().with("administrator").protects("administrator"));
        assert!(!Protected::default().protects("administrator"));
    }

    #[test]
    fn thousands_of_patterns_are_one_automaton() {
        let list: Vec<String> = (0..5_000).map(|n| format!("team{n}_*")).collect();
        let protected = Protected::parse(list.join("\n"), &[]).expect("a good list");
        assert!(protected.protects("team4999_x"));
        assert!(!protected.protects("team5000_x"));
    }

    proptest! {
        #[test]
        fn just_the_ids_of_a_list_are_protected(
            listed in prop::collection::btree_set("[a-d用]{1,3}", 1..60),
            others in prop::collection::vec("[a-d用]{1,3}", 60),
        ) {
            let lines: Vec<&str> = listed.iter().map(String::as_str).collect();
            let list = Protected::parse(lines.join("\n"), &[]).unwrap();
            for id in listed.iter().chain(&others) {
                prop_assert_eq!(list.protects(id), listed.contains(id), "{}", id);
            }
        }

        #[test]
        fn a_pattern_matches_what_fills_its_gaps(
            parts in proptest::collection::vec("[ab+(\\[]{0,4}", 2..4),
            fill in "[a-z]{0,5}",
        ) {
            let list = parts.join("*");
            prop_assert!(protects(&list, &parts.join(&fill)), "{list}");
        }

        #[test]
        fn any_text_is_a_list_or_an_error(text in any::<String>()) {
            let _ = Protected::parse(&text, &[]);
        }
    }
}
