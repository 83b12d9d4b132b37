//! `imbulk verify` looks at the server again, and what it records agrees with the server's tables.

use std::time::Instant;

use imbulk_sandbox::{Command, World};
use serde_json::{Value, json};

use imbulk_testkit::rows::{InputRow, ItemKind, ResultRow, item_kind, operations, plain};
use imbulk_testkit::{JobFile, PATIENCE, ProgramOutput, Workspace, WorkspaceSetup};

const CONFIRMED: &str = "confirmed";
const CONTRADICTED: &str = "contradicted";

/// The job `job` with these rows on the sandbox, not sent yet.
fn workspace_of(operation: Command, both: bool, rows: &[InputRow]) -> (Workspace, String) {
    let job = JobFile::new("job", operation).rows(rows).with("stop", "failed_share", 1.0);
    let world = match operation {
        Command::AccountImport => || World::open_with_missing(7, 0.95, 0.0),
        Command::FriendImport => || World::open_with_missing(7, 0.0, 0.95),
        _ => || World::open_with_missing(7, 0.0, 0.05),
    };
    if both { job.both() } else { job }.on(WorkspaceSetup { world, ..WorkspaceSetup::default() })
}

/// The same, and sent.
fn sent(operation: Command, both: bool, rows: usize) -> Workspace {
    let (workspace, job) = workspace_of(operation, both, &plain(operation, rows));
    let output = workspace.run(&job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    workspace
}

fn verify(workspace: &Workspace, args: &[&str], code: i32) -> Value {
    let args = [&["verify", "job", "--json"], args].concat();
    serde_json::from_str(&workspace.imbulk(&args).expect(code).stdout).expect("JSON")
}

/// Whether the requested state of a row is there. The friend `newcomer` is the only one that joins an empty list.
fn is_there(world: &World, operation: Command, both: bool, row: &ResultRow) -> bool {
    let (from, to) = (row.from.as_deref().unwrap_or_default(), row.account.as_str());
    match operation {
        Command::AccountDelete => !world.account_exists(to),
        Command::AccountImport => {
            world.profile(to).is_some_and(|profile| profile["Tag_Profile_IM_Nick"] == remark(row))
        }
        Command::FriendDelete => !(world.is_friend(from, to) || both && world.is_friend(to, from)),
        Command::FriendDeleteAll => !world.is_friend(to, NEWCOMER),
        Command::FriendImport => world.is_friend(from, to),
        _ => world.tags(from, to).is_some_and(|tags| tags["Tag_SNS_IM_Remark"] == remark(row)),
    }
}

/// What the row sets.
fn remark(row: &ResultRow) -> String {
    format!("remark {}", row.line - 2)
}

const NEWCOMER: &str = "newcomer";

fn ended_well(row: &ResultRow) -> bool {
    matches!(row.outcome.as_str(), "succeeded" | "already_done")
}

/// Compares the results with the tables of the sandbox. Returns the number of confirmed and of contradicted rows.
#[track_caller]
fn agrees_with_the_tables(workspace: &Workspace, operation: Command, both: bool) -> (u64, u64) {
    let rows = workspace.results("job");
    for row in &rows {
        if !ended_well(row) {
            assert_eq!(row.verified, "", "{operation:?}: {row:?}");
            continue;
        }
        let there = workspace.world(|world| is_there(world, operation, both, row));
        assert_eq!(row.verified, if there { CONFIRMED } else { CONTRADICTED }, "{operation:?}: {row:?}");
    }
    let number = |verified: &str| rows.iter().filter(|row| row.verified == verified).count() as u64;
    (number(CONFIRMED), number(CONTRADICTED))
}

type Undo = Box<dyn Fn(&ResultRow) -> InputRow>;

/// Undoes every third row, by a job of somebody else.
fn undo_some(workspace: &Workspace, operation: Command, both: bool) {
    let pair = move |row: &ResultRow| {
        let from = row.from.clone().unwrap_or_default();
        // The friend's own side, where a job deletes both.
        if both { InputRow::pair(&row.account, &from) } else { InputRow::pair(&from, &row.account) }
    };
    let import = |row: InputRow| row.field("AddSource", json!("AddSource_Type_Other"));
    let (command, undo): (Command, Undo) = match operation {
        Command::AccountDelete => {
            (Command::AccountImport, Box::new(|row| InputRow::account(&row.account).field("Nick", json!("back"))))
        }
        Command::AccountImport => {
            (Command::AccountImport, Box::new(|row| InputRow::account(&row.account).field("Nick", json!("changed"))))
        }
        Command::FriendDelete => (Command::FriendImport, Box::new(move |row| import(pair(row)))),
        Command::FriendDeleteAll => {
            (Command::FriendImport, Box::new(move |row| import(InputRow::pair(&row.account, NEWCOMER))))
        }
        Command::FriendImport => (Command::FriendDelete, Box::new(move |row| pair(row))),
        _ => (Command::FriendUpdate, Box::new(move |row| pair(row).field("Tag_SNS_IM_Remark", json!("changed")))),
    };
    let rows: Vec<InputRow> = workspace.results("job").iter().step_by(3).map(undo).collect();
    let job = JobFile::new("undo", command).rows(&rows).with("stop", "failed_share", 1.0).write(workspace);
    let output = workspace.run(&job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
}

/// Each operation, and with both sides where a lookup can see them.
fn cases() -> impl Iterator<Item = (Command, bool)> {
    operations().map(|operation| (operation, false)).chain([(Command::FriendDelete, true)])
}

#[test]
fn of_a_list_that_was_cleared_on_both_sides_only_its_own_side_can_be_seen() {
    let workspace = sent(Command::FriendDeleteAll, true, 30);
    let report = verify(&workspace, &[], 3);
    assert_eq!(report["verified"], json!({"confirmed": 0, "contradicted": 0, "unknown": 30}));
    let reason = report["reasons"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("not whether its friends still have From_Account"), "{report}");
    undo_some(&workspace, Command::FriendDeleteAll, false);
    assert_eq!(verify(&workspace, &[], 3)["verified"], json!({"confirmed": 0, "contradicted": 10, "unknown": 20}));
}

#[test]
fn what_others_undid_is_contradicted_and_can_be_sent_again() {
    for (operation, both) in cases() {
        let workspace = sent(operation, both, 150);
        let report = verify(&workspace, &[], 0);
        let (confirmed, contradicted) = agrees_with_the_tables(&workspace, operation, both);
        assert!(confirmed > 100 && contradicted == 0, "{operation:?}: {confirmed}, {contradicted}");
        assert_eq!(report["verified"], json!({"confirmed": confirmed, "contradicted": 0, "unknown": 0}));
        undo_some(&workspace, operation, both);
        let report = verify(&workspace, &[], 3);
        let (confirmed, contradicted) = agrees_with_the_tables(&workspace, operation, both);
        assert!(confirmed > 50 && contradicted > 30, "{operation:?}: {confirmed}, {contradicted}");
        let sums = json!({"confirmed": confirmed, "contradicted": contradicted, "unknown": 0});
        assert_eq!(report["verified"], sums, "{operation:?}");
        let status: Value =
            serde_json::from_str(&workspace.imbulk(&["status", "job", "--json"]).expect(0).stdout).unwrap();
        assert_eq!(status["verified"], sums, "{operation:?}");
        let reasons = report["reasons"].as_array().unwrap();
        assert!(reasons.iter().all(|reason| reason["reason"] != ""), "{reasons:?}");
        contradicted_rows_are_sent_again(&workspace, operation, both, (confirmed, contradicted));
    }
}

/// They lose their result, and are done afterwards.
#[track_caller]
fn contradicted_rows_are_sent_again(workspace: &Workspace, operation: Command, both: bool, before: (u64, u64)) {
    let (confirmed, contradicted) = before;
    let retry = ["retry", "job", "--verified", "contradicted"];
    workspace.imbulk(&retry).expect(0).says(&format!("{contradicted} rows are pending again"));
    let rows = workspace.results("job");
    let number = |verified: &str| rows.iter().filter(|row| row.verified == verified).count() as u64;
    assert_eq!((number(CONFIRMED), number(CONTRADICTED)), (confirmed, 0), "{operation:?}");
    let output = workspace.run("job.toml");
    assert!(matches!(output.code, 0 | 3), "{operation:?}: {output:?}");
    verify(workspace, &[], 0);
    assert_eq!(agrees_with_the_tables(workspace, operation, both).1, 0, "{operation:?}");
}

/// The calls that a verification announced: `looks up 9 rows with 3 calls of …`.
fn announced_calls(output: &ProgramOutput) -> u64 {
    let calls = output.stderr.split(" with ").nth(1).and_then(|rest| rest.split(' ').next());
    calls.and_then(|calls| calls.replace(',', "").parse().ok()).unwrap_or_else(|| panic!("{}", output.stderr))
}

#[test]
fn a_verification_writes_nothing_and_costs_the_calls_that_it_announces() {
    for operation in operations() {
        let workspace = sent(operation, false, 150);
        let before = workspace.report().calls;
        let output = workspace.imbulk(&["verify", "job"]).expect(0);
        let calls = workspace.report().calls - before;
        assert_eq!(announced_calls(&output), calls, "{}", output.stderr);
        let first = usize::try_from(before).unwrap();
        assert!(workspace.journal()[first..].iter().all(|call| call.command.reads_only()), "{operation:?}");
        if item_kind(operation) == ItemKind::Account {
            assert_eq!(calls, 2, "150 accounts in lookups of 100");
        }
    }
}

#[test]
fn if_lookups_fail_nothing_is_claimed() {
    let workspace = sent(Command::AccountDelete, false, 300);
    workspace.faults(&["account_check:item=70402:0.3", "account_check:missing:0.1"]);
    let report = verify(&workspace, &[], 3);
    let unknown = report["verified"]["unknown"].as_u64().unwrap();
    assert!(report["verified"]["contradicted"] == 0 && (1..300).contains(&unknown), "{report}");
    workspace.faults(&["account_check:code=70402:1"]);
    let report = verify(&workspace, &[], 3);
    assert_eq!(report["verified"], json!({"confirmed": 0, "contradicted": 0, "unknown": 300}));
    let reason = report["reasons"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("lookup failed: "), "{report}");
    assert!(workspace.results("job").iter().all(|row| row.verified == "unknown"));
    workspace.faults(&["account_check:code=60010:1"]);
    workspace.imbulk(&["verify", "job"]).expect(4).says("60010");
    workspace.faults(&[]);
    verify(&workspace, &[], 0);
    assert!(workspace.results("job").iter().all(|row| row.verified == CONFIRMED));
}

#[test]
fn a_killed_verification_goes_on_where_it_stopped() {
    let rows = plain(Command::FriendDelete, 1200);
    let (workspace, job) = workspace_of(Command::FriendDelete, true, &rows);
    workspace.run(&job).expect(0);
    // Of the 400 lists, one in ten is not answered, so that some lookups are in flight at the kill.
    workspace.faults(&["friend_check:silence:0.1"]);
    let lookups = |workspace: &Workspace| workspace.report().commands[&Command::FriendCheck].calls;
    let before = lookups(&workspace);
    let mut running = workspace.start(&["verify", "job"], b"");
    let begun = Instant::now();
    let recorded =
        |workspace: &Workspace| workspace.results("job").iter().filter(|row| row.verified == CONFIRMED).count() as u64;
    while recorded(&workspace) < 300 && running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "nothing is recorded");
    }
    let killed = running.kill();
    let done = recorded(&workspace);
    assert!((300..1200).contains(&done), "{done}");
    workspace.imbulk(&["status"]).expect(0);
    workspace.faults(&[]);
    let asked = lookups(&workspace);
    let resumed = workspace.imbulk(&["verify", "job"]).expect(0).says("continues the verification");
    let (all, rest) = (announced_calls(&killed), announced_calls(&resumed));
    assert!(resumed.stderr.contains(&format!("looks up {} rows ", 1200 - done)), "{}", resumed.stderr);
    assert_eq!(lookups(&workspace) - asked, rest, "rows with a result are not looked up again");
    assert!(rest < all && asked > before, "{rest} of {all}");
    agrees_with_the_tables(&workspace, Command::FriendDelete, true);
    // The next one looks at all rows again.
    workspace.imbulk(&["verify", "job"]).expect(0).says("looks up 1,200 rows ");
}

