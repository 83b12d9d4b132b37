//! The files of a run's input.

use serde::Serialize;

use crate::domain::source_facts::SourceFacts;

/// A file of a run's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputFile {
    /// Its name in results and messages.
    pub name: String,
    /// What reading it found.
    #[serde(flatten)]
    pub facts: SourceFacts,
}
