//! `retry.carry_over`: failed and in-doubt rows join the next run of their job.

use std::collections::{BTreeMap, BTreeSet};

use imbulk_sandbox::{Command, World};
use serde_json::{Value, json};

use imbulk_testkit::rows::{InputRow, ResultRow, csv, plain, tally};
use imbulk_testkit::scripted_server::{ScriptedResponse, ScriptedServer};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const DELETE: Command = Command::AccountDelete;
/// Every item of a call fails with this code.
const REFUSED: u32 = 70402;

/// A job whose failed rows are carried over this many times. Its calls are sent one after the other.
fn job(operation: Command, nights: u32) -> JobFile {
    JobFile::new("job", operation).with("limits", "max_in_flight", 1).with("stop", "failed_share", 1.0).with(
        "retry",
        "carry_over",
        nights,
    )
}

fn named(prefix: &str, count: usize) -> Vec<InputRow> {
    (0..count).map(|n| InputRow::account(&format!("{prefix}_{n}"))).collect()
}

/// A workspace whose first night sent 150 accounts. 100 of them failed and are returned.
fn failed_night(nights: u32) -> (Workspace, String, BTreeSet<String>) {
    let setup = WorkspaceSetup { world: World::open, ..WorkspaceSetup::default() };
    let (workspace, job) = job(DELETE, nights).rows(&plain(DELETE, 150)).on(setup);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "50"]).expect(5);
    run_failing(&workspace, &job);
    let failed = with_outcome(&workspace.results("job"), "failed");
    assert_eq!(failed.len(), 100);
    (workspace, job, failed)
}

/// Runs the job, while the server refuses every item.
fn run_failing(workspace: &Workspace, job: &str) {
    workspace.faults(&[&format!("account_delete:item={REFUSED}:1")]);
    workspace.run(job).expect(3);
    workspace.faults(&[]);
}

/// Replaces the input by that of another night.
fn next_input(workspace: &Workspace, rows: &[InputRow]) {
    workspace.write("job.csv", csv(DELETE, rows));
}

fn with_outcome(results: &[ResultRow], outcome: &str) -> BTreeSet<String> {
    results.iter().filter(|row| row.outcome == outcome).map(|row| row.account.clone()).collect()
}

/// The ids of all runs, oldest first.
fn runs_of(workspace: &Workspace) -> Vec<String> {
    let status = json_of(&workspace.imbulk(&["status", "--json"]).expect(0));
    let runs = status["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["run"].as_str().expect("an id").to_owned()).collect()
}

fn json_of(output: &ProgramOutput) -> Value {
    serde_json::from_str(&output.stdout).expect("JSON")
}

/// How often the server received each account since this moment of the journal.
fn received_since(workspace: &Workspace, calls: usize) -> BTreeMap<String, usize> {
    let mut received = BTreeMap::new();
    for call in workspace.journal().iter().skip(calls) {
        call.items.iter().for_each(|item| *received.entry(item.clone()).or_default() += 1);
    }
    received
}

#[test]
fn failed_rows_join_the_next_runs_until_they_recover_and_new_rows_are_not_lost() {
    let (workspace, job, failed) = failed_night(3);
    let first_run = runs_of(&workspace)[0].clone();
    let lines: BTreeMap<String, u64> =
        workspace.results("job").into_iter().map(|row| (row.account, row.line)).collect();

    // The second night has new rows, and names some of the failed ones again. The carried rows fail once more.
    let again: Vec<InputRow> = failed.iter().take(20).map(|id| InputRow::account(id)).collect();
    let new = named("new", 30);
    next_input(&workspace, &[new.clone(), again.clone()].concat());
    let plan = workspace.imbulk(&["plan", &job]).expect(0);
    for said in [
        &format!("carried over 100 rows of run {first_run}"),
        &format!("job.csv (run {first_run})  100 rows carried over"),
        "rows           150",
        "input          1 file",
    ] {
        assert!(plan.stdout.replace("   ", " ").contains(&said.replace("   ", " ")), "no {said:?}: {plan:#?}");
    }
    let calls = workspace.journal().len();
    // The items of the input go first.
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "30"]).expect(5);
    run_failing(&workspace, &job);
    let sent = received_since(&workspace, calls);
    assert_eq!((sent.len(), sent.values().max()), (130, Some(&1)), "each item is sent once");
    let results = workspace.results("job");
    assert_eq!(tally(&results), [("duplicate", 20), ("failed", 100), ("succeeded", 30)].into());
    for row in &results[..100] {
        assert_eq!((&row.source, row.line), (&format!("job.csv (run {first_run})"), lines[&row.account]));
        assert_eq!((row.outcome.as_str(), row.code, row.attempts), ("failed", Some(REFUSED.into()), 2));
    }
    assert!(results[149].reason.contains(&format!("job.csv (run {first_run}):")), "{:?}", results[149]);

    // The rows of the first night are in the second run now.
    let retry = workspace.imbulk(&["retry", &first_run]).expect(0);
    let second_run = runs_of(&workspace)[1].clone();
    let retry = retry.says("no rows to send again").says("100 rows were carried over into run");
    assert!(retry.stdout.contains(&second_run), "{retry:?}");

    next_input(&workspace, &named("last", 10));
    let calls = workspace.journal().len();
    workspace.run(&job).expect(0);
    let sent = received_since(&workspace, calls);
    assert_eq!((sent.len(), sent.values().max()), (110, Some(&1)));
    let results = workspace.results("job");
    assert_eq!(tally(&results), [("succeeded", 110)].into());
    assert!(results[..100].iter().all(|row| row.source == format!("job.csv (run {first_run})") && row.attempts == 3));

    next_input(&workspace, &named("after", 5));
    workspace.run(&job).expect(0);
    assert_eq!(workspace.results("job").len(), 5, "nothing is left to be carried over");
}

