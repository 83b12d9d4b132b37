//! Whether the quotes of a record are what they seem.
//!
//! The csv crate reads on when a quote is never closed or is followed by stray text. Here such a record must be
//! known for what it is: `"bob"by,carol` would name an account that the file does not, and behind a quote that is not
//! closed, rows look the same as the text of a cell.

/// Whether the quotes of a record are sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Every quoted cell ends at a closing quote, and no other cell holds a quote.
    Sound,
    /// The same, but a cell that does not start with a quote holds one that may close a cell of a line before.
    Stray,
    /// A quoted cell is still open where the record ends.
    Open,
    /// Text follows a closing quote, but all quotes seem to be closed on the line.
    Trailing,
    /// Text follows a closing quote, and the cell may go on in the next lines.
    Broken,
    /// A carriage return outside quotes that is no part of the line end.
    BareReturn,
}

/// Where in a record a byte is.
enum QuoteState {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: the first half of an escaped one, or the closing one.
    Quote,
}

impl QuoteState {
    /// Where the byte after this one is, in a record whose quotes are sound.
    const fn after(self, byte: u8, delimiter: u8) -> Self {
        match self {
            Self::Quoted if byte == b'"' => Self::Quote,
            Self::Quoted => Self::Quoted,
            Self::CellStart | Self::Quote if byte == b'"' => Self::Quoted,
            Self::CellStart | Self::Plain | Self::Quote if byte == delimiter => Self::CellStart,
            Self::CellStart | Self::Plain | Self::Quote => Self::Plain,
        }
    }
}

/// Looks at the raw bytes of one record, its line end included or not.
pub(super) fn of(raw: &[u8], delimiter: u8) -> Quoting {
    let text = without_line_end(raw);
    let (mut at, mut stray, mut bare_return) = (QuoteState::CellStart, false, false);
    for &byte in text {
        at = match at {
            QuoteState::Quoted if byte == b'"' => QuoteState::Quote,
            QuoteState::Quoted => QuoteState::Quoted,
            QuoteState::CellStart | QuoteState::Quote if byte == b'"' => QuoteState::Quoted,
            QuoteState::CellStart | QuoteState::Plain | QuoteState::Quote if byte == delimiter => QuoteState::CellStart,
            QuoteState::CellStart | QuoteState::Plain => {
                stray |= byte == b'"';
                bare_return |= byte == b'\r';
                QuoteState::Plain
            }
            QuoteState::Quote if byte == b'\r' => {
                bare_return = true;
                QuoteState::Plain
            }
            QuoteState::Quote if is_closed(text, delimiter) => return Quoting::Trailing,
            QuoteState::Quote => return Quoting::Broken,
        };
    }
    match at {
        QuoteState::Quoted => Quoting::Open,
        QuoteState::CellStart | QuoteState::Plain | QuoteState::Quote if bare_return => Quoting::BareReturn,
        QuoteState::CellStart | QuoteState::Plain | QuoteState::Quote if stray && closes_one(text, delimiter) => {
            Quoting::Stray
        }
        QuoteState::CellStart | QuoteState::Plain | QuoteState::Quote => Quoting::Sound,
    }
}

