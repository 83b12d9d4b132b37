//! `imbulk forget` removes the rows of old runs, and nothing that a later command needs.

use std::path::Path;

use imbulk_sandbox::Command;

use imbulk_testkit::rows::{csv, plain};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace};
use serde_json::Value;

const OPERATION: Command = Command::AccountDelete;
const FORGET_ALL: &[&str] = &["forget", "--older-than", "0d", "--execute", "--yes"];

/// A workspace with a finished job of this number of rows.
fn finished(rows: usize) -> (Workspace, String) {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, rows)).in_a_workspace();
    workspace.run(&job).expect(0);
    (workspace, job)
}

fn status(workspace: &Workspace, args: &[&str]) -> Value {
    let output = workspace.imbulk(&[&["status", "--json"], args].concat()).expect(0);
    serde_json::from_str(&output.stdout).expect("JSON")
}

/// Whether these bytes are in the queue or in a file that SQLite keeps beside it.
fn contains(workspace: &Workspace, id: &str) -> bool {
    let mut files = std::fs::read_dir(workspace.folder()).expect("a folder").map(|file| file.expect("a file").path());
    let is_queue = |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("imbulk.db"));
    files.any(|file| {
        is_queue(&file) && std::fs::read(file).expect("a file").windows(id.len()).any(|bytes| bytes == id.as_bytes())
    })
}

/// The digest of the results that the report on the run has.
fn report_of(workspace: &Workspace) -> String {
    workspace.imbulk(&["report", "job", "--output", "report.json"]).expect(0);
    let report = std::fs::read(workspace.path("report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    report["results_digest"].as_str().expect("a digest").to_owned()
}

#[track_caller]
fn lists(output: &ProgramOutput, text: &str) {
    assert!(output.stdout.contains(text), "{output:#?}");
}

#[test]
fn no_byte_of_a_forgotten_run_is_left_and_the_file_is_smaller() {
    let (workspace, job) = finished(60_000);
    let results = workspace.imbulk(&["results", "job"]).expect(0).stdout;
    let before = status(&workspace, &["job"]);
    let reported = report_of(&workspace);
    assert!(contains(&workspace, "user_00017"), "or this test is blind");
    lists(&workspace.imbulk(FORGET_ALL).expect(0), "removed: 1 run with 60,000 rows");
    assert!(!contains(&workspace, "user_00017") && !contains(&workspace, "job.csv"));
    let after = status(&workspace, &["job"]);
    for key in ["run", "job", "target", "state", "rows", "items", "created_at", "started_at", "finished_at", "outcomes"]
    {
        assert_eq!(after[key], before[key], "{key}");
    }
    let size = |status: &Value| status["queue_bytes"].as_u64().expect("a number");
    assert!(size(&after) * 3 < size(&before), "{} and {}", size(&before), size(&after));
    let digest = blake3::hash(results.as_bytes()).to_hex().to_string();
    assert_eq!(after["forgotten"]["results_digest"], digest);
    assert_eq!([reported, report_of(&workspace)], [digest.as_str(), &digest]);
    lists(&workspace.imbulk(&["status", "job"]).expect(0), &digest);
    lists(&workspace.imbulk(&["status"]).expect(0), "forgotten");
    for command in ["results", "retry"] {
        workspace.imbulk(&[command, "job"]).expect(2).says("was forgotten on 20").says("imbulk status");
    }
    workspace.imbulk(&["forget", "--run", "job"]).expect(2).says("was forgotten on 20");
    // The same input is still known to be finished, and nothing of it is sent again.
    let calls = workspace.report().calls;
    workspace.run(&job).expect(0).says("this input is finished");
    workspace.imbulk(&["plan", &job]).expect(0);
    assert_eq!(workspace.report().calls, calls);
    lists(&workspace.imbulk(FORGET_ALL).expect(0), "removed: no run");
}

#[test]
fn nothing_is_removed_without_execute_or_without_the_number_of_runs() {
    let (workspace, _) = finished(20);
    let results = workspace.imbulk(&["results", "job"]).expect(0).stdout;
    let shown = workspace.imbulk(&["forget", "--older-than", "0d"]).expect(0).says("--execute");
    lists(&shown, "to be removed: 1 run with 20 rows");
    lists(&workspace.imbulk(&["forget", "--older-than", "90d", "--execute"]).expect(0), "removed: no run");
    let unconfirmed = workspace.at_a_terminal(&["forget", "--older-than", "0d", "--execute"], "yes\n");
    assert_eq!(unconfirmed.code, 2, "{unconfirmed:#?}");
    workspace.imbulk(&["forget"]).expect(2).says("--older-than");
    workspace.imbulk(&["forget", "--older-than", "3mo"]).expect(2).says("such as 90d");
    assert_eq!(workspace.imbulk(&["results", "job"]).expect(0).stdout, results);
    assert_eq!(workspace.at_a_terminal(&["forget", "--older-than", "0d", "--execute"], "1\n").code, 0);
    workspace.imbulk(&["results", "job"]).expect(2).says("was forgotten");
}

#[test]
fn runs_that_can_continue_are_kept_unless_they_are_named() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 300)).in_a_workspace();
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "100"]).expect(5);
    lists(&workspace.imbulk(FORGET_ALL).expect(0), "it is not finished");
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.run(&job).expect(3);
    let kept = workspace.imbulk(FORGET_ALL).expect(0);
    lists(&kept, "it is the latest run, and `imbulk retry` can send");
    lists(&kept, "removed: no run");
    workspace.imbulk(&["retry", "job"]).expect(0).says("pending again");
    workspace.faults(&[]);
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 7)));
    workspace.run(&job).expect(0);
    // Both runs are finished now, and no row of them has failed.
    lists(&workspace.imbulk(FORGET_ALL).expect(0), "removed: 2 runs with 307 rows");
}