#[test]
fn a_row_is_carried_over_only_as_often_as_the_job_says_and_stays_in_its_run_then() {
    let (workspace, job, failed) = failed_night(1);
    next_input(&workspace, &named("new", 30));
    run_failing(&workspace, &job);
    next_input(&workspace, &named("last", 10));
    let plan = json_of(&workspace.imbulk(&["plan", &job, "--json"]).expect(0));
    let carried = &plan[0]["carried_over"];
    assert_eq!((&carried["rows"], &carried["left_behind"], &carried["items"]), (&30.into(), &100.into(), &30.into()));
    let calls = workspace.journal().len();
    workspace.run(&job).expect(0);
    let sent = received_since(&workspace, calls);
    assert_eq!(sent.len(), 40);
    assert!(failed.iter().all(|id| !sent.contains_key(id)));
    // They can still be retried by hand where they are.
    let second_run = runs_of(&workspace)[1].clone();
    let retry = workspace.imbulk(&["retry", &second_run]).expect(0);
    retry.says("100 rows are pending again").says("30 rows were carried over");
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(3);
    let results = workspace.results(&second_run);
    assert_eq!(with_outcome(&results, "succeeded"), failed);
    assert_eq!(with_outcome(&results, "failed").len(), 30);
}

#[test]
fn without_carry_over_failed_rows_stay_in_their_run() {
    let (workspace, _, _) = failed_night(1);
    let job = job(DELETE, 1).without("retry", "carry_over").write(&workspace);
    next_input(&workspace, &named("new", 30));
    workspace.run(&job).expect(0);
    assert_eq!(workspace.results("job").len(), 30);
}

#[test]
fn the_same_input_is_finished_although_its_failed_rows_could_be_carried_over() {
    let (workspace, job, _) = failed_night(3);
    workspace.run(&job).expect(3).says("finished");
    assert_eq!(runs_of(&workspace).len(), 1);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    let results = workspace.results("job");
    assert_eq!(tally(&results), [("already_done", 50), ("duplicate", 100), ("succeeded", 100)].into());
}

