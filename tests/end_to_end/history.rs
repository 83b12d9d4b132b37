//! `imbulk history` shows every row that names an account, of all runs, with the outcome that the results show.

use imbulk_sandbox::Command;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, ResultRow, csv, mixed, plain};
use imbulk_testkit::{JobFile, Workspace};

fn history(workspace: &Workspace, id: &str) -> Value {
    let output = workspace.imbulk(&["history", "--json", "--", id]).expect(0);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
}

fn rows(history: &Value) -> &[Value] {
    history["rows"].as_array().expect("a list")
}

/// What both the results and the history say of a row.
fn of_result(row: &ResultRow) -> (String, u64, String, Option<i64>, String) {
    (row.source.clone(), row.line, row.outcome.clone(), row.code, row.reason.clone())
}

fn of_history(row: &Value) -> (String, u64, String, Option<i64>, String) {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("source"), row["line"].as_u64().expect("a line"), text("outcome"), row["code"].as_i64(), text("reason"))
}

#[test]
fn every_row_that_names_an_account_has_the_outcome_of_the_results() {
    for operation in [Command::FriendDelete, Command::AccountDelete, Command::FriendUpdate] {
        let job = JobFile::new("job", operation).with("stop", "failed_share", 1.0);
        let (workspace, job) = job.rows(&mixed(operation, 300)).in_a_workspace();
        workspace.faults(&["any:item=30006:0.2", "any:item=30011:0.1"]);
        workspace.run(&job);
        let results = workspace.results("job");
        let ids = results.iter().flat_map(|row| row.from.as_deref().into_iter().chain([row.account.as_str()]));
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let mut compared = 0;
        for id in ids.into_iter().filter(|id| !id.is_empty()).step_by(23) {
            let names = |row: &&ResultRow| row.from.as_deref() == Some(id) || row.account == id;
            let expected: Vec<_> = results.iter().filter(names).map(of_result).collect();
            let history = history(&workspace, id);
            assert_eq!(rows(&history).iter().map(of_history).collect::<Vec<_>>(), expected, "{id}: {history:#}");
            compared += expected.len();
        }
        assert!(compared > 10, "{operation:?}: only {compared}");
    }
}

#[test]
fn all_jobs_and_targets_are_searched_and_ids_are_compared_byte_by_byte() {
    let friends = [InputRow::pair("ann", "bob"), InputRow::pair("bob", "cid"), InputRow::pair("Ann", "bobby")];
    let (workspace, job) = JobFile::new("friends", Command::FriendDelete).rows(&friends).in_a_workspace();
    workspace.run(&job).expect(0);
    workspace.imbulk(&["run", &job, "--sandbox"]).expect(0);
    let accounts = [InputRow::account("bo"), InputRow::account("bob"), InputRow::account("bob")];
    let job = JobFile::new("accounts", Command::AccountDelete).rows(&accounts).write(&workspace);
    workspace.write("accounts.csv", csv(Command::AccountDelete, &accounts));
    workspace.run(&job).expect(0);
    let found = history(&workspace, "bob");
    let facts = rows(&found).iter().map(|row| {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let (other, role) = (text("other_account"), row["roles"][0].as_str().unwrap_or("-"));
        format!("{} {} {role} {other} {}", text("job"), text("target"), text("outcome"))
    });
    assert_eq!(
        facts.collect::<Vec<_>>(),
        [
            "friends 1400000001 on loopback To_Account ann succeeded",
            "friends 1400000001 on loopback From_Account cid succeeded",
            "friends sandbox To_Account ann succeeded",
            "friends sandbox From_Account cid succeeded",
            "accounts 1400000001 on loopback UserID - succeeded",
            "accounts 1400000001 on loopback UserID - duplicate",
        ]
    );
    assert_eq!(rows(&found)[5]["reason"], "duplicate of accounts.csv:3");
    let text = workspace.imbulk(&["history", "bob"]).expect(0).stdout;
    assert!(text.contains("friend_delete as To_Account with ann: succeeded"), "{text}");
    assert!(text.contains("\nbob: 6 rows in this queue\n"), "{text}");
    assert_eq!(rows(&history(&workspace, "ann")).len(), 2);
    for unknown in ["ANN", "bobb", "b", "nn", "bob\nbobby", " bob"] {
        assert_eq!(rows(&history(&workspace, unknown)).len(), 0, "{unknown:?}");
    }
    let unknown = workspace.imbulk(&["history", "nobody"]).expect(0).stdout;
    assert_eq!(unknown, "no row of this queue names the account nobody\n");
}

#[test]
fn pending_rows_are_shown_before_the_run_and_what_a_verification_found_after_it() {
    let operation = Command::AccountDelete;
    let (workspace, job) = JobFile::new("job", operation).rows(&plain(operation, 5)).in_a_workspace();
    workspace.imbulk(&["plan", &job]).expect(0);
    let planned = history(&workspace, "user_00003");
    assert_eq!((&rows(&planned)[0]["outcome"], &rows(&planned)[0]["finished_at"]), (&"pending".into(), &Value::Null));
    workspace.run(&job).expect(0);
    workspace.imbulk(&["verify", "job"]).expect(0);
    let verified = history(&workspace, "user_00003");
    assert_eq!(rows(&verified).len(), 1, "the verification is no run of its own: {verified:#}");
    assert_eq!(rows(&verified)[0]["verified"], "confirmed");
    let text = workspace.imbulk(&["history", "user_00003"]).expect(0).stdout;
    assert!(text.contains("  verified confirmed on "), "{text}");
}

#[test]
fn forgotten_runs_are_named_since_they_may_have_named_the_account() {
    let operation = Command::AccountDelete;
    let (workspace, job) = JobFile::new("job", operation).rows(&plain(operation, 5)).in_a_workspace();
    workspace.run(&job).expect(0);
    assert_eq!(history(&workspace, "user_00003")["forgotten_runs"], Value::Array(Vec::new()));
    workspace.imbulk(&["forget", "--run", "job", "--execute", "--yes"]).expect(0);
    let forgotten = history(&workspace, "user_00003");
    assert_eq!((rows(&forgotten).len(), &forgotten["forgotten_runs"][0]["job"]), (0, &"job".into()));
    let text = workspace.imbulk(&["history", "user_00003"]).expect(0).stdout;
    assert!(text.contains("1 run was forgotten, and may have named the account:\n"), "{text}");
    assert!(text.contains(" of job job on app 1400000001 on loopback: forgotten on "), "{text}");
}
