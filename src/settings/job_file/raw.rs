//! The job file as written: which keys there are, and of what kind. Values keep their place in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::settings::values::{SpannedFloat, SpannedInteger, SpannedText};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    pub(super) name: SpannedText,
    pub(super) operation: SpannedText,
    pub(super) priority: Option<SpannedInteger>,
    #[serde(deserialize_with = "table")]
    pub(super) input: RawInput,
    #[serde(default, deserialize_with = "table")]
    /// Which ones there are depends on the operation.
    pub(super) options: BTreeMap<SpannedText, SpannedText>,
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
    #[serde(default, deserialize_with = "table")]
    pub(super) report: RawReport,
    #[serde(default, deserialize_with = "table")]
    pub(super) notify: RawNotify,
    #[serde(default, deserialize_with = "table")]
    pub(super) backup: RawBackup,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    pub(super) path: Option<SpannedText>,
    pub(super) friends: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    pub(super) path: Spanned<Paths>,
    #[serde(default)]
    pub(super) columns: BTreeMap<SpannedText, SpannedText>,
    pub(super) encoding: Option<SpannedText>,
    pub(super) delimiter: Option<SpannedText>,
    pub(super) rejects: Option<SpannedText>,
    pub(super) unusual_ids: Option<SpannedText>,
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
    pub(super) sdkappid: Option<SpannedInteger>,
    pub(super) identifier: Option<SpannedText>,
    pub(super) region: Option<SpannedText>,
    pub(super) endpoint: Option<SpannedText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) calls_per_second: Option<SpannedInteger>,
    pub(super) app_calls_per_second: Option<SpannedInteger>,
    pub(super) calls_per_day: Option<SpannedInteger>,
    pub(super) max_in_flight: Option<SpannedInteger>,
    pub(super) cap_was_raised: Option<Spanned<bool>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    pub(super) max_attempts: Option<SpannedInteger>,
    pub(super) base_delay: Option<SpannedText>,
    pub(super) max_delay: Option<SpannedText>,
    pub(super) carry_over: Option<SpannedInteger>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGuard {
    pub(super) protected: Option<Spanned<RawProtected>>,
    pub(super) min_items: Option<SpannedInteger>,
    pub(super) max_items: Option<SpannedInteger>,
    pub(super) max_change: Option<SpannedFloat>,
    pub(super) max_rejected: Option<SpannedFloat>,
    pub(super) max_already_done: Option<SpannedFloat>,
    pub(super) canary: Option<SpannedInteger>,
    pub(super) hold: Option<SpannedText>,
    pub(super) approval: Option<SpannedText>,
    pub(super) unless_online: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected one file in quotes, or [] for no id")]
pub(super) enum RawProtected {
    File(String),
    List(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStop {
    pub(super) failed_share: Option<SpannedFloat>,
    pub(super) after_items: Option<SpannedInteger>,
    pub(super) outage: Option<SpannedText>,
    pub(super) until: Option<SpannedText>,
    pub(super) window: Option<SpannedText>,
    pub(super) max_runtime: Option<SpannedText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReport {
    pub(super) file: Option<SpannedText>,
    pub(super) metrics: Option<SpannedText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) ping: Option<SpannedText>,
    pub(super) command: Option<Spanned<Vec<String>>>,
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
