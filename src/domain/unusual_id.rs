//! Ids that no export produces on purpose: what spreadsheets, databases and log output leave in place of one.
//!
//! A wrong id is worse than a rejected row: an account of that name may not exist, which reads as `already_done`, or it
//! may be another account. Every rule here must tell damage from any id that a person or a program would choose:
//! `12E4` and `1e5` are ids, `1.2E+5` is not.

/// Why an id is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusualId {
    /// A character without a shape of its own: it got in by copying, and two ids that look equal differ.
    #[error("contains the invisible character U+{0:04X}")]
    Invisible(u32),
    /// What is left of text that was decoded with the wrong encoding.
    #[error("contains text that was read in the wrong encoding")]
    WrongEncoding,
    /// `1.4E+08`, `123.0` or `1,234`: a number as a spreadsheet or a program shows it, not as it was.
    #[error("is a number that was rewritten (exponent, fraction or separators)")]
    RewrittenNumber,
    /// `3-Apr` or `2024/3/4`: a date that a spreadsheet made, or a cell of another column.
    #[error("is a date")]
    Date,
    /// `="00123"`
    #[error("is a formula")]
    Formula,
    /// `'123` or `"x"`: quotes that were part of a notation.
    #[error("has quotes that were left over")]
    Quotes,
    /// `NULL`, `\N`, `nan`, `None`, `TRUE`
    #[error("is a word for a missing or logical value")]
    NoValue,
    /// `#N/A`
    #[error("is an error value of a spreadsheet")]
    SpreadsheetError,
    /// `(2 rows affected)`
    #[error("is output of a database client or a log")]
    LogOutput,
    /// `[object Object]`, `{"a":1}`, `<user_id>`
    #[error("is in brackets, as a serialized value or a placeholder is")]
    Brackets,
    /// `------`
    #[error("has neither a letter nor a digit")]
    NoLetter,
    /// `user_12...`
    #[error("was cut off: it ends with an ellipsis")]
    CutOff,
    /// `a&amp;b`
    #[error("contains an escape of HTML")]
    HtmlEscape,
}

/// Bytes by what they can be part of. Most ids are known as usual from the union of their classes.
mod class {
    pub(super) const LETTER: u8 = 1;
    pub(super) const DIGIT: u8 = 2;
    /// `_` and `@`: no rule of this module matches an ASCII id with one of them, except by a character that is [`OTHER`].
    pub(super) const JOINER: u8 = 4;
    pub(super) const DASH: u8 = 8;
    pub(super) const DOT: u8 = 16;
    pub(super) const OTHER: u8 = 32;

    pub(super) const OF: [u8; 256] = {
        let mut of = [OTHER; 256];
        let (mut index, mut byte) = (0, 0_u8);
        while byte < 128 {
            of[index] = match byte {
                b'a'..=b'z' | b'A'..=b'Z' => LETTER,
                b'0'..=b'9' => DIGIT,
                b'_' | b'@' => JOINER,
                b'-' => DASH,
                b'.' => DOT,
                _ => OTHER,
            };
            (index, byte) = (index + 1, byte + 1);
        }
        of
    };
}

/// The longest word of [`is_no_value`], and the longest date without a time.
const LONGEST_WORD: usize = 11;

/// Whether an id is surely usual, without a closer look: nearly every id is, so this costs little.
pub fn is_usual(id: &[u8]) -> bool {
    use class::{DIGIT, DOT, JOINER, LETTER, OTHER};
    let classes = classes_of(id);
    if classes & OTHER != 0 || classes & (LETTER | DIGIT) == 0 || id.ends_with(b".") {
        return false;
    }
    let numeric = id.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) && classes & DOT != 0;
    classes == DIGIT || classes == LETTER | DIGIT || classes & JOINER != 0 || !numeric && id.len() > LONGEST_WORD
}

fn classes_of(id: &[u8]) -> u8 {
    id.iter().fold(0, |classes, byte| classes | class::OF[usize::from(*byte)])
}

/// What an id must not be, each with its reason.
type Rule = (fn(&str) -> bool, UnusualId);

