//! The reports that a session writes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::job_result::JobResult;
use crate::domain::report_file::ReportFormat;

/// A run on which a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunToReport<'a> {
    /// The name of its job.
    pub job: &'a str,
    /// Its id.
    pub run: &'a str,
    /// The format of the report.
    pub format: ReportFormat,
}

/// For each file that jobs name, the runs that were begun, in this order.
pub fn report_files(results: &[JobResult]) -> BTreeMap<PathBuf, Vec<RunToReport<'_>>> {
    let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for result in results {
        let Some(file) = &result.reporting.file else { continue };
        for run in &result.begun {
            let to_report = RunToReport { job: &result.job, run, format: file.format };
            files.entry(file.path(&result.job, run)).or_default().push(to_report);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report_file::JobReportFile;
    use crate::report::testing;

    #[test]
    fn runs_with_one_file_are_found_together() {
        let result = |job: &str, template: &str| {
            let mut result = testing::job_result(job);
            let folder = "/srv".into();
            result.reporting.file =
                Some(JobReportFile { folder, template: template.to_owned(), format: ReportFormat::Html });
            result.begun = vec!["01".to_owned(), "02".to_owned()];
            result
        };
        let runs = |template| {
            let results = [result("a", template), result("b", template)];
            report_files(&results).into_iter().map(|(path, runs)| (path, runs.len())).collect::<Vec<_>>()
        };
        assert_eq!(runs("r.html"), [("/srv/r.html".into(), 4)]);
        assert_eq!(runs("{job}.html"), [("/srv/a.html".into(), 2), ("/srv/b.html".into(), 2)]);
        assert_eq!(runs("{job}-{run}.html").len(), 4);
        assert_eq!(report_files(&[testing::job_result("c")]), BTreeMap::new());
    }
}