#[test]
fn while_a_verification_runs_no_other_command_reads_a_backup_or_changes_anything() {
    let workspace = sent(Command::FriendDelete, false, 300);
    let rows = plain(Command::FriendDelete, 5);
    let other = JobFile::new("other", Command::FriendDelete).rows(&rows).with("backup", "path", "\"backups\"");
    let other = other.write(&workspace);
    workspace.faults(&["friend_check:silence:1"]);
    let before = workspace.report().calls;
    let mut verification = workspace.start(&["verify", "job"], b"");
    workspace.until_calls(before + 1, &mut verification);
    workspace.run(&other).expect(6);
    assert!(verification.is_alive() && !workspace.path("backups").exists());
    assert_eq!(workspace.report().commands[&Command::FriendGet].calls, 0);
    verification.kill();
    workspace.faults(&[]);
    let output = workspace.run(&other);
    assert!(matches!(output.code, 0 | 3) && workspace.path("backups").exists(), "{output:?}");
    verify(&workspace, &[], 0);
}

#[test]
fn a_seed_chooses_the_same_sample_again() {
    let workspace = sent(Command::AccountDelete, false, 1000);
    let chosen = |workspace: &Workspace| -> Vec<u64> {
        workspace.results("job").iter().filter(|row| !row.verified.is_empty()).map(|row| row.line).collect()
    };
    let report = verify(&workspace, &["--sample", "50", "--seed", "7"], 0);
    assert_eq!(
        (&report["verified"]["confirmed"], &report["sample"], &report["calls"]),
        (&50.into(), &50.into(), &1.into())
    );
    let first = chosen(&workspace);
    verify(&workspace, &["--sample", "50", "--seed", "7"], 0);
    assert_eq!((first.len(), &chosen(&workspace)), (50, &first));
    let output = workspace.imbulk(&["verify", "job", "--sample", "50"]).expect(0);
    assert!(output.stdout.contains("--seed "), "{}", output.stdout);
    assert!(chosen(&workspace).len() > 70, "another seed chooses other rows");
    assert!(first.iter().any(|line| *line > 500) && first.iter().any(|line| *line < 500));
}

