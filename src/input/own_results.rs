//! Whether a file is a results file of imbulk, for the operation at hand.
//!
//! Results have the API's names, UTF-8, and an encoding of values of their own (`domain::results`), whatever the job
//! maps, delimits or encodes. They are known by their columns: a file of the user's own has others.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::domain::operation::InputShape;
use crate::domain::results;

/// How much of a file's start is enough to recognize results: the longest first line that the API's limits allow.
pub(super) const START: u64 = 64 << 10;

/// Whether the first line of CSV is the header of results, whatever a spreadsheet made of its order, delimiter and
/// quotes.
pub(super) fn is_csv(start: &[u8], shape: &InputShape) -> bool {
    first_line(start).is_some_and(|line| headers(line).any(|names| results::is_header(names, shape)))
}

/// Whether the first line of JSONL is a row of results.
pub(super) fn is_jsonl(start: &[u8], shape: &InputShape) -> bool {
    let keys = first_line(start).and_then(keys);
    keys.is_some_and(|keys| results::is_header(keys.iter().map(String::as_str), shape))
}

/// Whether the first line is one of results, of whatever operation and format.
pub(super) fn is_of_any_operation(start: &[u8]) -> bool {
    first_line(start).is_some_and(|line| match keys(line) {
        Some(keys) => results::is_header_of_any(keys.iter().map(String::as_str)),
        None => headers(line).any(results::is_header_of_any),
    })
}

/// The names of a header line, for each delimiter that it may have.
fn headers(line: &str) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    [',', ';', '\t', '|'].into_iter().map(move |delimiter| {
        let names = line.split(delimiter).map(str::trim);
        names.map(|name| name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name))
    })
}

/// The keys of an object in JSON.
fn keys(line: &str) -> Option<BTreeSet<String>> {
    serde_json::Deserializer::from_str(line).deserialize_map(KeysVisitor).ok()
}

/// The first line that is not empty, as text.
fn first_line(start: &[u8]) -> Option<&str> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let line = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    str::from_utf8(line).ok()
}

/// Reads the keys of an object.
struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = BTreeSet<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            keys.insert(key);
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::shape;

    #[test]
    fn csv_results_are_known_by_their_header_however_it_was_saved() {
        let header = "source,line,UserID,outcome,code,reason,attempts,finished_at";
        let quoted = header.replace(',', "\",\"");
        for text in [
            format!("{header}\na.csv,2,u1,succeeded,,,1,\n"),
            format!("\u{feff}{}\r\n", header.replace(',', ";")),
            header.replace(',', "\t"),
            format!("\"{quoted}\"\n"),
            "outcome,UserID,line,source,code,reason,attempts,finished_at\n".to_owned(),
        ] {
            assert!(is_csv(text.as_bytes(), &shape("account_delete")), "{text}");
            assert!(!is_csv(text.as_bytes(), &shape("friend_delete_all")), "{text}");
        }
        assert!(!is_csv(b"source,line,UserID,outcome\n", &shape("account_delete")));
        assert!(!is_csv(b"", &shape("account_delete")));
    }

    #[test]
    fn jsonl_results_are_known_by_their_keys() {
        let row = concat!(
            r#"{"source":"a","line":1,"From_Account":"a","To_Account":"b","Tag_SNS_IM_Group":["g"],"#,
            r#""outcome":"failed","code":1,"reason":"x","attempts":1,"finished_at":null}"#,
        );
        assert!(is_jsonl(row.as_bytes(), &shape("friend_update")));
        assert!(!is_jsonl(row.as_bytes(), &shape("friend_delete")), "its results have no fields");
        assert!(!is_jsonl(br#"{"From_Account":"a","To_Account":"b"}"#, &shape("friend_delete")));
        assert!(!is_jsonl(row.replace("\"line\"", "\"mine\"").as_bytes(), &shape("friend_update")));
    }

    #[test]
    fn results_of_any_operation_are_known_in_any_order_and_with_other_columns() {
        for text in [
            "source,line,From_Account,outcome,code,reason,attempts,finished_at\n",
            "UserID,source,line,outcome,code,reason,attempts,finished_at\n",
            "\u{feff}note;finished_at;attempts;reason;code;outcome;line;source;member_no\r\n",
            "\"outcome\",\"source\",\"line\",\"code\",\"reason\",\"attempts\",\"finished_at\",\"UserID\"\n",
            concat!(
                r#"{"finished_at":null,"attempts":1,"reason":"x","code":1,"outcome":"failed","#,
                r#""UserID":"a","line":1,"source":"a"}"#
            ),
        ] {
            assert!(is_of_any_operation(text.as_bytes()), "{text}");
        }
        for text in ["source,UserID\n", "source,line,UserID,outcome\n", "{\"source\":\"a\",\"UserID\":\"b\"}", ""] {
            assert!(!is_of_any_operation(text.as_bytes()), "{text}");
        }
    }
}
