//! Tests of the results checker itself: it must find every false claim about a run that went well.

use imbulk_sandbox::{Command, World};

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, ResultRow, mixed};
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

struct FinishedRun {
    workspace: Workspace,
    asked: Vec<InputRow>,
    results: Vec<ResultRow>,
}

fn finished_run(operation: Command) -> FinishedRun {
    let asked = mixed(operation, 100);
    let (workspace, job) = JobFile::new("job", operation).rows(&asked).protecting(PROTECTED).in_a_workspace();
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, operation, &asked, &results).check(&workspace);
    FinishedRun { workspace, asked, results }
}

impl FinishedRun {
    fn complaints(&self, operation: Command, falsify: impl FnOnce(&mut ResultsCheck<'_>)) -> Vec<String> {
        let mut case = ResultsCheck::clean(&self.workspace, operation, &self.asked, &self.results);
        falsify(&mut case);
        self.workspace.world(|world| case.complaints(world))
    }

    /// The complaints if one row with this outcome is falsified.
    fn with_row(&self, operation: Command, outcome: &str, falsify: impl FnOnce(&mut ResultRow)) -> Vec<String> {
        let mut results = self.results.clone();
        let row = results.iter_mut().find(|row| row.outcome == outcome);
        falsify(row.unwrap_or_else(|| panic!("no row is {outcome}")));
        let case = ResultsCheck::clean(&self.workspace, operation, &self.asked, &results);
        self.workspace.world(|world| case.complaints(world))
    }
}

#[test]
fn an_outcome_that_the_journal_does_not_explain_is_found() {
    let operation = Command::AccountDelete;
    let run = finished_run(operation);
    let outcomes = ["succeeded", "already_done", "rejected", "protected", "duplicate"];
    for outcome in outcomes {
        for claimed in
            ["succeeded", "already_done", "failed", "in_doubt", "pending", "rejected", "protected", "duplicate", ""]
        {
            if claimed != outcome {
                let found = run.with_row(operation, outcome, |row| row.outcome = claimed.to_owned());
                assert!(!found.is_empty(), "{outcome} as {claimed}");
            }
        }
    }
}

#[test]
fn a_success_that_never_happened_is_found() {
    let run = finished_run(Command::AccountDelete);
    let found = run.with_row(Command::AccountDelete, "already_done", |row| {
        row.outcome = "succeeded".to_owned();
        row.code = None;
        row.attempts = 2;
    });
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_row_without_a_result_and_one_with_two_are_found() {
    let mut run = finished_run(Command::FriendDelete);
    let lost = run.results.pop().expect("a row");
    assert!(!run.complaints(Command::FriendDelete, |_| ()).is_empty());
    run.results.push(lost.clone());
    assert!(run.complaints(Command::FriendDelete, |_| ()).is_empty());
    run.results.push(lost);
    assert!(!run.complaints(Command::FriendDelete, |_| ()).is_empty());
    run.results.pop();
    run.results.swap(0, 1);
    assert!(!run.complaints(Command::FriendDelete, |_| ()).is_empty());
}

#[test]
fn a_protected_row_that_was_sent_is_found() {
    let run = finished_run(Command::FriendDelete);
    let found = run.complaints(Command::FriendDelete, |case| case.protected.push("friend_00007".to_owned()));
    assert!(found.iter().any(|wrong| wrong.contains("must not be sent, but the sandbox received it")), "{found:#?}");
    let fewer: Vec<InputRow> = run.asked.iter().filter(|row| row.account != "friend_00007").cloned().collect();
    let results: Vec<ResultRow> = run.results.iter().filter(|row| row.account != "friend_00007").cloned().collect();
    let case = ResultsCheck::clean(&run.workspace, Command::FriendDelete, &fewer, &results);
    let found = run.workspace.world(|world| case.complaints(world));
    assert!(found.iter().any(|wrong| wrong.contains("of them from the input")), "{found:#?}");
}

#[test]
fn overlaps_and_a_second_above_the_cap_are_found() {
    let run = finished_run(Command::FriendUpdate);
    let found = run.complaints(Command::FriendUpdate, |case| case.report.overlaps = 1);
    assert_eq!(found, ["1 overlapping writes"]);
    let found = run.complaints(Command::FriendUpdate, |case| case.report.overlaps_with_abandoned = 1);
    assert_eq!(found, ["1 overlaps with calls that were given up"]);
    let found = run.complaints(Command::FriendUpdate, |case| case.caps.1 = 1);
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = run.complaints(Command::FriendUpdate, |case| case.caps.0 = 1);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_field_that_did_not_arrive_is_found() {
    let mut run = finished_run(Command::FriendUpdate);
    let done = run.results.iter().position(|row| row.outcome == "succeeded").expect("a row");
    run.asked[done].fields.insert("Tag_SNS_Custom_Age".to_owned(), serde_json::json!(7));
    assert!(!run.complaints(Command::FriendUpdate, |_| ()).is_empty());
}

#[test]
fn a_request_that_is_sent_again_after_an_answer_is_found() {
    let run = finished_run(Command::AccountDelete);
    run.workspace.imbulk(&["run", "job.toml", "--execute", "--yes", "--again"]).expect(3);
    let found = run.complaints(Command::AccountDelete, |_| ());
    assert!(found.iter().any(|wrong| wrong.contains("items came in again")), "{found:#?}");
    assert!(found.iter().any(|wrong| wrong.contains("came in 2 times, but has 1 attempts")), "{found:#?}");
}

#[test]
fn a_two_way_success_that_the_other_row_had_is_found_unless_an_earlier_attempt_explains_it() {
    let operation = Command::FriendDelete;
    let asked = [InputRow::pair("a", "b"), InputRow::pair("b", "a"), InputRow::pair("c", "d")];
    let (workspace, job) = JobFile::new("job", operation)
        .rows(&asked)
        .both()
        .on(WorkspaceSetup { world: World::open, ..WorkspaceSetup::default() });
    workspace.run(&job).expect(0);
    let complaints = |both, attempts| {
        let mut results = workspace.results("job");
        let second = results.iter_mut().find(|row| row.outcome == "already_done").expect("both sides were gone");
        second.outcome = "succeeded".to_owned();
        second.reason = "without a lookup".to_owned();
        second.attempts = attempts;
        let case = ResultsCheck { both, ..ResultsCheck::clean(&workspace, operation, &asked, &results) };
        workspace.world(|world| case.complaints(world)).len()
    };
    assert_eq!((complaints(true, 2), complaints(true, 1), complaints(false, 2)), (0, 1, 1));
}

#[test]
fn a_failure_without_a_reason_is_found() {
    let run = finished_run(Command::FriendDelete);
    let found = run.with_row(Command::FriendDelete, "failed", |row| row.code = Some(30006));
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = run.complaints(Command::FriendDelete, |case| case.refusals = &[30006]);
    assert!(found.is_empty(), "{found:#?}");
}
