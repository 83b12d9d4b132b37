//! Rows in the words of their file, without any check.

use std::fmt;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::request::own_row::OwnCell;

/// What a file has for a row.
#[derive(Debug)]
pub enum OwnCells {
    /// The cells of CSV.
    Csv(Vec<OwnCell>),
    /// The keys of JSONL with their values.
    Json(Vec<(String, Box<RawValue>)>),
}

/// What a source hands its rows to, with the line on which each starts.
pub(super) type OwnSink<'s> = dyn FnMut(u64, OwnCells) -> ControlFlow<()> + 's;

/// The keys and values of an object, in the sequence of its text.
#[derive(Default)]
pub(super) struct OwnObject(pub(super) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for OwnObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OwnObjectVisitor)
    }
}

struct OwnObjectVisitor;

impl<'de> Visitor<'de> for OwnObjectVisitor {
    type Value = OwnObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OwnObject, A::Error> {
        let mut object = OwnObject::default();
        while let Some(entry) = map.next_entry()? {
            object.0.push(entry);
        }
        Ok(object)
    }
}
