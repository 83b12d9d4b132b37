//! The operations without faults.

use imbulk_sandbox::{Command, World};
use serde_json::json;

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, ResultRow, mixed, tally};
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

/// Runs a job with these rows to its end. Some of them are invalid or fail.
fn run(job: JobFile, asked: &[InputRow]) -> (Workspace, Vec<ResultRow>) {
    let (workspace, job) = job.rows(asked).protecting(PROTECTED).in_a_workspace();
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    (workspace, results)
}

fn all_outcomes(operation: Command, outcomes: &[&str]) {
    let asked = mixed(operation, 1000);
    let (workspace, results) = run(JobFile::new("job", operation), &asked);
    ResultsCheck::clean(&workspace, operation, &asked, &results).check(&workspace);
    assert_eq!(tally(&results).into_keys().collect::<Vec<_>>(), outcomes);
}

#[test]
fn account_delete_ends_every_row_as_the_server_says() {
    all_outcomes(Command::AccountDelete, &["already_done", "duplicate", "protected", "rejected", "succeeded"]);
}

#[test]
fn friend_delete_ends_every_row_as_the_server_says() {
    all_outcomes(Command::FriendDelete, &["already_done", "duplicate", "failed", "protected", "rejected", "succeeded"]);
}

#[test]
fn friend_delete_all_ends_every_row_as_the_server_says() {
    all_outcomes(Command::FriendDeleteAll, &["already_done", "duplicate", "protected", "rejected", "succeeded"]);
}

#[test]
fn friend_update_ends_every_row_as_the_server_says() {
    all_outcomes(Command::FriendUpdate, &["duplicate", "failed", "protected", "rejected", "succeeded"]);
}

#[test]
fn friend_import_ends_every_row_as_the_server_says() {
    all_outcomes(Command::FriendImport, &["duplicate", "failed", "protected", "rejected", "succeeded"]);
}

#[test]
fn account_import_ends_every_row_as_the_server_says() {
    all_outcomes(Command::AccountImport, &["duplicate", "protected", "rejected", "succeeded"]);
}

#[test]
fn every_field_of_an_account_arrives_and_rows_of_one_account_are_merged() {
    let asked = [
        InputRow::account("ada")
            .field("Nick", json!("Ada, \"first\""))
            .field("FaceUrl", json!("https://example.com/a.png")),
        InputRow::account("bo"),
        InputRow::account("cy").field("Nick", json!("n".repeat(501))).invalid(),
        InputRow::account("di").field("Nick", json!("Di")),
        InputRow::account("di").field("FaceUrl", json!("https://example.com/d.png")),
    ];
    let setup = WorkspaceSetup { world: || World::open_with_missing(7, 1.0, 0.0), ..WorkspaceSetup::default() };
    let (workspace, job) = JobFile::new("job", Command::AccountImport).rows(&asked).on(setup);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::AccountImport, &asked, &results).check(&workspace);
    assert_eq!(workspace.report().calls, 1);
    assert!(results[2].reason.contains("at most 500"), "{:?}", results[2]);
}

#[test]
fn every_field_of_a_friend_arrives_and_the_row_without_a_source_does_not() {
    let whole = InputRow::pair("user_00001", "friend_1")
        .field("AddSource", json!("AddSource_Type_Android"))
        .field("Remark", json!("Bo | work, \"new\""))
        .field("GroupName", json!(["Work", "Chess"]))
        .field("AddWording", json!("Hello, it is me"))
        .field("AddTime", json!(1_420_000_001))
        .field("Tag_SNS_Custom_Level", json!("3"));
    let asked = [
        whole,
        InputRow::pair("user_00001", "friend_2").field("AddSource", json!("AddSource_Type_Web")),
        InputRow::pair("user_00001", "friend_3").field("Remark", json!("without a source")).invalid(),
        InputRow::pair("user_00001", "friend_4").field("AddSource", json!("Web")).invalid(),
        InputRow::pair("user_00001", "friend_5").field("AddSource", json!("AddSource_Type_Web")),
        InputRow::pair("user_00001", "friend_5")
            .field("AddSource", json!("AddSource_Type_App"))
            .field("AddTime", json!(7)),
    ];
    let setup = WorkspaceSetup { world: || World::open_with_missing(7, 0.0, 1.0), ..WorkspaceSetup::default() };
    let (workspace, job) = JobFile::new("job", Command::FriendImport).rows(&asked).on(setup);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendImport, &asked, &results).check(&workspace);
    assert_eq!(workspace.report().calls, 1);
    assert!(results[2].reason.contains("`AddSource` is missing"), "{:?}", results[2]);
}

