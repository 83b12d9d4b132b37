//! Where the report on a run is written, and in which format.

use std::path::{Path, PathBuf};

/// Format of a report. The ending of the file chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// A page.
    Html,
    /// For programs.
    Json,
    /// For people, to paste into a message.
    Markdown,
}

impl ReportFormat {
    /// The format that the ending of a file names.
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// A file for reports, as a job names it (`report.file`). `{job}` and `{run}` in its path are placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReportFile {
    /// The folder of the job file.
    pub folder: PathBuf,
    /// The path below that folder, or an absolute one.
    pub template: String,
    /// The format that its ending names.
    pub format: ReportFormat,
}

impl JobReportFile {
    /// The file for this run.
    pub fn path(&self, job: &str, run: &str) -> PathBuf {
        self.folder.join(self.template.replace("{job}", job).replace("{run}", run))
    }

    /// The first pair of braces in a path that is no placeholder.
    pub fn unknown_placeholder(template: &str) -> Option<String> {
        let rest = template.replace("{job}", "").replace("{run}", "");
        let from = rest.find(['{', '}'])?;
        let to = rest[from..].find('}').map_or(rest.len(), |length| from + length + 1);
        Some(rest[from..to].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_others_are_found() {
        let file = |template: &str| JobReportFile {
            folder: "/srv".into(),
            template: template.to_owned(),
            format: ReportFormat::Html,
        };
        assert_eq!(file("r/{job}-{run}.html").path("purge", "0190"), Path::new("/srv/r/purge-0190.html"));
        assert_eq!(file("/tmp/r.html").path("purge", "0190"), Path::new("/tmp/r.html"));
        let unknown = |template| JobReportFile::unknown_placeholder(template);
        assert_eq!(unknown("{job}/{run}.html"), None);
        assert_eq!(unknown("r-{date}.html").as_deref(), Some("{date}"));
        assert_eq!(unknown("r-{job.html").as_deref(), Some("{job.html"));
        assert_eq!(unknown("r}.html").as_deref(), Some("}"));
    }

    #[test]
    fn the_ending_names_the_format() {
        let format = |name: &str| ReportFormat::of(Path::new(name));
        assert_eq!(format("a.b/run.HTML"), Some(ReportFormat::Html));
        assert_eq!(format("run.json"), Some(ReportFormat::Json));
        assert_eq!(format("run.md"), Some(ReportFormat::Markdown));
        assert_eq!([format("run.pdf"), format("html"), format(".html")], [None; 3]);
    }
}
