//! What `imbulk restore` did, and what its jobs cannot restore, as text.

use std::path::PathBuf;

use super::backup_set::ReadFile;
use super::rows::{DEFAULT_SOURCE, Losses, Remains, RestoreJob, operation_of, remains_after};
use crate::domain::backup::BackupHeader;
use crate::domain::operation::{ItemsBefore, Operation};
use crate::report::{counted, visible, wrap};

/// The width of the text.
const COLUMNS: usize = 100;

/// What `imbulk restore` did.
#[derive(Debug, Clone)]
pub struct RestoreSummary {
    /// The operation of the run.
    pub(super) operation: &'static Operation,
    pub(super) header: BackupHeader,
    pub(super) files: Vec<ReadFile>,
    pub(super) jobs: Vec<WrittenJob>,
    pub(super) losses: Losses,
}

/// A job that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenJob {
    pub(super) job: RestoreJob,
    pub(super) rows: u64,
    /// The job file.
    pub(super) file: PathBuf,
}

impl RestoreSummary {
    /// The operation of a job.
    pub(super) fn operation_of(&self, job: &WrittenJob) -> &'static Operation {
        operation_of(job.job, remains_after(self.operation))
    }

    /// What the jobs cannot restore, one sentence each.
    pub(super) fn not_restored(&self, job: &WrittenJob) -> Vec<String> {
        let has_friends = self.jobs.iter().any(|job| job.job == RestoreJob::Friends);
        let mut lines: Vec<String> = Vec::new();
        match (job.job, remains_after(self.operation)) {
            (RestoreJob::Accounts, Remains::Nothing) => {
                lines.push(
                    "On most plans a deleted UserID cannot be imported again for three months: such rows fail with \
                     code 70399."
                        .to_owned(),
                );
                lines.push("Groups, conversations and messages of the accounts are lost.".to_owned());
                lines.push("The accounts are not put back on the friend lists of other accounts.".to_owned());
                if !has_friends {
                    lines.push("The backup has no friend lists (`backup.friends` was not set).".to_owned());
                }
            }
            (RestoreJob::Friends, Remains::Nothing) => {
                lines.push("The time at which a remark was set (RemarkTime) is lost.".to_owned());
            }
            (RestoreJob::Friends, Remains::Item) => {
                lines.push("A custom field that a friend did not have before keeps its present value.".to_owned());
            }
            (RestoreJob::Accounts, Remains::Item) => {}
        }
        lines.extend(created(self.operation, job.job).map(str::to_owned));
        let is_of_job = |tag: &str| tag.starts_with("Tag_Profile_") == (job.job == RestoreJob::Accounts);
        for (tag, rows) in self.losses.fields.iter().filter(|(tag, _)| is_of_job(tag)) {
            let rows = counted(*rows, "row", "rows");
            lines.push(format!("{} cannot be set with its value in {rows}.", visible(tag)));
        }
        if job.job == RestoreJob::Friends && self.losses.default_sources > 0 {
            let friends = counted(self.losses.default_sources, "friend", "friends");
            lines.push(format!("AddSource is {DEFAULT_SOURCE} for {friends} without one that can be imported."));
            lines.push(
                "If such a friend is still on its list, it stays as it is, and its row fails because AddSource differs."
                    .to_owned(),
            );
        }
        lines
    }

    /// The text for people. `queue`: the queue that proves files without an end line.
    pub fn text(&self, queue: &str) -> String {
        let BackupHeader { job, run, target, .. } = &self.header;
        let mut text =
            format!("backup of run {} of job {} ({}) on {}\n", visible(run), visible(job), self.operation.name, target);
        for file in &self.files {
            let lines = counted(file.lines, "line", "lines");
            let state = match (&file.fault, file.is_complete) {
                (Some((Some(line), problem)), _) => {
                    format!("incomplete: line {line}: {}", visible(&problem.to_string()))
                }
                (Some((None, problem)), _) => format!("incomplete: {}", visible(&problem.to_string())),
                (None, true) => "complete".to_owned(),
                (None, false) => format!("without an end line; the queue {} proves it", visible(queue)),
            };
            text.push_str(&format!("read   {}: {lines}, {state}\n", visible(&file.path.to_string_lossy())));
        }
        for job in &self.jobs {
            let rows = counted(job.rows, "row", "rows");
            let operation = self.operation_of(job).name;
            text.push_str(&format!("wrote  {}: {operation}, {rows}\n", visible(&job.file.to_string_lossy())));
        }
        let lost: Vec<String> = self.jobs.iter().flat_map(|job| self.not_restored(job)).collect();
        if !lost.is_empty() {
            text.push_str("\nnot restored\n");
            lost.iter().for_each(|line| text.push_str(&wrap(&format!("  {line}"), COLUMNS)));
        }
        text.push_str("\nnext\n");
        for job in &self.jobs {
            let file = visible(&job.file.to_string_lossy()).into_owned();
            text.push_str(&format!("  imbulk plan {file}\n  imbulk run {file} --execute\n"));
        }
        text
    }
}

/// What a run has created, which no job removes.
const fn created(operation: &Operation, job: RestoreJob) -> Option<&'static str> {
    match (operation.items_before, job) {
        (ItemsBefore::Exist, RestoreJob::Accounts | RestoreJob::Friends) => None,
        (ItemsBefore::Missing, RestoreJob::Accounts) => Some("Accounts that the run has created are not deleted."),
        (ItemsBefore::Missing, RestoreJob::Friends) => Some("Friends that the run has added are not deleted."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation;
    use rstest::rstest;

    #[rstest]
    #[case("account_import", RestoreJob::Accounts, Some("Accounts that the run has created are not deleted."))]
    #[case("friend_import", RestoreJob::Friends, Some("Friends that the run has added are not deleted."))]
    #[case("friend_update", RestoreJob::Friends, None)]
    #[case("friend_delete", RestoreJob::Friends, None)]
    fn what_an_import_created_is_named(#[case] name: &str, #[case] job: RestoreJob, #[case] expected: Option<&str>) {
        let header = format!(
            "{{\"schema\":\"imbulk-backup-1\",\"job\":\"j\",\"run\":\"r\",\"target\":\"sandbox\",\
             \"endpoint\":\"\",\"operation\":\"{name}\",\"options\":{{}},\"began_at\":\"2026-11-30T02:15:44Z\"}}"
        );
        let summary = RestoreSummary {
            operation: operation::by_name(name).unwrap(),
            header: serde_json::from_str(&header).unwrap(),
            files: Vec::new(),
            jobs: vec![WrittenJob { job, rows: 1, file: "f".into() }],
            losses: Losses::default(),
        };
        let found = summary.not_restored(&summary.jobs[0]);
        assert_eq!(found.iter().find(|line| line.contains("are not deleted")).map(String::as_str), expected);
    }
}