#[test]
fn a_named_run_is_removed_although_it_is_unfinished_and_is_never_sent_again() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 300)).in_a_workspace();
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "100"]).expect(5);
    lists(
        &workspace.imbulk(&["forget", "--run", "job", "--execute", "--yes"]).expect(0),
        "removed: 1 run with 300 rows",
    );
    assert_eq!(status(&workspace, &["job"])["state"], "superseded");
    assert!(!contains(&workspace, "user_00250"));
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(2).says("no unfinished run");
    workspace.imbulk(&["plan", &job]).expect(0).says("300 rows");
}

#[test]
fn a_forgotten_run_leaves_no_call_in_flight_that_a_later_run_can_meet() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 100)).in_a_workspace();
    workspace.faults(&["any:slow=2s:#1"]);
    let mut killed = workspace.start_run(&job);
    workspace.until_calls(1, &mut killed);
    killed.kill();
    workspace.imbulk(&["forget", "--run", "job", "--execute", "--yes"]).expect(0);
    let other = JobFile::new("other", OPERATION).rows(&plain(OPERATION, 100)).write(&workspace);
    workspace.run(&other).expect(0);
    let report = workspace.report();
    assert_eq!((report.overlaps, report.overlaps_with_abandoned), (0, 0));
}

#[test]
fn nothing_is_forgotten_while_a_run_has_the_queue() {
    let (workspace, _) = finished(20);
    workspace.faults(&["any:slow=2s:1"]);
    let rows = plain(OPERATION, 6_000);
    let job = JobFile::new("other", OPERATION).rows(&rows).with("limits", "max_in_flight", 1).write(&workspace);
    let calls = workspace.report().calls;
    let mut running = workspace.start_run(&job);
    workspace.until_calls(calls + 1, &mut running);
    let pid = format!("pid {}", running.pid());
    workspace.imbulk(FORGET_ALL).expect(6).says("owns the queue").says(&pid);
    workspace.imbulk(&["results", "job"]).expect(0);
    running.kill();
}

#[test]
fn a_queue_with_an_owner_is_not_changed() {
    let (workspace, job) = finished(20);
    let lock = std::fs::File::open(workspace.path("imbulk.db")).expect("a queue");
    lock.lock().expect("a free queue");
    workspace.imbulk(FORGET_ALL).expect(6).says("owns the queue");
    workspace.imbulk(&["forget", "--older-than", "0d"]).expect(0);
    drop(lock);
    workspace.imbulk(&["results", "job"]).expect(0);
    workspace.run(&job).expect(0);
}