#[test]
fn rows_that_are_added_while_a_retry_is_unfinished_are_sent_after_it_with_what_failed_again() {
    let (workspace, job, failed) = failed_night(3);
    workspace.imbulk(&["retry", "job"]).expect(0).says("100 rows are pending again");
    next_input(&workspace, &named("new", 30));
    let plan = workspace.imbulk(&["plan", &job]).expect(0).says("goes first");
    assert!(plan.stdout.contains("what is failed or in doubt in run"), "{plan:?}");
    workspace.faults(&["account_delete:item=70402:#1"]);
    let calls = workspace.journal().len();
    // Some of the retried rows fail once more. The same command carries them over into the run of the new input.
    workspace.run(&job).expect(3);
    let failed_again = with_outcome(&workspace.results(&runs_of(&workspace)[0]), "failed");
    assert_eq!(failed_again.len(), 50);
    let sent = received_since(&workspace, calls);
    assert!(failed.iter().all(|id| sent[id] == if failed_again.contains(id) { 2 } else { 1 }), "{sent:?}");
    assert_eq!(sent.len(), 130);
    assert_eq!(tally(&workspace.results("job")), [("succeeded", 80)].into());
}

#[test]
fn a_plan_of_other_carried_rows_is_replaced() {
    let (workspace, job, failed) = failed_night(3);
    next_input(&workspace, &named("new", 30));
    let id = |output: &ProgramOutput| json_of(output)[0]["plan_id"].as_str().expect("an id").to_owned();
    let plan = id(&workspace.imbulk(&["plan", &job, "--json"]).expect(0));
    // A person retries the failed rows before the plan is run.
    workspace.imbulk(&["retry", "job"]).expect(0);
    workspace.imbulk(&["plan", &job]).expect(0).says("the rows that are carried over changed");
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(0);
    assert_eq!(tally(&workspace.results(&runs_of(&workspace)[0])), [("succeeded", 150)].into());
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--plan", &plan]).expect(4).says("this is not plan");
    let calls = workspace.journal().len();
    workspace.run(&job).expect(0);
    let sent = received_since(&workspace, calls);
    assert!(sent.len() == 30 && failed.iter().all(|id| !sent.contains_key(id)), "{sent:?}");
    assert_eq!(runs_of(&workspace).len(), 2);
}

#[test]
fn a_kill_between_load_and_send_neither_loses_nor_doubles_carried_rows() {
    for point in ["AfterFinishLoad", "BeforeBegin", "AfterBegin", "BeforeFinishLoad"] {
        let (mut workspace, job, failed) = failed_night(3);
        next_input(&workspace, &named("new", 30));
        workspace.set_env("IMBULK_FAIL_POINT", &format!("{point}:1"));
        let killed = workspace.run(&job);
        assert!(killed.code > 100, "{point}: {killed:?}");
        workspace.unset_env("IMBULK_FAIL_POINT");
        let calls = workspace.journal().len();
        workspace.run(&job).expect(0);
        let sent = received_since(&workspace, calls);
        assert_eq!((sent.len(), sent.values().max()), (130, Some(&1)), "{point}");
        assert!(failed.iter().all(|id| sent.contains_key(id)));
        assert_eq!(runs_of(&workspace).len(), 2, "{point}");
        assert_eq!(tally(&workspace.results("job")), [("succeeded", 130)].into());
    }
}

#[test]
fn rows_carried_into_a_run_that_is_given_up_are_carried_into_the_next_one() {
    let (workspace, job, failed) = failed_night(3);
    next_input(&workspace, &named("new", 30));
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "30"]).expect(5);
    let second_run = runs_of(&workspace)[1].clone();
    assert_eq!(with_outcome(&workspace.results(&second_run), "pending"), failed, "the input is sent first");
    next_input(&workspace, &named("last", 10));
    let calls = workspace.journal().len();
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    let sent = received_since(&workspace, calls);
    assert_eq!((sent.len(), sent.values().max()), (110, Some(&1)));
    assert!(failed.iter().all(|id| sent.contains_key(id)));
    workspace.imbulk(&["retry", &runs_of(&workspace)[0]]).expect(0).says("no rows to send again");
}