#[test]
fn other_outcomes_are_looked_up_only_if_they_are_named() {
    let rows = plain(Command::AccountDelete, 200);
    let (workspace, job) = workspace_of(Command::AccountDelete, false, &rows);
    workspace.faults(&["account_delete:item=70402:0.3"]);
    workspace.run(&job).expect(3);
    let failed = workspace.results("job").iter().filter(|row| row.outcome == "failed").count();
    assert!(failed > 20);
    verify(&workspace, &[], 0);
    agrees_with_the_tables(&workspace, Command::AccountDelete, false);
    let report = verify(&workspace, &["--outcome", "failed"], 3);
    assert_eq!(report["verified"]["contradicted"], failed);
    assert_eq!(
        report["reasons"],
        json!([{"verified": "contradicted", "code": null, "reason": "the account exists",
        "rows": failed}])
    );
    workspace.imbulk(&["verify", "job", "--outcome", "rejected"]).expect(2).says("only these rows were sent");
    workspace.imbulk(&["verify", "job", "--outcome", "in_doubt"]).expect(0).says("no row");
}

#[test]
fn a_verification_needs_a_run_that_was_sent_to_a_server_which_is_still_there() {
    let (mut workspace, job) = workspace_of(Command::AccountDelete, false, &plain(Command::AccountDelete, 5));
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.imbulk(&["verify", "job"]).expect(2).says("nothing of run");
    workspace.run(&job).expect(0);
    workspace.set_env("IMBULK_SDKAPPID", "1400000009");
    workspace.imbulk(&["verify", "job"]).expect(2).says("IMBULK_SDKAPPID is 1400000009");
    workspace.unset_env("IMBULK_SDKAPPID");
    workspace.set_env("IMBULK_ENDPOINT", "https://console.tim.qq.com");
    workspace.imbulk(&["verify", "job"]).expect(2).says("unset IMBULK_ENDPOINT");
    workspace.unset_env("IMBULK_ENDPOINT");
    workspace.imbulk(&["run", &job, "--sandbox", "--again"]).expect(0);
    workspace.imbulk(&["verify", "job", "--target", "sandbox"]).expect(2).says("has ended");
    // The job file is not needed.
    std::fs::remove_file(workspace.path(&job)).unwrap();
    std::fs::remove_file(workspace.path("job.csv")).unwrap();
    workspace.imbulk(&["verify", "job", "--target", "loopback"]).expect(0).says("5 rows");
}