pub(super) fn without_line_end(raw: &[u8]) -> &[u8] {
    let text = raw.strip_suffix(b"\n").unwrap_or(raw);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Whether a line with text behind a quote seems to end outside quotes, as `"the "boss" himself",x` and `"bob"by,x` do:
/// an even number of quotes, and the last one is in a cell that ends on the line. `x,"5" pipe` may well go on in the
/// next.
fn is_closed(text: &[u8], delimiter: u8) -> bool {
    let Some(last) = memchr::memrchr(b'"', text) else { return true };
    let rest = &text[last + 1..];
    let in_cell = rest.is_empty() || rest.contains(&delimiter);
    in_cell && memchr::memchr_iter(b'"', text).count().is_multiple_of(2) && !text.contains(&b'\n')
}

/// Whether the quotes of a line may close a cell that was opened before it: there is an odd number of them, or the last
/// one is at the end of a cell.
fn closes_one(text: &[u8], delimiter: u8) -> bool {
    let Some(last) = memchr::memrchr(b'"', text) else { return false };
    let at_end = text.get(last + 1).is_none_or(|byte| *byte == delimiter);
    at_end || !memchr::memchr_iter(b'"', text).count().is_multiple_of(2)
}

/// Whether the cell of this number, from 0, is in quotes. The quotes of the record are sound.
pub(super) fn is_quoted(raw: &[u8], delimiter: u8, index: usize) -> bool {
    let (mut at, mut cell) = (QuoteState::CellStart, 0);
    for &byte in raw {
        if matches!(at, QuoteState::CellStart) && cell == index {
            return byte == b'"';
        }
        at = at.after(byte, delimiter);
        cell += usize::from(matches!(at, QuoteState::CellStart));
    }
    false
}

/// Whether a quoted cell ends with a backslash that may escape its closing quote, as MySQL writes quotes: then the cell
/// goes on. Two backslashes are one that is escaped itself.
pub(super) fn may_escape_its_end(raw: &[u8], delimiter: u8) -> bool {
    if memchr::memmem::find(raw, b"\\\"").is_none() {
        return false;
    }
    let (mut at, mut escapes) = (QuoteState::CellStart, false);
    for &byte in without_line_end(raw) {
        let closed = matches!(at, QuoteState::Quote);
        at = at.after(byte, delimiter);
        if closed && escapes && matches!(at, QuoteState::CellStart) {
            return true;
        }
        escapes = match at {
            QuoteState::Quoted => byte == b'\\' && !escapes,
            QuoteState::Quote => escapes,
            QuoteState::CellStart | QuoteState::Plain => false,
        };
    }
    escapes && matches!(at, QuoteState::Quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_records_are_sound() {
        for raw in [
            &b"a,b\n"[..],
            b"\"a\",\"b\"\r\n",
            b"\"a\"\"b\",\"\"\n",
            b"\"two\nlines\",b",
            b"\"a\",\"b\"",
            b"\"a\r\nb\",\"c\"\r\n",
        ] {
            assert_eq!(of(raw, b','), Quoting::Sound, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn open_trailing_and_stray_quotes_are_distinguished() {
        for (raw, quoting) in [
            (&b"a,\"b\n"[..], Quoting::Open),
            (b"a,\"b\"\"\n", Quoting::Open),
            (b"say \"hi\",b\n", Quoting::Stray),
            (b"a\",\"b\"\n", Quoting::Stray),
            (b"\"the \"boss\" himself\",b\r\n", Quoting::Trailing),
            (b"\"\"a\"\",b\n", Quoting::Trailing),
            (b"\"bob\"by,carol\n", Quoting::Trailing),
            (b"a,19\" rack\n", Quoting::Stray),
            (b"a,the \"boss\" himself\n", Quoting::Sound),
            (b"a,\"5\" pipe\n", Quoting::Broken),
            (b"a,\"he said \"no\"\n", Quoting::Broken),
            (b"\"a\nb\"c\"d\"\n", Quoting::Broken),
            (b"\"a\" ,b\n", Quoting::Trailing),
            (b"\"a\";b\n", Quoting::Broken),
            (b"a\rb,c\n", Quoting::BareReturn),
            (b"a,\"b\"\r\r\n", Quoting::BareReturn),
        ] {
            assert_eq!(of(raw, b','), quoting, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_backslash_before_a_closing_quote_leaves_a_doubt() {
        for (raw, doubtful) in [
            (&b"u1,\"size 5\\\"\n"[..], true),
            (b"\"u1\",\"he said \\\"\r\n", true),
            (b"\"5\\\",u1\n", true),
            (b"\"5\\\\\\\"", true),
            (b"u1,\"C:\\\\\"\n", false),
            (b"u1,5\\\"\n", false),
            (b"u1,\"5\\\"\"\"\n", false),
            (b"u1,\"a\\b\"\n", false),
        ] {
            assert_eq!(may_escape_its_end(raw, b','), doubtful, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_cell_in_quotes_differs_from_one_that_holds_quotes() {
        let raw = b"a,\"b,\"\",c\",d \"e\",\"\",f\r\n";
        let quoted: Vec<bool> = (0..6).map(|index| is_quoted(raw, b',', index)).collect();
        assert_eq!(quoted, [false, true, false, true, false, false]);
    }
}
