//! Runs with many faults: every row still has exactly one outcome, which the server confirms.

use imbulk_sandbox::Command;

use imbulk_testkit::results_check::{InDoubt, ResultsCheck};
use imbulk_testkit::rows::{PROTECTED, ResultRow, mixed, plain, tally};
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

/// The items that may be sent again: all items of a call that failed as ordered, and single items that did.
fn resends(workspace: &Workspace, items_a_call: u64) -> u64 {
    let of_items = |kind: &str| kind.starts_with("item=") || matches!(kind, "missing" | "duplicate");
    let played = workspace.report().faults;
    played.iter().map(|(kind, times)| if of_items(kind) { *times } else { times * items_a_call }).sum()
}

fn under(
    faults: &[&str],
    operation: Command,
    rows: usize,
    items_a_call: u64,
    refusals: &[i64],
) -> (Workspace, Vec<ResultRow>) {
    let asked = mixed(operation, rows);
    let job = JobFile::new("job", operation).rows(&asked).protecting(PROTECTED);
    let job = job.with("retry", "max_attempts", 40).with("limits", "calls_per_second", 400);
    let (workspace, job) = job.on(WorkspaceSetup { seed: 5, ..WorkspaceSetup::default() });
    workspace.faults(faults);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, operation, &asked, &results);
    let resends = resends(&workspace, items_a_call);
    ResultsCheck { refusals, resends, ..case }.check(&workspace);
    (workspace, results)
}

/// Faults on about a third of the calls of every operation.
const MIX: &[&str] = &[
    "any:reset-before:#2",
    "any:reset-after:#3,11",
    "any:http=502:#5",
    "any:http-after=502:#7",
    "any:close-after:#9",
    "any:code=30006:0.05",
    "any:code=60008:0.03",
    "any:code-after=60008:0.02",
    "any:code=30008:0.05",
    "any:garbage:0.03",
    "any:cut:0.03",
    "any:string-code:0.02",
    "any:truncated:#13",
    "any:huge:#15",
    "any:shuffle:0.05",
    "any:foreign:0.05",
    "any:object-items:0.02",
];

#[test]
fn account_delete_survives_a_mix_of_faults() {
    let own = ["any:missing:0.02", "any:duplicate:0.02", "any:item=70500:0.03", "any:item=70402:0.01"];
    let (_, results) = under(&[MIX, &own].concat(), Command::AccountDelete, 3000, 100, &[70402]);
    assert!(tally(&results)["failed"] > 5);
}

#[test]
fn friend_delete_survives_a_mix_of_faults() {
    let own = ["any:missing:0.02", "any:duplicate:0.02", "any:item=30006:0.03", "any:item=30002:0.01"];
    let (_, results) = under(&[MIX, &own].concat(), Command::FriendDelete, 600, 3, &[30002]);
    assert!(tally(&results)["failed"] > 2);
}

#[test]
fn friend_delete_all_survives_a_mix_of_faults() {
    under(MIX, Command::FriendDeleteAll, 300, 1, &[]);
}

#[test]
fn friend_update_survives_a_mix_of_faults() {
    let own = ["any:missing:0.02", "any:duplicate:0.02", "any:item=30006:0.03", "any:item=30011:0.01"];
    under(&[MIX, &own].concat(), Command::FriendUpdate, 600, 3, &[30011]);
}

#[test]
fn being_throttled_costs_no_attempt_and_no_row() {
    let asked = plain(Command::FriendDeleteAll, 200);
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&asked).with("retry", "max_attempts", 1);
    let (workspace, job) = job.with("limits", "calls_per_second", 200).in_a_workspace();
    workspace.faults(&["any:code=60007:#150,151,152", "any:code=60011:#180"]);
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { resends: 4, ..case }.check(&workspace);
    assert_eq!(workspace.report().faults.values().sum::<u64>(), 4);
}

#[test]
fn a_call_without_a_response_is_repeated_and_its_effect_counts_as_succeeded() {
    let asked = plain(Command::AccountDelete, 500);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    workspace.faults(&["any:silence-after:#2", "any:silence-before:#4"]);
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { resends: 200, ..case }.check(&workspace);
    let by_us = results.iter().filter(|row| row.outcome == "succeeded" && row.code == Some(70107)).count();
    assert!(by_us > 90, "the call that was carried out and not answered: {by_us}");
}

#[test]
fn an_item_without_any_response_is_in_doubt_and_can_be_sent_again() {
    let asked = plain(Command::AccountDelete, 300);
    let (workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&asked).with("retry", "max_attempts", 1).in_a_workspace();
    workspace.faults(&["account_delete:garbage:#1", "account_check:code=60010:1"]);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { in_doubt: InDoubt::Allowed, ..case }.check(&workspace);
    assert_eq!(tally(&results)["in_doubt"], 100);
    let retry = workspace.imbulk(&["retry", "job", "--outcome", "in_doubt"]).expect(0);
    assert!(retry.stdout.contains("100"), "{retry:?}");
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { resends: 100, ..case }.check(&workspace);
}

#[test]
fn a_batch_that_is_refused_for_one_id_is_split_until_that_id_fails_alone() {
    let asked = plain(Command::AccountDelete, 250);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    workspace.faults(&["account_delete:poison=70402/user_00123:1", "account_delete:poison=30001/user_00001:1"]);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    // Each split sends both halves again. After seven splits each of 100 items is alone.
    ResultsCheck { refusals: &[70402, 30001], resends: 400, ..case }.check(&workspace);
    let failed: Vec<_> = results.iter().filter(|row| row.outcome == "failed").collect();
    let failed: Vec<_> = failed.iter().map(|row| (row.account.as_str(), row.code)).collect();
    assert_eq!(failed, [("user_00001", Some(30001)), ("user_00123", Some(70402))]);
}

#[test]
fn an_unknown_code_fails_its_items() {
    let asked = plain(Command::AccountDelete, 300);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    workspace.faults(&["account_delete:item=12345:#2"]);
    let output = workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { refusals: &[12345], ..case }.check(&workspace);
    // Of the items with the code, lookups found those accounts that did not exist before.
    assert_eq!(results.iter().filter(|row| row.code == Some(12345)).count(), 50);
    assert!(tally(&results)["failed"] > 40);
    assert!(output.stdout.contains("12345"), "the summary names it:\n{}", output.stdout);
}

#[test]
fn after_the_last_attempt_the_row_fails_with_the_last_code() {
    // So few that the retry budget allows all repetitions. More would open the circuit breaker.
    let asked = plain(Command::FriendDeleteAll, 12);
    let (workspace, job) =
        JobFile::new("job", Command::FriendDeleteAll).rows(&asked).with("retry", "max_attempts", 3).in_a_workspace();
    workspace.faults(&["friend_delete_all:code=30006:1"]);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { refusals: &[30006], resends: 40, ..case }.check(&workspace);
    assert!(results.iter().all(|row| row.attempts == 4 && row.code == Some(30006)), "{results:#?}");
}

#[test]
fn a_lost_answer_followed_by_refusals_until_the_end_leaves_the_row_in_doubt() {
    let asked = plain(Command::AccountDelete, 100);
    let (workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&asked).with("retry", "max_attempts", 2).in_a_workspace();
    workspace.faults(&["any:garbage:#1", "any:code=70500:1"]);
    workspace.run(&job).expect(3);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { in_doubt: InDoubt::Allowed, resends: 100, ..case }.check(&workspace);
    assert_eq!(tally(&results)["in_doubt"], 100);
}
