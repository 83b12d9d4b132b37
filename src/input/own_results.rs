//! Whether a file is a results file of imbulk, for the operation at hand.
//!
//! Results have the API's names, UTF-8, and an encoding of values of their own (`domain::results`), whatever the job
//! maps, delimits or encodes. They are known by their columns: a file of the user's own has others.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::domain::operation::{Shape, TagColumns};
use crate::domain::{results, tags};

/// How much of a file's start is enough to recognize results: the longest first line that the API's limits allow.
pub(super) const START: u64 = 64 << 10;

/// Whether the first line of CSV is the header of results, whatever a spreadsheet made of its delimiter and quotes.
pub(super) fn is_csv(start: &[u8], shape: &Shape) -> bool {
    let Some(line) = first_line(start) else { return false };
    [',', ';', '\t', '|'].into_iter().any(|delimiter| {
        let names = line.split(delimiter);
        let names = names.map(|name| name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name));
        results::is_header(names, shape)
    })
}

/// Whether the first line of JSONL is a row of results.
pub(super) fn is_jsonl(start: &[u8], shape: &Shape) -> bool {
    let Some(line) = first_line(start) else { return false };
    let mut reader = serde_json::Deserializer::from_str(line);
    let Ok(keys) = reader.deserialize_map(Keys) else { return false };
    let mut expected = results::PLACE.into_iter().chain(shape.columns()).chain(results::OUTCOME);
    let is_tag = |key: &str| shape.tags == TagColumns::Some && tags::kind(key).is_ok();
    expected.all(|key| keys.contains(key)) && keys.iter().all(|key| is_known(key, shape) || is_tag(key))
}

fn is_known(key: &str, shape: &Shape) -> bool {
    results::PLACE.into_iter().chain(shape.columns()).chain(results::OUTCOME).any(|known| known == key)
}

/// The first line that is not empty, as text.
fn first_line(start: &[u8]) -> Option<&str> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let line = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    str::from_utf8(line).ok()
}

/// Reads the keys of an object.
struct Keys;

impl<'de> Visitor<'de> for Keys {
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
        ] {
            assert!(is_csv(text.as_bytes(), &shape("account_delete")), "{text}");
            assert!(!is_csv(text.as_bytes(), &shape("friend_delete_all")), "{text}");
        }
        assert!(!is_csv(b"source,line,UserID,outcome\n", &shape("account_delete")));
        assert!(!is_csv(b"", &shape("account_delete")));
    }

    #[test]
    fn jsonl_results_are_known_by_their_keys() {
        let row = r#"{"source":"a","line":1,"From_Account":"a","To_Account":"b","Tag_SNS_IM_Group":["g"],"outcome":"failed","code":1,"reason":"x","attempts":1,"finished_at":null}"#;
        assert!(is_jsonl(row.as_bytes(), &shape("friend_update")));
        assert!(!is_jsonl(row.as_bytes(), &shape("friend_delete")), "its results have no tags");
        assert!(!is_jsonl(br#"{"From_Account":"a","To_Account":"b"}"#, &shape("friend_delete")));
        assert!(!is_jsonl(row.replace("\"line\"", "\"mine\"").as_bytes(), &shape("friend_update")));
    }
}
