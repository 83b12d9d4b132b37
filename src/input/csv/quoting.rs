//! Whether the quotes of a record are what they seem.
//!
//! The csv crate reads on when a quote is never closed or is followed by stray text. Here such a record must be
//! known for what it is: `"bob"by,carol` would name an account that the file does not, and an open quote would
//! swallow the rows that follow.

/// How the quotes of a record stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Every quoted cell ends at a closing quote.
    Sound,
    /// A quoted cell is still open where the record ends.
    Open,
    /// Text follows a closing quote.
    Trailing,
}

/// Where in a record a byte is.
enum At {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: the first half of an escaped one, or the closing one.
    Quote,
}

/// Looks at the raw bytes of one record, its line end included or not.
pub(super) fn of(raw: &[u8], delimiter: u8) -> Quoting {
    let mut at = At::CellStart;
    for (index, &byte) in raw.iter().enumerate() {
        at = match at {
            At::Quoted if byte == b'"' => At::Quote,
            At::Quoted => At::Quoted,
            At::CellStart | At::Quote if byte == b'"' => At::Quoted,
            At::CellStart | At::Plain | At::Quote if byte == delimiter => At::CellStart,
            At::CellStart | At::Plain => At::Plain,
            At::Quote if matches!(&raw[index..], b"\n" | b"\r\n" | b"\r") => return Quoting::Sound,
            At::Quote => return Quoting::Trailing,
        };
    }
    match at {
        At::Quoted => Quoting::Open,
        At::CellStart | At::Plain | At::Quote => Quoting::Sound,
    }
}

/// Whether the cell of this number, from 0, is in quotes. The quotes of the record are sound.
pub(super) fn is_quoted(raw: &[u8], delimiter: u8, index: usize) -> bool {
    let (mut at, mut cell) = (At::CellStart, 0);
    for &byte in raw {
        if matches!(at, At::CellStart) && cell == index {
            return byte == b'"';
        }
        at = match at {
            At::Quoted if byte == b'"' => At::Quote,
            At::Quoted => At::Quoted,
            At::CellStart | At::Quote if byte == b'"' => At::Quoted,
            At::CellStart | At::Plain | At::Quote if byte == delimiter => {
                cell += 1;
                At::CellStart
            }
            At::CellStart | At::Plain | At::Quote => At::Plain,
        };
    }
    false
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
            b"say \"hi\",b\n",
            b"\"a\",\"b\"",
        ] {
            assert_eq!(of(raw, b','), Quoting::Sound, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn open_and_trailing_quotes_are_told_apart() {
        assert_eq!(of(b"a,\"b\n", b','), Quoting::Open);
        assert_eq!(of(b"a,\"b\"\"\n", b','), Quoting::Open);
        assert_eq!(of(b"\"bob\"by,carol\n", b','), Quoting::Trailing);
        assert_eq!(of(b"\"a\" ,b\n", b','), Quoting::Trailing);
        assert_eq!(of(b"\"a\";b\n", b','), Quoting::Trailing);
    }

    #[test]
    fn a_cell_in_quotes_is_told_from_one_that_holds_quotes() {
        let raw = b"a,\"b,\"\",c\",d \"e\",\"\",f\r\n";
        let quoted: Vec<bool> = (0..6).map(|index| is_quoted(raw, b',', index)).collect();
        assert_eq!(quoted, [false, true, false, true, false, false]);
    }
}
