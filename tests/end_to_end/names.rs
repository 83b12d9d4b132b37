//! A NAME means one run, and every command names it on standard error.

use imbulk_sandbox::Command;

use imbulk_testkit::rows::{csv, plain, tally};
use imbulk_testkit::{JobFile, Workspace};

const OPERATION: Command = Command::AccountDelete;

/// A workspace with a job that has failed rows on a server, and was rehearsed in the sandbox afterwards.
fn rehearsed_later() -> (Workspace, String) {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 30)).in_a_workspace();
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.run(&job).expect(3);
    workspace.imbulk(&["run", &job, "--sandbox"]).expect(0);
    (workspace, job)
}

#[test]
fn runs_on_several_targets_are_listed_and_one_must_be_chosen() {
    let (workspace, _) = rehearsed_later();
    for command in ["results", "retry", "status"] {
        let output = workspace.imbulk(&[command, "job"]).expect(2).says("several targets").says("--target");
        assert!(output.stdout.is_empty() && output.stderr.contains("on the sandbox"), "{output:#?}");
    }
    let failed = workspace.results_with(&["results", "job", "--target", "loopback"]);
    let failed = tally(&failed)["failed"];
    let rehearsed = workspace.results_with(&["results", "job", "--target", "sandbox"]);
    assert!(!tally(&rehearsed).contains_key("failed"));
    workspace.imbulk(&["retry", "job", "--target", "loopback"]).expect(0).says(&format!("{failed} rows"));
    workspace.imbulk(&["status", "job", "--target", "1400000009"]).expect(2).says("has no run on target 1400000009");
}

#[test]
fn a_number_is_a_code_and_with_a_target_it_is_a_name() {
    let (workspace, job) = JobFile::new("70402", OPERATION).rows(&plain(OPERATION, 30)).in_a_workspace();
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.run(&job).expect(3);
    let code = workspace.imbulk(&["explain", "70402"]).expect(0);
    assert!(code.stdout.starts_with("70402: ") && !code.stdout.contains("rows "), "{code:#?}");
    let run = workspace.imbulk(&["explain", "70402", "--target", "loopback"]).expect(0).says("of job 70402 on");
    let failed = tally(&workspace.results_with(&["results", "70402"]))["failed"];
    assert!(run.stdout.contains(&format!("rows     {failed} failed\n")), "{run:#?}");
    assert!(run.stdout.contains("treated  item_failed: "), "{run:#?}");
    workspace.imbulk(&["explain", "60007"]).expect(0);
    workspace.imbulk(&["explain", "60007", "--target", "loopback"]).expect(2).says("no run named `60007`");
}

#[test]
fn the_selected_run_is_named_on_stderr_and_the_beginning_of_an_id_is_enough() {
    let (workspace, job) = rehearsed_later();
    let status = workspace.imbulk(&["status", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let id = status["runs"][0]["run"].as_str().expect("an id");
    for name in [id, &id[..id.len() - 1]] {
        let output = workspace.imbulk(&["results", name]).expect(0);
        assert!(output.stderr.contains(&format!("run {id} of job job")), "{output:#?}");
        assert!(!output.stdout.contains(id), "{output:#?}");
    }
    workspace.imbulk(&["results", "no-such-job"]).expect(2).says("job");
    // A later plan of other rows does not hide the last run.
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 7)));
    workspace.imbulk(&["plan", &job]).expect(0);
    let output = workspace.imbulk(&["results", "job", "--target", "loopback"]).expect(0).says("a newer plan");
    assert!(output.stderr.contains(id), "{output:#?}");
}
