//! The arguments of `imbulk report`: the ending of the file chooses the format.

use std::path::PathBuf;

use clap::Args;

use crate::domain::language::Language;
use crate::domain::report_file::ReportFormat;

/// Arguments of `imbulk report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// File to write, readable only by its owner; its ending (.html, .json, .md) chooses the format
    #[arg(long, value_name = "FILE", value_parser = ReportFile::named)]
    pub output: ReportFile,
    /// Language of the page or the Markdown; JSON is English
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    pub lang: Language,
}

/// Where a report is written, and in which format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The file.
    pub path: PathBuf,
    /// The format that its ending names.
    pub format: ReportFormat,
}

impl ReportFile {
    /// The file with this name.
    pub(super) fn named(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let format = ReportFormat::of(&path);
        let format = format.ok_or("the ending of the file chooses the format: .html, .json or .md")?;
        Ok(Self { path, format })
    }
}