#[test]
fn an_item_limit_counts_carried_rows_after_those_of_the_input() {
    let (workspace, job, failed) = failed_night(3);
    let new = named("new", 30);
    next_input(&workspace, &new);
    let calls = workspace.journal().len();
    let mut sent = BTreeMap::new();
    for (limit, code, all) in [("70", 5, 70), ("50", 5, 120), ("50", 0, 130)] {
        workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", limit]).expect(code);
        sent = received_since(&workspace, calls);
        assert_eq!((sent.len(), sent.values().max()), (all, Some(&1)), "--limit {limit}");
        let ids = |rows: &[InputRow]| rows.iter().map(|row| row.account.clone()).collect::<BTreeSet<String>>();
        assert!(ids(&new).iter().all(|id| sent.contains_key(id)), "the items of the input go first");
    }
    assert!(failed.iter().all(|id| sent.contains_key(id)));
    assert_eq!(tally(&workspace.results("job")), [("succeeded", 130)].into());
}

#[test]
fn carried_rows_are_verified_in_the_run_that_has_sent_them_last() {
    let (workspace, job, failed) = failed_night(3);
    let first_run = runs_of(&workspace)[0].clone();
    next_input(&workspace, &named("new", 30));
    workspace.run(&job).expect(0);
    let report = json_of(&workspace.imbulk(&["verify", "job", "--json"]).expect(0));
    assert_eq!(report["verified"], json!({"confirmed": 130, "contradicted": 0, "unknown": 0}));
    let results = workspace.results("job");
    assert!(results.iter().all(|row| row.verified == "confirmed"), "{results:?}");
    assert!(results.iter().filter(|row| failed.contains(&row.account)).count() == 100);
    // In their first run they are failed, so only their own outcome selects them there.
    let report = json_of(&workspace.imbulk(&["verify", &first_run, "--json"]).expect(0));
    assert_eq!(report["verified"]["confirmed"], 50);
    let report = json_of(&workspace.imbulk(&["verify", &first_run, "--outcome", "failed", "--json"]).expect(0));
    assert_eq!(report["verified"], json!({"confirmed": 100, "contradicted": 0, "unknown": 0}), "the next run did it");
}

#[test]
fn an_id_that_is_protected_since_is_not_sent_again() {
    let (workspace, _, failed) = failed_night(3);
    let protected: Vec<&str> = failed.iter().take(40).map(String::as_str).collect();
    workspace.write("keep.txt", protected.join("\n"));
    let job = job(DELETE, 3).with("guard", "protected", "\"keep.txt\"").write(&workspace);
    next_input(&workspace, &named("new", 30));
    let calls = workspace.journal().len();
    workspace.run(&job).expect(0);
    let sent = received_since(&workspace, calls);
    assert!(sent.len() == 90 && protected.iter().all(|id| !sent.contains_key(*id)));
    assert_eq!(tally(&workspace.results("job")), [("protected", 40), ("succeeded", 90)].into());
}

#[test]
fn guards_compare_the_input_and_only_max_items_counts_what_is_carried_over() {
    let (workspace, _, _) = failed_night(3);
    next_input(&workspace, &named("new", 30));
    let refused = job(DELETE, 3).with("guard", "min_items", 31).write(&workspace);
    workspace.run(&refused).expect(4).says("30 items to send, fewer than 31");
    let refused = job(DELETE, 3).with("guard", "max_items", 129).write(&workspace);
    workspace.run(&refused).expect(4).says("130 items to send, more than 129");
    let allowed = job(DELETE, 3).with("guard", "min_items", 30).with("guard", "max_items", 130).write(&workspace);
    workspace.run(&allowed).expect(0);
    next_input(&workspace, &named("more", 91));
    let refused = job(DELETE, 3).with("guard", "max_change", 1.0).write(&workspace);
    workspace.run(&refused).expect(4).says("91 items to send").says("median of the last runs (90)");
}

