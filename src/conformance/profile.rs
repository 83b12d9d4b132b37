//! The profile of a server: what was measured, and how it differs from what imbulk expects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{CHECKS, Check};
use crate::domain::timestamp::rfc3339;

/// The profile of a server. It contains no secret and no name of an account.
#[derive(Debug, Serialize)]
pub struct Profile {
    /// The version of this format.
    pub schema: u32,
    /// The version of imbulk.
    pub version: &'static str,
    /// Scheme, host and port.
    pub endpoint: String,
    /// When it was measured: RFC 3339, UTC.
    pub measured_at: String,
    /// The number of calls.
    pub calls: u64,
    /// The text of each check; none if it could not be measured.
    pub values: BTreeMap<&'static str, Option<String>>,
    /// Where the server differs from what imbulk expects.
    pub differences: Vec<Difference>,
}

/// A situation in which a server differs from what imbulk expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key of the check.
    pub key: &'static str,
    /// The situation in words.
    pub situation: &'static str,
    /// What imbulk expects, and what the sandbox does.
    pub expected: &'static str,
    /// What was measured.
    pub measured: String,
}

impl Profile {
    /// A profile without values.
    pub fn new(endpoint: String, measured_at: Timestamp) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            schema: 1,
            version,
            endpoint,
            measured_at: rfc3339(measured_at.as_millisecond()),
            calls: 0,
            values: CHECKS.iter().map(|check| (check.key, None)).collect(),
            differences: Vec::new(),
        }
    }

    /// Adds the result of a check.
    pub fn add(&mut self, check: &Check, measured: Option<String>) {
        if let Some(measured) = measured.as_ref().filter(|measured| *measured != check.expected) {
            let Check { key, situation, expected, .. } = *check;
            self.differences.push(Difference { key, situation, expected, measured: measured.clone() });
        }
        self.values.insert(check.key, measured);
    }

    /// The checks without a result.
    pub fn unknown(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key)
    }

    /// The text for a person: each difference, what could not be measured, and the sum.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Difference { key, situation, expected, measured } in &self.differences {
            text.push_str(&format!("differs  {key}: {situation}: expected {expected}, measured {measured}\n"));
        }
        for key in self.unknown() {
            text.push_str(&format!("unknown  {key}: the answers do not show it\n"));
        }
        let (differences, unknown) = (self.differences.len(), self.unknown().count());
        let same = self.values.len() - differences - unknown;
        text.push_str(&format!(
            "{same} checks as expected, {differences} differ, {unknown} unknown; {} calls",
            self.calls
        ));
        text
    }
}
