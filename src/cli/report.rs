//! The arguments of `imbulk report`: the ending of the file chooses the format.

use std::path::PathBuf;

use clap::Args;

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
}

/// Where a report is written, and in which format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The file.
    pub path: PathBuf,
    /// The format that its ending names.
    pub format: ReportFormat,
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// A page.
    Html,
    /// For programs.
    Json,
    /// For people, to paste into a message.
    Markdown,
}

impl ReportFile {
    /// The file with this name.
    pub(super) fn named(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = match ending.as_str() {
            "html" => ReportFormat::Html,
            "json" => ReportFormat::Json,
            "md" => ReportFormat::Markdown,
            _ => return Err("the ending of the file chooses the format: .html, .json or .md".to_owned()),
        };
        Ok(Self { path, format })
    }
}