/// The rules that match ids of ASCII letters, digits, dashes and dots.
const PLAIN_RULES: [Rule; 5] = [
    (is_rewritten_number, UnusualId::RewrittenNumber),
    (is_date, UnusualId::Date),
    (is_no_value, UnusualId::NoValue),
    (has_no_letter, UnusualId::NoLetter),
    (is_cut_off, UnusualId::CutOff),
];

/// All rules. Where two match, the earlier one is the more exact reason.
const RULES: [Rule; 12] = [
    (is_wrong_encoding, UnusualId::WrongEncoding),
    (is_rewritten_number, UnusualId::RewrittenNumber),
    (is_date, UnusualId::Date),
    (is_formula, UnusualId::Formula),
    (has_stray_quotes, UnusualId::Quotes),
    (is_no_value, UnusualId::NoValue),
    (is_spreadsheet_error, UnusualId::SpreadsheetError),
    (is_log_output, UnusualId::LogOutput),
    (is_bracketed, UnusualId::Brackets),
    (has_no_letter, UnusualId::NoLetter),
    (is_cut_off, UnusualId::CutOff),
    (has_html_escape, UnusualId::HtmlEscape),
];

/// Whether this is an id that an export may produce on purpose.
///
/// # Errors
/// Says what it looks like otherwise.
pub fn check(id: &str) -> Result<(), UnusualId> {
    if is_usual(id.as_bytes()) {
        return Ok(());
    }
    let rules = if classes_of(id.as_bytes()) & class::OTHER == 0 {
        PLAIN_RULES.as_slice()
    } else {
        if let Some(invisible) = id.chars().find(|c| is_invisible(*c)) {
            return Err(UnusualId::Invisible(invisible.into()));
        }
        RULES.as_slice()
    };
    rules.iter().find(|(applies, _)| applies(id)).map_or(Ok(()), |(_, why)| Err(*why))
}

/// Whether a character shows nothing, or a blank that is not the ordinary one.
///
/// Blanks, format characters, fillers and variation selectors of Unicode 16, and code points that are no character.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text for a message: what shows nothing is escaped.
pub fn shown(text: &str) -> String {
    let escape = |c: char| {
        if is_invisible(c) && !c.is_control() { c.escape_unicode().to_string() } else { c.escape_debug().to_string() }
    };
    text.chars().map(escape).collect()
}

/// A byte order mark read as Latin-1 or as GBK, and what replaced bytes become when they are read as GBK.
fn is_wrong_encoding(id: &str) -> bool {
    id.contains("ï»¿") || id.contains("锟斤拷") || id.starts_with('锘')
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_rewritten_number(id: &str) -> bool {
    let number = id.strip_prefix(['-', '+']).unwrap_or(id);
    let (whole, rest) = number.split_at(number.bytes().take_while(u8::is_ascii_digit).count());
    if whole.is_empty() {
        return false;
    }
    if is_grouped(number, ',') || is_grouped(number, ' ') {
        return true;
    }
    let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let (digits, rest) = fraction.split_at(fraction.bytes().take_while(u8::is_ascii_digit).count());
            (Some(digits), rest)
        }
        None => (None, rest),
    };
    match (fraction, rest.strip_prefix(['e', 'E'])) {
        // `12E4` and `12e-4` may be ids; a decimal point or a plus is a number's.
        (fraction, Some(exponent)) => {
            let signed = exponent.starts_with('+');
            is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) && (signed || fraction.is_some())
        }
        (Some(fraction), None) => rest.is_empty() && fraction.bytes().all(|digit| digit == b'0'),
        (None, None) => false,
    }
}

