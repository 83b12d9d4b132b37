//! The files of a run's input.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::source_facts::SourceFacts;

/// A file of a run's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InputFile {
    /// Its name in results and messages.
    pub name: String,
    /// What reading it found.
    #[serde(flatten)]
    pub facts: SourceFacts,
}