#[test]
fn rows_are_carried_over_into_other_columns_but_not_into_another_operation() {
    let (workspace, _, failed) = failed_night(3);
    workspace.write("job.csv", "id,note\nnew_1,x\nnew_2,y\n");
    let renamed = job(DELETE, 3).with("input", "columns", "{ UserID = \"id\" }").write(&workspace);
    run_failing(&workspace, &renamed);
    assert!(with_outcome(&workspace.results("job"), "failed").is_superset(&failed));
    workspace.write("job.csv", csv(Command::FriendDeleteAll, &named("list", 3)));
    let other = job(Command::FriendDeleteAll, 3).with("guard", "protected", "[]").write(&workspace);
    workspace.imbulk(&["plan", &other]).expect(0).says("has another operation or other options");
    workspace.run(&other);
    assert_eq!(workspace.results("job").len(), 3);
}

fn items_of(items: &[(&str, i64)]) -> ScriptedResponse {
    let item = |(id, code): &(&str, i64)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "because"});
    let items: Vec<Value> = items.iter().map(item).collect();
    let body = json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", "ResultItem": items});
    ScriptedResponse::Body(body.to_string())
}

#[test]
fn codes_that_a_row_met_are_carried_over_with_it_so_that_an_already_gone_answer_claims_no_more() {
    let rows = |ids: &[&str]| ids.iter().map(|id| InputRow::pair("owner", id)).collect::<Vec<_>>();
    let server = ScriptedServer::answering(vec![items_of(&[("ann", 31706), ("bea", 30002), ("cid", 0)])]);
    let job = job(Command::FriendDelete, 2)
        .with("app", "endpoint", server.endpoint())
        .with("retry", "max_attempts", 1)
        .rows(&rows(&["ann", "bea", "cid"]));
    let (workspace, job) = job.in_a_workspace();
    workspace.run(&job).expect(3);
    workspace.write("job.csv", csv(Command::FriendDelete, &rows(&["dan", "ann"])));
    let gone = || items_of(&["ann", "bea", "dan", "eve"].map(|id| (id, 31704)));
    server.go_on_with(vec![gone(), gone(), gone()]);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let outcomes: BTreeMap<&str, &str> = results.iter().rev().map(|row| (&*row.account, &*row.outcome)).collect();
    assert_eq!(outcomes, [("ann", "in_doubt"), ("bea", "already_done"), ("dan", "already_done")].into());
    let ann = results.iter().find(|row| row.account == "ann").expect("a row");
    assert!(ann.reason.contains("before: 31706"), "{ann:?}");
    // The doubt is carried over as well.
    workspace.write("job.csv", csv(Command::FriendDelete, &rows(&["eve"])));
    server.go_on_with(vec![gone(), gone()]);
    workspace.run(&job).expect(3);
    assert_eq!(workspace.results("job")[0].outcome, "in_doubt");
}

#[test]
fn a_row_of_the_input_wins_over_a_carried_row_of_the_same_friend() {
    let rows = plain(Command::FriendUpdate, 3);
    let old: Vec<InputRow> = rows.iter().map(|row| row.clone().field("Tag_SNS_Custom_Old", json!("kept"))).collect();
    let (workspace, job) = job(Command::FriendUpdate, 2).rows(&old).in_a_workspace();
    workspace.faults(&["friend_update:item=30002:1"]);
    workspace.run(&job).expect(3);
    workspace.faults(&[]);
    let changed = rows[1].clone().field("Tag_SNS_IM_Remark", json!("new"));
    workspace.write("job.csv", csv(Command::FriendUpdate, &[changed]));
    let calls = workspace.journal().len();
    workspace.run(&job).expect(0);
    assert_eq!(workspace.journal().len() - calls, 1);
    assert_eq!(tally(&workspace.results("job")), [("succeeded", 4)].into());
    let tags = workspace.world(|world| world.tags(rows[1].from.as_deref().expect("a pair"), &rows[1].account));
    let tags = tags.expect("a friend");
    assert_eq!((&tags["Tag_SNS_IM_Remark"], &tags["Tag_SNS_Custom_Old"]), (&json!("new"), &json!("kept")));
    let plan = json_of(&workspace.imbulk(&["plan", &job, "--json"]).expect(0));
    assert_eq!((&plan[0]["merged"], &plan[0]["carried_over"]["items"]), (&json!(1), &json!(2)), "{plan}");
}
