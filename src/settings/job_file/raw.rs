//! The job file as written: which keys there are, and of what kind. Values keep their place in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::settings::values::{Number, Text, Whole};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    pub(super) name: Text,
    pub(super) operation: Text,
    #[serde(deserialize_with = "table")]
    pub(super) input: RawInput,
    #[serde(default, deserialize_with = "table")]
    /// Which ones there are depends on the operation.
    pub(super) options: BTreeMap<Text, Text>,
    #[serde(default, deserialize_with = "table")]
    pub(super) app: RawApp,
    #[serde(default, deserialize_with = "table")]
    pub(super) limits: RawLimits,
    #[serde(default, deserialize_with = "table")]
    pub(super) retry: RawRetry,
    #[serde(default, deserialize_with = "table")]
    pub(super) guard: RawGuard,
    #[serde(default, deserialize_with = "table")]
    pub(super) stop: RawStop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    pub(super) path: Spanned<Paths>,
    #[serde(default)]
    pub(super) columns: BTreeMap<Text, Text>,
    pub(super) encoding: Option<Text>,
    pub(super) delimiter: Option<Text>,
    pub(super) rejects: Option<Text>,
    pub(super) unusual_ids: Option<Text>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file or a list of files, each in quotes")]
pub(super) enum Paths {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub(super) sdkappid: Option<Whole>,
    pub(super) identifier: Option<Text>,
    pub(super) region: Option<Text>,
    pub(super) endpoint: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) calls_per_second: Option<Whole>,
    pub(super) app_calls_per_second: Option<Whole>,
    pub(super) max_in_flight: Option<Whole>,
    pub(super) cap_was_raised: Option<Spanned<bool>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    pub(super) max_attempts: Option<Whole>,
    pub(super) base_delay: Option<Text>,
    pub(super) max_delay: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGuard {
    pub(super) protected: Option<Spanned<RawProtected>>,
    pub(super) min_items: Option<Whole>,
    pub(super) max_items: Option<Whole>,
    pub(super) max_change: Option<Number>,
    pub(super) max_rejected: Option<Number>,
    pub(super) max_already_done: Option<Number>,
    pub(super) canary: Option<Whole>,
    pub(super) hold: Option<Text>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected one file in quotes, or [] for nobody")]
pub(super) enum RawProtected {
    File(String),
    List(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStop {
    pub(super) failed_share: Option<Number>,
    pub(super) after_items: Option<Whole>,
    pub(super) outage: Option<Text>,
    pub(super) until: Option<Text>,
}

/// A section: a table and nothing else. serde alone would take the list `[[limits]]` for one, too, and hand its
/// values to the keys in turn.
fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(section: D) -> Result<T, D::Error> {
    section.deserialize_map(Table(PhantomData))
}

struct Table<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(keys))
    }
}
