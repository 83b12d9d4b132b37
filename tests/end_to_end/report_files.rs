//! `report.file`: every run that sends leaves its report, however it ends, and nothing else is overwritten.

use std::os::unix::fs::PermissionsExt;

use imbulk_sandbox::Command;
use rustix::process::Signal;
use serde_json::Value;

use imbulk_testkit::rows::{csv, plain};
use imbulk_testkit::{JobFile, Workspace};

const OPERATION: Command = Command::FriendDeleteAll;

fn job(file: &str) -> JobFile {
    JobFile::new("night", OPERATION).with("report", "file", format!("{file:?}"))
}

fn reports(workspace: &Workspace) -> Vec<Value> {
    let Ok(folder) = std::fs::read_dir(workspace.path("reports")) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            assert_eq!(std::fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
            let report: Value = serde_json::from_slice(&std::fs::read(file).expect("a report")).expect("JSON");
            let name = format!("night-{}.json", report["run"].as_str().expect("an id"));
            assert!(file.ends_with(&name), "{} is not {name}", file.display());
            report
        })
        .collect()
}

/// State, exit code and rows.
fn says(report: &Value) -> (&str, Option<u64>, u64) {
    let rows = report["rows"].as_u64().expect("a number");
    (report["state"].as_str().expect("a name"), report["exit_code"].as_u64(), rows)
}

#[test]
fn each_run_that_sends_leaves_a_report_however_it_ends() {
    let job = job("reports/{job}-{run}.json").with("guard", "max_items", 5000).with("limits", "max_in_flight", 1);
    let (workspace, file) = job.rows(&plain(OPERATION, 9)).in_a_workspace();
    workspace.imbulk(&["plan", &file]).expect(0);
    workspace.imbulk(&["run", &file]).expect(0);
    assert_eq!(reports(&workspace), [Value::Null; 0], "a plan sends nothing");
    workspace.run(&file).expect(0);
    assert_eq!(reports(&workspace).iter().map(says).collect::<Vec<_>>(), [("finished", Some(0), 9)]);

    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 6000)));
    workspace.run(&file).expect(4);
    assert_eq!(reports(&workspace).len(), 1, "a guard refused the run before it began");

    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 4000)));
    let mut running = workspace.start_run(&file);
    workspace.until_calls(20, &mut running);
    running.signal(Signal::TERM);
    running.wait().expect(5);
    let stopped = reports(&workspace);
    assert_eq!(stopped.iter().map(says).collect::<Vec<_>>()[1], ("stopped", Some(5), 4000));

    workspace.faults(&["any:code=60010:1.0"]);
    workspace.run(&file).expect(4);
    let halted = reports(&workspace);
    assert_eq!(halted.iter().map(says).collect::<Vec<_>>()[1], ("halted", Some(4), 4000), "the same run");
    assert_eq!(halted.len(), 2);
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning_and_a_used_file_stays() {
    let (workspace, _) = job("x.md").rows(&plain(OPERATION, 3)).in_a_workspace();
    let with_file = |name: &str| job(name).write(&workspace);
    let text = std::fs::read_to_string(workspace.path(&with_file("x.md"))).expect("the job file");
    workspace.write("other.md", text.replace("name = \"night\"", "name = \"other\""));
    workspace.imbulk(&["plan", "other.md"]).expect(0);
    let before = std::fs::read(workspace.path("other.md")).expect("the job file");
    workspace
        .run(&with_file("other.md"))
        .expect(0)
        .says("report.file: ")
        .says("other.md: this is the job file of the job `other`; the exit code does not change")
        .says("hint: name another file in `report.file`");
    assert_eq!(std::fs::read(workspace.path("other.md")).expect("the job file"), before);
    for (name, says) in [
        ("x.pdf", "report.file: `x.pdf` does not end with .html, .json or .md"),
        ("{date}.md", "report.file: unknown placeholder `{date}`"),
    ] {
        workspace.run(&with_file(name)).expect(2).says("night.toml:").says(says).says("hint: ");
    }
    workspace.write("file", "");
    let again = ["run", &with_file("file/x.md"), "--execute", "--yes", "--again"];
    workspace.imbulk(&again).expect(0).says("report.file: cannot write");
    let again = ["run", &with_file("x.md"), "--execute", "--yes", "--again"];
    workspace.imbulk(&again).expect(0);
    assert!(std::fs::read_to_string(workspace.path("x.md")).expect("a report").contains("finished"));
}

#[test]
fn two_jobs_never_write_over_the_report_of_each_other() {
    let workspace = Workspace::new();
    let job = |name: &str| {
        let job = JobFile::new(name, OPERATION).with("report", "file", "\"one.html\"");
        job.rows(&plain(OPERATION, 3)).write(&workspace)
    };
    let (one, other) = (job("one"), job("other"));
    let run = workspace.imbulk(&["run", &one, &other, "--execute", "--yes"]);
    run.expect(0).says("several jobs name this file, so it is not written").says("hint: write {job} into the name");
    assert!(!workspace.path("one.html").exists());
}
