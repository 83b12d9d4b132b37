//! A job that runs again: with the same input, with another one, and with another definition.

use imbulk_sandbox::Command;

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, ResultRow, csv, plain, tally};
use imbulk_testkit::{JobFile, RunningProgram, Workspace, WorkspaceSetup};

/// A workspace with a job whose first run was killed after some calls.
fn interrupted(rows: &[InputRow]) -> (Workspace, String) {
    let (workspace, job, running) = begun(rows);
    running.kill();
    (workspace, job)
}

/// A workspace with a job whose first run has sent some calls.
fn begun(rows: &[InputRow]) -> (Workspace, String, RunningProgram) {
    let setup = WorkspaceSetup { latency: std::time::Duration::from_millis(5), ..WorkspaceSetup::default() };
    let (workspace, job) = job().rows(rows).protecting("somebody_else").on(setup);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(10, &mut running);
    (workspace, job, running)
}

fn job() -> JobFile {
    JobFile::new("job", Command::FriendDeleteAll)
        .with("limits", "calls_per_second", 100)
        .with("limits", "max_in_flight", 4)
        .with("guard", "protected", "\"keep.txt\"")
}

#[test]
fn a_finished_input_is_not_sent_again_without_again() {
    let asked = plain(Command::AccountDelete, 300);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    workspace.run(&job).expect(0).says("finished").says("--again");
    assert_eq!(workspace.report().calls, 3);
    ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results).check(&workspace);
    // The same bytes under a newer date are the same input.
    workspace.write("job.csv", csv(Command::AccountDelete, &asked));
    workspace.run(&job).expect(0).says("finished");
    assert_eq!(workspace.report().calls, 3);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    assert_eq!(workspace.report().calls, 6);
    assert!(workspace.results("job").iter().all(|row| row.outcome == "already_done"));
}

#[test]
fn an_older_unfinished_run_is_finished_before_the_new_input() {
    let old = plain(Command::FriendDeleteAll, 150);
    let (workspace, job) = interrupted(&old);
    let new: Vec<InputRow> = (0..40).map(|n| InputRow::account(&format!("new_{n}"))).collect();
    workspace.write("job.csv", csv(Command::FriendDeleteAll, &new));
    let output = workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &new, &results);
    ResultsCheck { others: 150, ..case }.check(&workspace);
    let ids: Vec<String> = runs_of(&workspace);
    assert_eq!(ids.len(), 2, "{output:#?}");
    let results = workspace.results(&ids[0]);
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &old, &results);
    ResultsCheck { others: 40, resends: 4, ..case }.check(&workspace);
}

