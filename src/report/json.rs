//! What the JSON of all commands has in common: the version of its format, and how times and messages are written.
//! The JSON schemas are derived from the types that are written.

use std::borrow::Cow;

use jiff::Zoned;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::ser::Serializer;

use crate::domain::hint::{Hint, Message};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::timestamp::rfc3339;

/// The version of the JSON's format. A key that is removed, or that changes its meaning, raises it.
const VERSION: u32 = 1;

/// The version of the format, as the key `schema`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatVersion;

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl JsonSchema for FormatVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FormatVersion".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": VERSION })
    }
}

/// The schema of a moment.
pub(super) struct DateTime;

impl JsonSchema for DateTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DateTime".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// The schema of the number of rows by outcome.
pub(super) struct RowsByOutcome;

impl JsonSchema for RowsByOutcome {
    fn schema_name() -> Cow<'static, str> {
        "RowsByOutcome".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let names = Outcome::ALL.map(Outcome::name);
        let rows = json_schema!({ "type": "integer", "minimum": 0 });
        let properties: serde_json::Map<_, _> =
            names.iter().map(|&name| (name.to_owned(), rows.clone().into())).collect();
        json_schema!({ "type": "object", "properties": properties, "required": names })
    }
}

/// The JSON schema of what a command prints: draft 7, as that of the job file. An object has exactly the keys that its
/// schema names.
pub fn schema_of<T: JsonSchema>(title: &str) -> Schema {
    let mut schema = SchemaSettings::draft07().for_serialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    RecursiveTransform(close).transform(&mut schema);
    schema
}

/// Allows no other keys, and removes the formats of numbers, which strict validators refuse.
fn close(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    if schema.get("minimum").is_some() || schema.get("type").is_some_and(|kind| *kind == "number") {
        schema.remove("format");
    }
}

/// The message and its hint in one string.
#[expect(clippy::ref_option, reason = "serde passes the field")]
pub(super) fn message<S: Serializer>(message: &Option<Message>, serializer: S) -> Result<S::Ok, S::Error> {
    message.as_ref().map(Hint::with_hint).serialize(serializer)
}

/// Every outcome by name, zeros too.
pub(super) fn by_name<S: Serializer>(tally: &Tally, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tally.iter().map(|(outcome, rows)| (outcome.name(), rows)))
}

/// RFC 3339 in UTC.
pub(super) fn moment<S: Serializer>(moment: &Zoned, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(moment.timestamp().as_millisecond()))
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
pub(super) fn milliseconds<S: Serializer>(at: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

/// Milliseconds since 1970 as RFC 3339 in UTC, or null.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(super) fn milliseconds_if_any<S: Serializer>(at: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

/// RFC 3339 in UTC, or null.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(super) fn moment_if_any<S: Serializer>(at: &Option<Zoned>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => moment(at, serializer),
        None => serializer.serialize_none(),
    }
}
