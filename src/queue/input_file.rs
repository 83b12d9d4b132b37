//! The files of a run's input.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::source_facts::SourceFacts;

/// A file of a run's input, or a file of an earlier run of which rows were carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InputFile {
    /// Its name in results and messages.
    pub name: String,
    /// The id of the run that read the file, if its rows were carried over.
    pub carried_from: Option<String>,
    /// What reading it found.
    #[serde(flatten)]
    pub facts: SourceFacts,
}