/// The ids of all runs, oldest first.
fn runs_of(workspace: &Workspace) -> Vec<String> {
    let status = workspace.imbulk(&["status", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let runs = status["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["run"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn an_unfinished_run_is_not_continued_with_another_definition() {
    let (workspace, _) = interrupted(&plain(Command::FriendDeleteAll, 150));
    let calls = workspace.report().calls;
    let job = job().both().write(&workspace);
    workspace.run(&job).expect(4).says("is unfinished").says("--resume");
    assert_eq!(workspace.report().calls, calls);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    assert_eq!(tally(&workspace.results("job"))["already_done"], missing(&workspace, 150));
}

fn missing(workspace: &Workspace, users: usize) -> usize {
    let rows = plain(Command::FriendDeleteAll, users);
    rows.iter().filter(|row| !workspace.pristine.account_exists(&row.account)).count()
}

/// Protects every third id of an unfinished run and finishes the run. Returns each of these ids, how often the server
/// received it before and after, and the outcome of its row.
fn protect_later(asked: &[InputRow], workspace: &Workspace, job: &str) -> Vec<(String, u32, u32, String)> {
    let protected: Vec<String> = asked.iter().step_by(3).map(|row| row.account.clone()).collect();
    let received = |id: &String| workspace.world(|world| world.list_counters(id).received);
    let before: Vec<u32> = protected.iter().map(received).collect();
    workspace.write("keep.txt", protected.join("\n"));
    let output = workspace.run(job);
    // Rows that may have been sent before their id was protected are in doubt.
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    let results = workspace.results("job");
    assert!(!tally(&results).contains_key("pending"));
    let outcome = |id: &String| results.iter().find(|row| row.account == *id).expect("a row").outcome.clone();
    protected.iter().zip(before).map(|(id, before)| (id.clone(), before, received(id), outcome(id))).collect()
}

#[test]
fn an_id_that_is_protected_while_a_run_is_unfinished_is_not_sent_any_more() {
    let asked = plain(Command::FriendDeleteAll, 150);
    let (workspace, job, running) = begun(&asked);
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect(5);
    for (id, before, after, outcome) in protect_later(&asked, &workspace, &job) {
        assert_eq!(before, after, "{id} was sent");
        assert!(before > 0 || outcome == "protected", "{id} is {outcome}");
    }
}

#[test]
fn after_a_kill_an_account_that_the_server_may_be_writing_waits_even_if_the_items_are_protected_now() {
    // Two requests with the same From_Account. The first is in flight at the kill; all its items are protected then.
    let friends = |prefix: char, count: usize| (0..count).map(move |number| format!("{prefix}{number:04}"));
    let asked: Vec<InputRow> =
        friends('a', 1000).chain(friends('b', 10)).map(|friend| InputRow::pair("owner", &friend)).collect();
    let (workspace, job) =
        JobFile::new("job", Command::FriendDelete).rows(&asked).protecting("nobody").in_a_workspace();
    workspace.faults(&["friend_delete:slow=2s:#1"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(1, &mut running);
    running.kill();
    workspace.write("keep.txt", "a*");
    workspace.run(&job).expect(3);
    assert_eq!(tally(&workspace.results("job")), [("in_doubt", 1000), ("succeeded", 10)].into());
    let report = workspace.report();
    assert_eq!((report.overlaps, report.overlaps_with_abandoned), (0, 0), "{report:#?}");
}

#[test]
fn an_id_that_is_protected_after_a_kill_is_not_sent_again() {
    let asked = plain(Command::FriendDeleteAll, 150);
    let (workspace, job) = interrupted(&asked);
    for (id, before, after, outcome) in protect_later(&asked, &workspace, &job) {
        assert_eq!(before, after, "{id} was sent, and is {outcome}");
        assert!(before > 0 || ["protected", "in_doubt"].contains(&outcome.as_str()), "{id} is {outcome}");
    }
}

#[test]
fn failed_rows_can_be_made_pending_by_code_and_are_sent_again() {
    let asked = plain(Command::AccountDelete, 400);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    workspace.faults(&["account_delete:item=70402:#1", "account_delete:item=70051:#2"]);
    workspace.run(&job).expect(3);
    assert_eq!(tally(&workspace.results("job"))["failed"], 100);
    workspace.faults(&[]);
    workspace.imbulk(&["retry", "job", "--code", "99999"]).expect(0);
    workspace.run(&job).expect(3).says("finished");
    workspace.imbulk(&["retry", "job", "--code", "70402"]).expect(0);
    assert_eq!(tally(&workspace.results("job"))["pending"], 50);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let failed: Vec<_> = results.iter().filter(|row| row.outcome == "failed").map(|row| row.code).collect();
    assert_eq!(failed, [Some(70051); 50]);
    workspace.imbulk(&["retry", "job"]).expect(0);
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { resends: 100, ..case }.check(&workspace);
    workspace.imbulk(&["retry", "job", "--outcome", "succeeded"]).expect(2);
}

#[test]
fn results_are_valid_input_and_are_filtered_by_outcome() {
    let asked = plain(Command::FriendUpdate, 300);
    let (workspace, job) = JobFile::new("job", Command::FriendUpdate).rows(&asked).in_a_workspace();
    workspace.faults(&["friend_update:item=30011:0.2"]);
    workspace.run(&job).expect(3);
    let all = workspace.results("job");
    let wanted = ["results", "job", "--outcome", "failed,in_doubt", "--output", "failed.csv"];
    workspace.imbulk(&wanted).expect(0);
    let failed = std::fs::read_to_string(workspace.path("failed.csv")).expect("it was written");
    let failed = imbulk_testkit::rows::parse(&failed);
    let due: Vec<ResultRow> = all.iter().filter(|row| row.outcome == "failed").cloned().collect();
    assert_eq!(failed, due);
    let jsonl = workspace.imbulk(&["results", "job", "--format", "jsonl"]).expect(0).stdout;
    for (line, row) in jsonl.lines().zip(&all) {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["To_Account"], &line["outcome"]), (&row.account.clone().into(), &row.outcome.clone().into()));
    }
    assert_eq!(jsonl.lines().count(), 300);
    workspace.faults(&[]);
    let again = JobFile::new("again", Command::FriendUpdate).with("input", "path", "\"failed.csv\"").write(&workspace);
    workspace.run(&again).expect(3);
    let sent_again = workspace.results("again");
    assert_eq!(sent_again.len(), due.len());
    let rows: Vec<InputRow> =
        asked.iter().filter(|row| due.iter().any(|due| due.account == row.account)).cloned().collect();
    let case = ResultsCheck::clean(&workspace, Command::FriendUpdate, &rows, &sent_again);
    workspace.world(|world| {
        // The first job has sent each of them already.
        let found = ResultsCheck { others: 300 - due.len(), resends: 300, ..case }.complaints(world);
        let found: Vec<_> =
            found.iter().filter(|wrong| !wrong.contains("came in 2 times, but has 1 attempts")).collect();
        assert!(found.is_empty(), "{found:#?}");
    });
}

#[test]
fn an_unfinished_run_is_superseded_only_once_another_one_begins() {
    let rows = plain(Command::FriendDeleteAll, 150);
    let (workspace, job) = interrupted(&rows);
    std::fs::remove_file(workspace.path("job.csv")).unwrap();
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(2).says("job.csv");
    workspace.write("job.csv", csv(Command::FriendDeleteAll, &rows));
    let guarded = self::job().with("guard", "max_items", 3).write(&workspace);
    workspace.imbulk(&["run", &guarded, "--execute", "--yes", "--again"]).expect(4).says("max_items");
    let job = self::job().write(&workspace);
    workspace.run(&job);
    let ids = runs_of(&workspace);
    let finished = workspace.results(&ids[0]);
    assert!(
        finished.iter().all(|row| row.outcome != "pending"),
        "the first run was gone on with: {:?}",
        tally(&finished)
    );
    assert_eq!(runs_of(&workspace).len(), 1, "and the one that was to replace it is gone, not sent after it");
}

#[test]
fn runs_against_a_server_on_this_machine_do_not_count_as_done_for_the_app() {
    let asked = plain(Command::AccountDelete, 20);
    let (mut workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&asked).with("guard", "protected", "[]").in_a_workspace();
    workspace.run(&job).expect(0);
    workspace.set_env("IMBULK_ENDPOINT", "https://imbulk.invalid");
    workspace.imbulk(&["plan", &job]).expect(0).says("pending");
}
