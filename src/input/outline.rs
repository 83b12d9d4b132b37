//! What a source shows before a job exists: its encoding, and the names of its columns or keys.

use std::io::{self, BufRead, BufReader, Read};

use crate::domain::job::{Delimiter, Encoding};

use super::compression::{decompress, peek};
use super::encoding::{REPLACEMENT, to_utf8};
use super::error::InputError;
use super::file_format::SAMPLE_BYTES;
use super::source::{RowFormat, Source};
use super::watch::Watch;
use super::{csv, jsonl};

/// What a source shows before a job exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// GBK only if the text is not UTF-8 and all of it is valid GBK.
    pub encoding: Encoding,
    /// The ways to read its names, the likeliest first. Not empty.
    pub readings: Vec<HeaderReading>,
}

/// One way to read the names of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderReading {
    /// The delimiter of CSV; none for JSONL.
    pub delimiter: Option<Delimiter>,
    /// The columns of the header, or the keys of the first objects.
    pub names: Vec<String>,
}

/// Reads a source to its end for its encoding, and its start for the names.
pub fn outline(source: &Source) -> Result<Outline, InputError> {
    let encoding = encoding(source)?;
    let text = text(source, encoding)?;
    let (start, text) = peek(text, SAMPLE_BYTES).map_err(|error| unreadable(source, error))?;
    let readings = match RowFormat::of(source.name(), &start) {
        RowFormat::Csv => csv::header_readings(source.name(), text)?
            .into_iter()
            .map(|(delimiter, names)| HeaderReading { delimiter: Some(delimiter), names })
            .collect(),
        RowFormat::Jsonl => vec![HeaderReading { delimiter: None, names: jsonl::keys(source.name(), text)? }],
    };
    Ok(Outline { encoding, readings })
}

fn encoding(source: &Source) -> Result<Encoding, InputError> {
    let mut watched = Watch::new(text(source, Encoding::Utf8)?);
    io::copy(&mut watched, &mut io::sink()).map_err(|error| unreadable(source, error))?;
    let is_gbk = watched.invalid_line().is_some() && is_valid_gbk(source);
    Ok(if is_gbk { Encoding::Gbk } else { Encoding::Utf8 })
}

/// Whether the whole text can be read as GBK.
fn is_valid_gbk(source: &Source) -> bool {
    let Ok(decoded) = text(source, Encoding::Gbk) else { return false };
    let mut decoded = BufReader::new(decoded);
    let mut line = Vec::new();
    loop {
        line.clear();
        match decoded.read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(_) if !String::from_utf8_lossy(&line).contains(REPLACEMENT) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

fn text(source: &Source, encoding: Encoding) -> Result<impl Read + '_, InputError> {
    let error = |problem| InputError::new(source.name(), problem);
    to_utf8(decompress(source.name(), source.raw()?).map_err(error)?, encoding).map_err(error)
}

fn unreadable(source: &Source, error: io::Error) -> InputError {
    InputError::of_read(source.name(), None, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::source;

    fn outline_of(name: &str, bytes: &[u8]) -> Outline {
        outline(&source(name, bytes)).unwrap()
    }

    /// The names as this delimiter parts them.
    fn names(outline: &Outline, delimiter: Option<Delimiter>) -> Vec<String> {
        let found = outline.readings.iter().find(|reading| reading.delimiter == delimiter);
        found.expect("every delimiter is tried").names.clone()
    }

    #[test]
    fn a_header_is_parted_by_each_delimiter() {
        let outline = outline_of("a.csv", b"\xef\xbb\xbfuser_id;note, long\nu1;x\n");
        assert_eq!(outline.encoding, Encoding::Utf8);
        assert_eq!(names(&outline, Some(Delimiter::Comma)), ["user_id;note", " long"]);
        assert_eq!(names(&outline, Some(Delimiter::Semicolon)), ["user_id", "note, long"]);
        assert_eq!(names(&outline, Some(Delimiter::Tab)), ["user_id;note, long"]);
    }

    #[test]
    fn text_is_gbk_only_if_it_is_not_utf8_and_all_of_it_is_gbk() {
        let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
        let outline = outline_of("a.csv", &gbk("用户编号,备注\nu1,张三丰\n"));
        assert_eq!(outline.encoding, Encoding::Gbk);
        assert_eq!(names(&outline, Some(Delimiter::Comma)), ["用户编号", "备注"]);
        assert_eq!(outline_of("a.csv", "用户编号\nu1\n".as_bytes()).encoding, Encoding::Utf8);
        let latin = outline_of("a.csv", b"user_id,note\nu1,caf\xe9\n");
        assert_eq!(latin.encoding, Encoding::Utf8, "Latin-1 is not GBK");
    }

    #[test]
    fn the_keys_of_jsonl_are_those_of_the_objects_and_of_their_lists() {
        let text = b"{\"uid\":\"a\",\"x\":1}\nno json\n{\"DeleteItem\":[{\"UserID\":\"b\"}]}\n";
        assert_eq!(names(&outline_of("a.jsonl", text), None), ["uid", "x", "DeleteItem", "UserID"]);
    }
}
