//! How many rows the files of `imbulk results NAME --split DIR` have.

use schemars::JsonSchema;
use serde::Serialize;

use super::json::FormatVersion;
use crate::domain::response::outcome::{Count, Outcome};
use crate::domain::target::RunTarget;
use crate::queue::Run;

/// The content of `sums.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SplitSums {
    /// The version of the format.
    schema: FormatVersion,
    /// The run's id.
    run: String,
    /// The job's name.
    job: String,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    target: RunTarget,
    /// Rows of the run.
    rows: u64,
    /// Rows in all files together: all of the run, unless `--outcome` chose some.
    exported_rows: u64,
    /// The files.
    files: Vec<SplitFile>,
}

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SplitFile {
    /// The outcome of all its rows.
    pub outcome: Outcome,
    /// Its name.
    pub file: String,
    /// Its rows.
    pub rows: Count,
}

impl SplitSums {
    /// The sums of the files of a run.
    pub fn new(run: &Run, files: Vec<SplitFile>) -> Self {
        Self {
            schema: FormatVersion,
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target,
            rows: run.row_count.cast_unsigned(),
            exported_rows: files.iter().map(|file| file.rows).sum(),
            files,
        }
    }
}
