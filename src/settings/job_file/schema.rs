//! The JSON schema of the job file, with which editors complete keys and show mistakes.

use serde_json::{Map, Value, json};

use super::NAME_CHARS;
use super::keys::{JOB_KEYS, JobKey, KeyKind};
use crate::api::Region;
use crate::domain::operation::{self, FieldName, Operation};

/// Pairs of keys of which a section may have one.
const EXCLUSIVE: [(&str, [&str; 2]); 2] = [("app", ["region", "endpoint"]), ("stop", ["until", "window"])];

/// The JSON schema of a job file (draft 7, which the editors know).
pub fn job_schema() -> Value {
    let top = || JOB_KEYS.iter().filter(|key| key.section.is_empty());
    let mut properties: Map<String, Value> = top().map(property).collect();
    for section in sections() {
        properties.insert(section.to_owned(), section_schema(section));
    }
    properties.insert("options".to_owned(), json!({ "type": "object", "description": "The options of the operation" }));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A job file of imbulk",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": ["name", "operation", "input"],
        "allOf": operation::ALL.iter().map(|operation| operation_schema(operation)).collect::<Vec<_>>(),
    })
}

/// The sections, in the order of the table.
fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> =
        JOB_KEYS.iter().map(|key| key.section).filter(|section| !section.is_empty()).collect();
    sections.dedup();
    sections
}

fn section_schema(section: &str) -> Value {
    let keys = || JOB_KEYS.iter().filter(|key| key.section == section);
    let required: Vec<&str> = keys().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": keys().map(property).collect::<Map<_, _>>(),
        "required": required,
    });
    if let Some(both) = EXCLUSIVE.iter().find_map(|(own, keys)| (*own == section).then_some(keys)) {
        schema["not"] = json!({ "required": both });
    }
    schema
}

fn property(key: &JobKey) -> (String, Value) {
    let mut schema = values(key.kind);
    schema["description"] = key.about.into();
    if let Some(default) = key.is_default.then(|| example(key)).flatten() {
        schema["default"] = default;
    }
    (key.name.to_owned(), schema)
}

/// The example as JSON.
fn example(key: &JobKey) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {}", key.example)).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

fn values(kind: KeyKind) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    match kind {
        KeyKind::JobName => {
            json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": NAME_CHARS })
        }
        KeyKind::Operation => json!({ "enum": operation::ALL.iter().map(|one| one.name).collect::<Vec<_>>() }),
        KeyKind::Region => json!({ "enum": Region::ALL.map(Region::name) }),
        KeyKind::OneOf(words) => json!({ "enum": words }),
        KeyKind::Text => text,
        KeyKind::Url => json!({ "type": "string", "pattern": "^https?://" }),
        KeyKind::Files => json!({ "oneOf": [text, { "type": "array", "items": text, "minItems": 1 }] }),
        KeyKind::CommandLine => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        KeyKind::ReportFile => {
            json!({ "type": "string", "pattern": "\\.([Hh][Tt][Mm][Ll]|[Jj][Ss][Oo][Nn]|[Mm][Dd])$" })
        }
        KeyKind::MetricsFile => json!({ "type": "string", "pattern": "\\.prom$" }),
        KeyKind::Columns => json!({ "type": "object", "additionalProperties": text }),
        KeyKind::Protected => json!({ "oneOf": [text, { "type": "array", "maxItems": 0 }] }),
        KeyKind::Boolean => json!({ "type": "boolean" }),
        KeyKind::Count { min } => json!({ "type": "integer", "minimum": min }),
        KeyKind::Share { zero: true } => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        KeyKind::Share { zero: false } => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        KeyKind::Factor => json!({ "type": "number", "minimum": 1 }),
        KeyKind::Duration => json!({ "type": "string", "pattern": "^[0-9]" }),
        KeyKind::DurationOrNever => json!({ "type": "string", "pattern": "^([0-9]|never$)" }),
        KeyKind::Window => {
            let time = "([01][0-9]|2[0-3]):[0-5][0-9]";
            json!({ "type": "string", "pattern": format!("^{time}-{time}( .+)?$") })
        }
        KeyKind::TimeOfDay => json!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" }),
    }
}

/// What a job of this operation may map and must choose.
fn operation_schema(operation: &Operation) -> Value {
    let options: Map<String, Value> = operation
        .options
        .iter()
        .map(|option| {
            let values: Vec<Value> =
                option.values.iter().map(|value| json!({ "const": value.name, "description": value.effect })).collect();
            let mut schema = json!({ "oneOf": values });
            if let Some(default) = option.default {
                schema["default"] = default.into();
            }
            (option.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> =
        operation.options.iter().filter(|option| option.default.is_none()).map(|option| option.name).collect();
    let needs_options: &[&str] = if required.is_empty() { &[] } else { &["options"] };
    json!({
        "if": { "properties": { "operation": { "const": operation.name } }, "required": ["operation"] },
        "then": {
            "properties": {
                "input": { "properties": { "columns": { "propertyNames": column_names(operation) } } },
                "options": { "additionalProperties": false, "properties": options, "required": required },
            },
            "required": needs_options,
        },
    })
}

fn column_names(operation: &Operation) -> Value {
    let fields = operation.shape.fields.fields.iter().map(|field| match field.name {
        FieldName::Exact(name) => json!({ "const": name }),
        FieldName::Custom { prefix, max_letters } => {
            json!({ "pattern": format!("^{prefix}[A-Za-z]{{1,{max_letters}}}$") })
        }
    });
    let ids = operation.shape.columns().map(|id| json!({ "const": id }));
    json!({ "anyOf": ids.chain(fields).collect::<Vec<_>>() })
}