#[test]
fn a_two_way_delete_removes_both_sides_and_no_calls_overlap() {
    // Few accounts, each both From_Account and To_Account of many rows, so that calls could overlap.
    let mut asked: Vec<InputRow> = (0..40)
        .flat_map(|from: u32| (from + 1..40).step_by(3).map(move |to| (from, to)))
        .map(|(from, to)| InputRow::pair(&format!("user_{from:02}"), &format!("user_{to:02}")))
        .collect();
    asked.push(InputRow::pair("user_39", "user_00"));
    imbulk_testkit::rows::shuffle(&mut asked, 1);
    let (workspace, results) = run(JobFile::new("job", Command::FriendDelete).both(), &asked);
    let case = ResultsCheck { both: true, ..ResultsCheck::clean(&workspace, Command::FriendDelete, &asked, &results) };
    case.check(&workspace);
}

#[test]
fn two_way_friend_delete_all_calls_are_sent_one_after_the_other() {
    let asked = mixed(Command::FriendDeleteAll, 150);
    let job = JobFile::new("job", Command::FriendDeleteAll).both();
    let (workspace, results) = run(job, &asked);
    let case =
        ResultsCheck { both: true, ..ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results) };
    case.check(&workspace);
}

#[test]
fn updates_of_one_friend_are_merged_field_by_field_and_share_their_outcome() {
    let update = |n: u32| InputRow::pair(&format!("user_{:03}", n % 50), &format!("friend_{:03}", n / 3));
    let mut asked = Vec::new();
    for n in 0..300 {
        asked.push(update(n).field("Tag_SNS_IM_Remark", json!(format!("first {n}"))));
        asked.push(update(n).field("Tag_SNS_IM_Group", json!([format!("g{}", n % 4), "all"])));
        asked.push(
            update(n).field("Tag_SNS_Custom_Level", json!(format!("{n}"))).field("Tag_SNS_IM_Remark", json!("then")),
        );
        if n % 5 == 0 {
            // Equal to the first row, but not its duplicate: it changes the remark back.
            asked.push(update(n).field("Tag_SNS_IM_Remark", json!(format!("first {n}"))));
            asked.push(update(n).field("Tag_SNS_IM_Remark", json!(format!("first {n}"))));
        }
        if n % 9 == 0 {
            asked.push(update(n).invalid());
            asked.push(update(n).field("Tag_SNS_IM_Remark", json!("long ".repeat(20))).invalid());
        }
    }
    let (workspace, results) = run(JobFile::new("job", Command::FriendUpdate), &asked);
    ResultsCheck::clean(&workspace, Command::FriendUpdate, &asked, &results).check(&workspace);
    assert_eq!(tally(&results)["duplicate"], 60);
}

#[test]
fn a_thousand_friends_of_one_account_are_sent_in_one_call() {
    let asked: Vec<InputRow> = (0..2500).map(|n| InputRow::pair("user_00002", &format!("friend_{n}"))).collect();
    let (workspace, job) = JobFile::new("job", Command::FriendDelete).rows(&asked).in_a_workspace();
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendDelete, &asked, &results).check(&workspace);
    assert_eq!(workspace.report().calls, 3);
}

#[test]
fn the_caps_hold_and_are_used() {
    use imbulk_sandbox::Caps;
    let asked = imbulk_testkit::rows::plain(Command::FriendDeleteAll, 600);
    let job = JobFile::new("job", Command::FriendDeleteAll)
        .rows(&asked)
        .without("limits", "calls_per_second")
        .without("limits", "app_calls_per_second");
    let (workspace, job) = job.on(WorkspaceSetup { caps: Caps::default(), ..WorkspaceSetup::default() });
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results).check(&workspace);
    assert_eq!(workspace.report().throttled + workspace.report().throttled_app, 0);
    assert!(workspace.report().worst_second >= 100, "{:#?}", workspace.report());
}
