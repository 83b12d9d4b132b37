//! The texts of the files beside the rows.

use std::collections::BTreeMap;

use super::summary::{RestoreSummary, WrittenJob};
use crate::api::Region;
use crate::domain::backup::BackupHeader;
use crate::domain::job::Encoding;
use crate::domain::target::RunTarget;
use crate::init::{InputFacts, KnownValues, NewJob, SCHEMA_FILE, job_text};
use crate::report::{visible, wrap};
use crate::settings::{NAME_CHARS, job_schema};

/// The width of comments, without their sign.
const COLUMNS: usize = 98;

/// Names and texts of the job files and of their schema.
pub(super) fn texts(summary: &RestoreSummary) -> Vec<(String, String)> {
    let schema = serde_json::to_string_pretty(&job_schema()).expect("texts and numbers are JSON") + "\n";
    let job = |job: &WrittenJob| (format!("{}.toml", job.job.name()), text(summary, job));
    summary.jobs.iter().map(job).chain([(SCHEMA_FILE.to_owned(), schema)]).collect()
}

fn text(summary: &RestoreSummary, job: &WrittenJob) -> String {
    let header = &summary.header;
    let name = job_name(&header.job, job.job.name());
    let input = InputFacts {
        path: format!("{}.jsonl", job.job.name()),
        encoding: Encoding::Utf8,
        delimiter: None,
        columns: Vec::new(),
        rows: job.rows,
        rejected: 0,
        items: job.rows,
    };
    let mut heading = vec![
        format!("Written by `imbulk restore` from the backup of run {} of job {}.", visible(&header.run), header.job),
        "Lines that begin with # are optional; where the comment says default, the line shows it.".to_owned(),
    ];
    let lost = summary.not_restored(job);
    if !lost.is_empty() {
        heading.push("What this job does not restore:".to_owned());
        heading.extend(
            lost.iter()
                .flat_map(|line| wrap(&format!("- {line}"), COLUMNS).lines().map(str::to_owned).collect::<Vec<_>>()),
        );
    }
    let (heading, known): (Vec<&str>, _) = (heading.iter().map(String::as_str).collect(), known(header));
    job_text(&NewJob {
        name: &name,
        operation: summary.operation_of(job),
        input: Some(&input),
        heading: &heading,
        known: &known,
    })
}

/// The app of the backup. Its ids are those that the server had, so they are not unusual there.
fn known(header: &BackupHeader) -> KnownValues {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut known = BTreeMap::from([(("input", "unusual_ids"), quoted("allow"))]);
    if header.target == RunTarget::Sandbox {
        return known;
    }
    if let Some(sdkappid) = header.target.sdkappid() {
        known.insert(("app", "sdkappid"), sdkappid.to_string());
    }
    if let Some(identifier) = &header.identifier {
        known.insert(("app", "identifier"), quoted(identifier));
    }
    let host = header.endpoint.strip_prefix("https://");
    match Region::ALL.into_iter().find(|region| host == Some(region.host())) {
        Some(region) => known.insert(("app", "region"), quoted(region.name())),
        None => known.insert(("app", "endpoint"), quoted(&header.endpoint)),
    };
    known
}

/// The name of a job, of which the beginning is that of the run's job.
fn job_name(job: &str, which: &str) -> String {
    let end = format!("-restore-{which}");
    // The names of jobs are ASCII.
    let start: String = job.chars().take(NAME_CHARS.saturating_sub(end.len())).collect();
    start + &end
}
