//! Queues of earlier versions are upgraded, and no row of them is lost or changed.

use std::collections::BTreeMap;

use imbulk_testkit::Workspace;
use imbulk_testkit::earlier_queue::{JOBS, VERSIONS, fixture_text};
use imbulk_testkit::rows::{ResultRow, parse, tally};
use serde_json::Value;

/// A workspace with the queue and the jobs of a version.
fn restored(version: &str) -> Workspace {
    let mut workspace = Workspace::new();
    workspace.restore(version);
    let endpoint = workspace.endpoint();
    workspace.set_env("IMBULK_ENDPOINT", &endpoint);
    workspace
}

fn runs(status: &str) -> Vec<Value> {
    let status: Value = serde_json::from_str(status).expect("JSON");
    // The first versions printed a list.
    status.get("runs").unwrap_or(&status).as_array().expect("a list").clone()
}

fn printed(version: &str, job: &str) -> Vec<ResultRow> {
    parse(&fixture_text(&format!("{version}/{job}.csv")))
}

fn send(workspace: &Workspace, job: &str, code: i32) -> String {
    workspace.imbulk(&["run", &format!("{job}.toml"), "--execute", "--yes"]).expect(code).stderr
}

#[test]
fn results_and_status_are_those_that_the_earlier_version_printed() {
    for version in VERSIONS {
        let workspace = restored(version);
        let status = runs(&workspace.imbulk(&["status", "--json"]).expect(0).stdout);
        let earlier = runs(&fixture_text(&format!("{version}/status.json")));
        assert_eq!(status.len(), earlier.len());
        for (now, earlier) in status.iter().zip(&earlier) {
            for key in ["run", "job", "operation", "target", "rows", "outcomes"] {
                assert_eq!(now[key], earlier[key], "{version}: {key}");
            }
        }
        for job in JOBS {
            assert_eq!(workspace.results(job), printed(version, job), "{version}: {job}");
        }
        let states: Vec<&Value> = status.iter().map(|run| &run["state"]).collect();
        assert_eq!(states, ["finished", "finished", "finished", "interrupted", "stopped", "planned"], "{version}");
    }
}

#[test]
fn finished_runs_stay_finished_and_nothing_of_them_is_sent_again() {
    for version in VERSIONS {
        let workspace = restored(version);
        for (job, code) in [("unfriend", 3), ("profiles", 3), ("purge", 0)] {
            assert!(send(&workspace, job, code).contains("this input is finished"), "{version}: {job}");
        }
        assert_eq!(workspace.report().calls, 0, "{version}");
        assert_eq!(runs(&workspace.imbulk(&["status", "--json"]).expect(0).stdout).len(), JOBS.len(), "{version}");
    }
}

#[test]
fn unfinished_runs_are_finished_and_keep_the_outcomes_that_they_had() {
    for version in VERSIONS {
        let workspace = restored(version);
        for job in ["leavers", "stopped", "later"] {
            let output = workspace.imbulk(&["run", &format!("{job}.toml"), "--execute", "--yes"]);
            assert!(matches!(output.code, 0 | 3), "{version}: {job}: {output:#?}");
            let (before, after) = (printed(version, job), workspace.results(job));
            assert_eq!(before.len(), after.len());
            assert!(!tally(&after).contains_key("pending"), "{version}: {job}");
            for (before, after) in before.iter().zip(&after).filter(|(before, _)| before.outcome != "pending") {
                assert_eq!(before, after, "{version}: {job}");
            }
        }
        let sent: BTreeMap<_, usize> = [("leavers", 41), ("stopped", 60), ("later", 2)].into();
        let calls = workspace.report().calls;
        assert!(calls > 0 && calls < sent.values().sum::<usize>() as u64, "{version}: {calls}");
        assert_eq!(runs(&workspace.imbulk(&["status", "--json"]).expect(0).stdout).len(), JOBS.len(), "{version}");
    }
}

#[test]
fn failed_rows_of_an_earlier_version_can_be_sent_again() {
    for version in VERSIONS {
        let workspace = restored(version);
        let failed = tally(&printed(version, "unfriend"))["failed"];
        workspace.imbulk(&["retry", "unfriend"]).expect(0).says(&format!("{failed} rows are pending again"));
        let in_doubt = tally(&printed(version, "unfriend"))["in_doubt"];
        let retry = ["retry", "unfriend", "--outcome", "in_doubt"];
        workspace.imbulk(&retry).expect(0).says(&format!("{in_doubt} rows are pending again"));
        assert!(matches!(workspace.imbulk(&["run", "unfriend.toml", "--execute", "--yes"]).code, 0 | 3));
        let after = workspace.results("unfriend");
        assert!(!tally(&after).contains_key("pending"), "{version}");
    }
}