/// `1,234,567`, with or without a fraction.
fn is_grouped(number: &str, separator: char) -> bool {
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    let mut groups = whole.split(separator);
    let first = groups.next().is_some_and(|group| is_digits(group) && group.len() <= 3);
    let mut others = groups.peekable();
    first && others.peek().is_some() && others.all(|group| is_digits(group) && group.len() == 3)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date of this or the last century, with or without a time.
fn is_date(id: &str) -> bool {
    if !id.contains(['-', '/', '日']) {
        return false;
    }
    let date = id.split_once([' ', 'T']).filter(|(_, time)| time.contains(':')).map_or(id, |(date, _)| date);
    let number = |text: &str, longest: usize| is_digits(text) && text.len() <= longest;
    let year = |text: &str| text.len() == 4 && is_digits(text) && (text.starts_with("19") || text.starts_with("20"));
    let month = |text: &str| number(text, 2) && (1..=12).contains(&text.parse().unwrap_or(0));
    let day = |text: &str| number(text, 2) && (1..=31).contains(&text.parse().unwrap_or(0));
    let name = |text: &str| MONTHS.contains(&text);
    let parts: Vec<&str> = date.split(['/', '-']).collect();
    match parts.as_slice() {
        [a, b, c] if year(a) => month(b) && day(c) && (date.contains('/') || b.len() == 2 && c.len() == 2),
        [a, b, c] if date.contains('/') => year(c) && (month(a) && day(b) || day(a) && month(b)),
        [a, b, c] => day(a) && name(b) && number(c, 4),
        [a, b] => day(a) && name(b) || name(a) && number(b, 2),
        _ => {
            date.ends_with('日')
                && date.contains('月')
                && date.chars().all(|c| c.is_ascii_digit() || "年月日".contains(c))
        }
    }
}

/// Quotes around an id, a spreadsheet's apostrophe in front of it, or a quote that is never closed.
fn has_stray_quotes(id: &str) -> bool {
    const QUOTES: [char; 11] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '＂'];
    let literal = (id.starts_with("b'") || id.starts_with("u'")) && id.ends_with('\'');
    let open = |quote: char| id.ends_with(quote) && id.matches(quote).count() % 2 == 1;
    literal || id.starts_with(QUOTES) || QUOTES.into_iter().any(open)
}

/// Words of SQL, JavaScript, Python, Go, R, Excel and their exports.
fn is_no_value(id: &str) -> bool {
    // People are called so.
    const NAMES: [&str; 3] = ["Nan", "Nil", "Nat"];
    const WORDS: [&str; 11] =
        ["null", "nil", "none", "undefined", "nan", "nat", "n/a", "inf", "infinity", "true", "false"];
    let word = id.strip_prefix(['-', '+']).unwrap_or(id);
    let inner = word.strip_prefix(['(', '<', '[', '{']).and_then(|word| word.strip_suffix([')', '>', ']', '}']));
    let word = inner.unwrap_or(word);
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)) && !NAMES.contains(&id)
        || matches!(word, "NA" | "\\N")
        || matches!(inner, Some("blank" | "empty"))
        || word.starts_with("1.#")
}

fn is_spreadsheet_error(id: &str) -> bool {
    id.starts_with('#')
        && (id.ends_with(['!', '?']) || matches!(id, "#N/A" | "#NV" | "#N/D" | "#N/A N/A" | "#GETTING_DATA"))
}

fn is_log_output(id: &str) -> bool {
    const STARTS: [&str; 17] = [
        "Query OK",
        "Empty set",
        "Rows matched",
        "no rows selected",
        "Time: ",
        "ERROR ",
        "ERROR:",
        "WARNING:",
        "NOTICE:",
        "INFO:",
        "DEBUG:",
        "[INFO]",
        "[WARN",
        "[ERROR]",
        "[DEBUG]",
        "Traceback ",
        "mysql: ",
    ];
    const COMMANDS: [&str; 5] = ["SELECT ", "COPY ", "INSERT 0 ", "UPDATE ", "DELETE "];
    let counted = id.trim_start_matches('(').starts_with(|c: char| c.is_ascii_digit())
        && [" row", " 行", "行受影响", " record"].iter().any(|word| id.contains(word));
    counted
        || STARTS.iter().any(|start| id.starts_with(start))
        || COMMANDS.iter().any(|command| id.strip_prefix(command).is_some_and(is_digits))
        || id.contains("rows affected")
        || id.contains("row affected")
}

fn is_bracketed(id: &str) -> bool {
    let pairs = [('{', '}'), ('[', ']'), ('<', '>'), ('(', ')')];
    let id = id.strip_prefix('$').unwrap_or(id);
    pairs.iter().any(|(open, close)| id.starts_with(*open) && id.ends_with(*close))
}

