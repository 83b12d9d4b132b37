//! Ids that no export produces on purpose: what spreadsheets, databases and log output leave in place of one.
//!
//! A wrong id is worse than a rejected row: an account of that name may not exist, which reads as `already_done`, or it
//! may be another account. No rule here may reject an id that a person or a program would choose on purpose:
//! `12E4` and `1e5` are ids, `1.2E+5` is not.

mod log_output;
mod spreadsheet;
#[cfg(test)]
mod tests;

use log_output::{is_end, is_log_output};
use spreadsheet::{is_date, is_rewritten_number};

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
    #[error("is in brackets, like a serialized value or a placeholder")]
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
    /// `Grand Total`, `合计`
    #[error("is the label of a total")]
    Total,
    /// `user_1\`: what follows is missing.
    #[error("ends with a backslash, which escapes what follows")]
    Escape,
    /// `user_2UserID`: the last row of one file and the header of the next.
    #[error("ends with the column name `{0}` (were files joined without a line feed?)")]
    ColumnName(&'static str),
}

/// Bytes by what they can be part of. Most ids are known as usual from the union of their classes.
mod class {
    pub(super) const LETTER: u8 = 1;
    pub(super) const DIGIT: u8 = 2;
    /// `_` and `@`: no rule of this module matches an ASCII id with one of them, except by a character that is
    /// [`OTHER`].
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

/// The longest word of [`is_no_value`] and [`is_log_output`], and the longest date without a time.
const LONGEST_WORD: usize = 12;

/// Whether an id is surely usual, without a closer look: nearly every id is, so this costs little.
pub fn is_usual(id: &[u8]) -> bool {
    use class::{DIGIT, DOT, JOINER, LETTER, OTHER};
    let classes = classes_of(id);
    if classes & OTHER != 0 || classes & (LETTER | DIGIT) == 0 || id.ends_with(b".") || may_end_with_column_name(id) {
        return false;
    }
    let numeric = id.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) && classes & DOT != 0;
    classes == DIGIT || classes == LETTER | DIGIT || classes & JOINER != 0 || !numeric && id.len() > LONGEST_WORD
}

fn classes_of(id: &[u8]) -> u8 {
    id.iter().fold(0, |classes, byte| classes | class::OF[usize::from(*byte)])
}

/// What an id must not be, each with its reason.
type IdRule = (fn(&str) -> bool, UnusualId);

/// The rules that match ids of ASCII letters, digits, dashes and dots.
const PLAIN_RULES: [IdRule; 7] = [
    (is_rewritten_number, UnusualId::RewrittenNumber),
    (is_date, UnusualId::Date),
    (is_no_value, UnusualId::NoValue),
    (is_end, UnusualId::LogOutput),
    (is_total, UnusualId::Total),
    (has_no_letter, UnusualId::NoLetter),
    (is_cut_off, UnusualId::CutOff),
];

/// All rules. Where two match, the earlier one is the more exact reason.
const RULES: [IdRule; 14] = [
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
    (is_total, UnusualId::Total),
    (ends_with_escape, UnusualId::Escape),
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
    if let Some((_, why)) = rules.iter().find(|(applies, _)| applies(id)) {
        return Err(*why);
    }
    column_name_at_end(id).map_or(Ok(()), |name| Err(UnusualId::ColumnName(name)))
}

/// Names that tables give a column of ids. Hardly any account has one, or an id that ends with one.
pub const COLUMN_NAMES: [&str; 6] = ["UserID", "user_id", "From_Account", "To_Account", "account_id", "AccountID"];

/// The usual name of an id column that a text ends with, in whatever case, or that it is.
pub fn column_name_at_end(text: &str) -> Option<&'static str> {
    let text = text.as_bytes();
    let is_end = |name: &&str| {
        text.len().checked_sub(name.len()).is_some_and(|start| text[start..].eq_ignore_ascii_case(name.as_bytes()))
    };
    if may_end_with_column_name(text) { COLUMN_NAMES.into_iter().find(is_end) } else { None }
}

/// Whether a text ends with the last letters of one of [`COLUMN_NAMES`].
fn may_end_with_column_name(text: &[u8]) -> bool {
    matches!(text, [.., b'i' | b'I', b'd' | b'D'] | [.., b'n' | b'N', b't' | b'T'])
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

/// A byte order mark read as Latin-1 or as GBK, what replaced bytes become when they are read as GBK, characters
/// without a meaning of their own, and UTF-8 read as Windows-1252.
fn is_wrong_encoding(id: &str) -> bool {
    let is_private = |c: char| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    id.contains("锟斤拷") || id.starts_with('锘') || id.contains(is_private) || is_utf8_in_windows_1252(id)
}

/// Whether the characters are the bytes of UTF-8 in Windows-1252, in which most of the bytes from 80 to 9F have signs.
fn is_utf8_in_windows_1252(id: &str) -> bool {
    const FROM_80: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    let byte = |c: char| {
        let sign = || FROM_80.chars().zip(0x80..).find_map(|(sign, byte)| (sign == c).then_some(byte));
        u8::try_from(c).ok().or_else(sign)
    };
    let bytes: Option<Vec<u8>> = id.chars().map(byte).collect();
    !id.is_ascii() && bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok())
}

fn is_total(id: &str) -> bool {
    const LABELS: [&str; 8] = ["Total", "TOTAL", "Grand Total", "Subtotal", "合计", "总计", "小计", "共计"];
    LABELS.contains(&id)
}

fn ends_with_escape(id: &str) -> bool {
    id.ends_with('\\')
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
        || matches!(word, "NA" | "\\N" | "N.A." | "n.a.")
        || matches!(inner, Some("blank" | "empty"))
        || word.starts_with("1.#")
}

fn is_spreadsheet_error(id: &str) -> bool {
    let of_excel = id.starts_with('#')
        && (id.ends_with(['!', '?']) || matches!(id, "#N/A" | "#NV" | "#N/D" | "#N/A N/A" | "#GETTING_DATA"));
    // LibreOffice.
    of_excel || ["Err:", "Fehler:"].iter().any(|error| id.strip_prefix(error).is_some_and(is_digits))
}

/// Brackets around the whole id, or markup and placeholders: `[x]y[z]` and `(a)(b)` are names.
fn is_bracketed(id: &str) -> bool {
    let id = id.strip_prefix('$').unwrap_or(id);
    let is_around = |open: char, close: char| {
        let mut depth = 0_usize;
        id.starts_with(open)
            && id.ends_with(close)
            && id.char_indices().all(|(at, c)| {
                depth = if c == open { depth + 1 } else { depth.saturating_sub(usize::from(c == close)) };
                depth > 0 || at + c.len_utf8() == id.len()
            })
    };
    let is_marked = [('{', '}'), ('<', '>')].iter().any(|(open, close)| id.starts_with(*open) && id.ends_with(*close));
    let is_variable = id.len() > 2 && id.starts_with('%') && id.ends_with('%');
    is_marked || is_variable || is_around('[', ']') || is_around('(', ')')
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