fn is_formula(id: &str) -> bool {
    id.starts_with('=')
}

fn has_no_letter(id: &str) -> bool {
    id.chars().all(|c| c.is_ascii_punctuation() || matches!(c, ' ' | '\u{2010}'..='\u{2015}' | '\u{2500}'..='\u{257f}'))
}

fn is_cut_off(id: &str) -> bool {
    id.ends_with("...") || id.ends_with('…')
}

fn has_html_escape(id: &str) -> bool {
    let html = |rest: &str| {
        rest.split_once(';').is_some_and(|(name, _)| {
            let name = name.strip_prefix('#').unwrap_or(name);
            (2..=6).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    id.split('&').skip(1).any(html)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each kind and more: (id, a word of the reason).
    const UNUSUAL: [(&str, &str); 101] = [
        ("user_2\u{200b}", "U+200B"),
        ("\u{feff}user_3", "U+FEFF"),
        ("us\u{ad}er_4", "U+00AD"),
        ("user_5\u{200e}", "U+200E"),
        ("user_6\u{202e}", "U+202E"),
        ("user\u{a0}7", "U+00A0"),
        ("\u{3000}8", "U+3000"),
        ("a\u{2060}b", "U+2060"),
        ("a\u{200d}b", "U+200D"),
        ("a\u{fe0f}", "U+FE0F"),
        ("a\u{e0100}", "U+E0100"),
        ("a\u{fffd}", "U+FFFD"),
        ("a\u{2028}b", "U+2028"),
        ("a\u{3164}b", "U+3164"),
        ("a\u{180e}b", "U+180E"),
        ("a\u{61c}b", "U+061C"),
        ("\u{e0001}a", "U+E0001"),
        ("ï»¿user_1", "encoding"),
        ("锟斤拷", "encoding"),
        ("锘縰ser", "encoding"),
        ("1.40028E+14", "rewritten"),
        ("1,40028E+14", "rewritten"),
        ("1E+14", "rewritten"),
        ("1e+08", "rewritten"),
        ("1.4e8", "rewritten"),
        ("-1.5E-5", "rewritten"),
        ("1.44115198E8", "rewritten"),
        ("144115198.0", "rewritten"),
        ("123.00", "rewritten"),
        ("123.", "rewritten"),
        ("123,0", "rewritten"),
        ("1,234,567", "rewritten"),
        ("1,234.00", "rewritten"),
        ("144 115 198", "rewritten"),
        ("3-Apr", "date"),
        ("Mar-01", "date"),
        ("3-Apr-2024", "date"),
        ("2024/3/4", "date"),
        ("3/4/2024", "date"),
        ("2024-03-04", "date"),
        ("2024-03-04 00:00:00", "date"),
        ("2024-03-04T10:11:12Z", "date"),
        ("3月4日", "date"),
        ("=\"00123\"", "formula"),
        ("=A1", "formula"),
        ("'user_9'", "quotes"),
        ("'123", "quotes"),
        ("\"x\"", "quotes"),
        ("user\"", "quotes"),
        ("`user`", "quotes"),
        ("“user”", "quotes"),
        ("b'user'", "quotes"),
        ("NULL", "missing"),
        ("null", "missing"),
        ("(null)", "missing"),
        ("<null>", "missing"),
        ("[NULL]", "missing"),
        ("<NA>", "missing"),
        ("NA", "missing"),
        ("\\N", "missing"),
        ("nan", "missing"),
        ("NaN", "missing"),
        ("-nan", "missing"),
        ("NaT", "missing"),
        ("None", "missing"),
        ("nil", "missing"),
        ("<nil>", "missing"),
        ("undefined", "missing"),
        ("N/A", "missing"),
        ("-inf", "missing"),
        ("Infinity", "missing"),
        ("TRUE", "missing"),
        ("false", "missing"),
        ("(blank)", "missing"),
        ("1.#QNAN", "missing"),
        ("#N/A", "spreadsheet"),
        ("#REF!", "spreadsheet"),
        ("#NAME?", "spreadsheet"),
        ("#DIV/0!", "spreadsheet"),
        ("(2 rows affected)", "output"),
        ("(1 row)", "output"),
        ("2 rows in set (0.00 sec)", "output"),
        ("3 rows selected.", "output"),
        ("(2 行受影响)", "output"),
        ("Query OK, 2 rows affected", "output"),
        ("Empty set (0.00 sec)", "output"),
        ("[object Object]", "brackets"),
        ("{\"a\":1}", "brackets"),
        ("<user_id>", "brackets"),
        ("${USER}", "brackets"),
        ("------", "letter"),
        ("+-----+", "letter"),
        ("########", "letter"),
        ("user_12...", "cut off"),
        ("user_12…", "cut off"),
        ("a&amp;b", "HTML"),
        ("COPY 3", "output"),
        ("[INFO] start", "output"),
        ("no rows selected", "output"),
        ("─────", "letter"),
        ("----- -----", "letter"),
    ];

    const USUAL: [&str; 67] = [
        "1",
        "0",
        "007",
        "144115198075855872",
        "123456",
        "user_1",
        "user1",
        "User",
        "alice",
        "bob",
        "a",
        "Z",
        "user.1",
        "user.name",
        "a.b.c",
        "1.5",
        "12.34",
        "10.0.0.1",
        "192.168.100.200",
        "1.2.3",
        "a-b",
        "a-1",
        "1-2",
        "-1",
        "-a",
        "12-34",
        "user-2024",
        "x@y",
        "x@example.com",
        "first.last@example.co",
        "+8613800000000",
        "12E4",
        "1e5",
        "1e-5",
        "0x1F",
        "12e4-77",
        "deadbeef",
        "3f2504e04f8911d39a0c0305e82c3301",
        "3f2504e0-4f89-11d3-9a0c-0305",
        "用户七",
        "客服-1",
        "José",
        "Jose\u{301}",
        "Ünal",
        "한국",
        "ユーザー",
        "😀",
        "O'Brien",
        "say \"hi\"",
        "john smith",
        "a:b",
        "a/b",
        "10/20",
        "a#1",
        "#hash",
        "#1!x",
        "nancy",
        "Nan",
        "Nil",
        "CORP\\u1234",
        "nullable",
        "Nilsson",
        "na",
        "info",
        "truely",
        "may-flower",
        "dependabot[bot]",
    ];

    #[test]
    fn what_no_export_produces_on_purpose_is_unusual() {
        for (id, word) in UNUSUAL {
            let reason = check(id).expect_err(id).to_string();
            assert!(reason.contains(word), "{id}: {reason}");
        }
    }

    #[test]
    fn ids_that_people_and_programs_choose_are_usual() {
        for id in USUAL {
            assert_eq!(check(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn the_quick_look_passes_no_unusual_id() {
        for (id, _) in UNUSUAL {
            assert!(!is_usual(id.as_bytes()), "{id}");
        }
        for id in ["user_1", "144115198075855872", "user1", "x@example.com", "3f2504e0-4f89-11d3-9a0c-0305"] {
            assert!(is_usual(id.as_bytes()), "{id} is not worth a closer look");
        }
    }

    proptest! {
        #[test]
        fn the_quick_look_agrees_with_all_rules(id in "[A-Za-z0-9_@.-]{1,14}|[0-9eE.+-]{1,8}|[nNaAuUlL.-]{1,6}") {
            let unusual = RULES.iter().any(|(applies, _)| applies(&id));
            prop_assert!(!(unusual && is_usual(id.as_bytes())), "{id} is unusual");
            prop_assert_eq!(check(&id).is_err(), unusual, "{}", id);
        }

        #[test]
        fn an_invisible_character_is_found_wherever_it_is(
            before in "[a-z用]{0,5}",
            invisible in prop::char::range('\u{200b}', '\u{200f}'),
            after in "[a-z用]{0,5}",
        ) {
            let id = format!("{before}{invisible}{after}");
            prop_assert_eq!(check(&id), Err(UnusualId::Invisible(invisible.into())));
        }
    }
}
