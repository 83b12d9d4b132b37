//! Guards that refuse a run, and guards that halt it after its first calls.

use imbulk_sandbox::{Command, World};
use serde_json::json;

use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{InputRow, csv, operations, plain, tally};
use imbulk_testkit::{ADMIN, APP, JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const DELETE: Command = Command::AccountDelete;

fn delete() -> JobFile {
    JobFile::new("job", DELETE)
}

/// A workspace with these rows as input.
fn workspace(asked: &[InputRow]) -> Workspace {
    workspace_with(asked, WorkspaceSetup::default())
}

fn workspace_with(asked: &[InputRow], setup: WorkspaceSetup) -> Workspace {
    delete().rows(asked).on(setup).0
}

/// A sandbox in which all accounts are missing.
fn of_another_app() -> WorkspaceSetup {
    WorkspaceSetup { world: || World::open_with_missing(7, 1.0, 1.0), ..WorkspaceSetup::default() }
}

/// Both plan and run refuse with exit code 4, and nothing is sent.
#[track_caller]
fn refused(workspace: &Workspace, job: &str, guard: &str) -> ProgramOutput {
    workspace.imbulk(&["plan", job]).expect(4).says(guard);
    workspace.imbulk(&["plan", job, "--json"]).expect(4).says(guard);
    let output = workspace.run(job).expect(4).says(guard);
    assert_eq!(workspace.report().calls, 0);
    output
}

#[test]
fn fewer_items_than_min_items_are_not_sent() {
    let workspace = workspace(&plain(DELETE, 9));
    let output = refused(&workspace, &delete().with("guard", "min_items", 10).write(&workspace), "guard.min_items");
    assert!(output.stderr.contains("job.toml: guard.min_items: 9 items to send, fewer than 10"), "{output:#?}");
    let job = delete().with("guard", "min_items", 9).write(&workspace);
    workspace.imbulk(&["plan", &job]).expect(0).says("min_items      9 items, at least 9");
    workspace.run(&job).expect(0);
}

#[test]
fn more_rejected_rows_than_a_tenth_are_not_sent_and_the_first_are_listed() {
    let mut asked = plain(DELETE, 17);
    asked.push(InputRow::account("").invalid());
    asked.push(InputRow::account("tab\there").invalid());
    let workspace = workspace(&asked);
    let output =
        refused(&workspace, &delete().without("guard", "max_rejected").write(&workspace), "guard.max_rejected");
    for said in
        ["2 of 19 rows are rejected (10.5 %), more than 10 %", "job.csv:19: ", "job.csv:20: ", "max_rejected = 1"]
    {
        assert!(output.stderr.contains(said), "no {said:?}: {output:#?}");
    }
    workspace.run(&delete().with("guard", "max_rejected", 1).write(&workspace)).expect(3);
    assert_eq!(tally(&workspace.results("job"))["rejected"], 2);
}

#[test]
fn an_input_without_rows_has_no_rejected_ones() {
    let workspace = workspace(&[]);
    refused(&workspace, &delete().with("guard", "min_items", 1).write(&workspace), "guard.min_items");
    let job = delete().with("guard", "max_rejected", 0).write(&workspace);
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.run(&job).expect(0);
}

#[test]
fn a_canary_that_fails_halts_the_run_after_its_own_calls_and_is_checked_again_the_next_time() {
    let asked = plain(DELETE, 2000);
    let workspace = workspace(&asked);
    workspace.faults(&["account_delete:item=70402:1"]);
    let job = delete().with("guard", "canary", 150).write(&workspace);
    workspace.run(&job).expect(4).says("guard.canary: of the first 200 items 200 failed");
    assert_eq!(workspace.report().calls, 2);
    let results = workspace.results("job");
    let early = ResultsCheck::clean(&workspace, DELETE, &asked, &results);
    ResultsCheck { completion: Completion::Partial, refusals: &[70402], ..early }.check(&workspace);
    workspace.run(&job).expect(4).says("guard.canary");
    assert_eq!(workspace.report().calls, 4);
    workspace.faults(&[]);
    workspace.run(&job).expect(3);
    assert_eq!(workspace.report().calls, 20);
    assert_eq!(tally(&workspace.results("job"))["failed"], 400);
}

#[test]
fn a_canary_larger_than_the_input_changes_nothing() {
    let workspace = workspace(&plain(DELETE, 90));
    workspace.faults(&["account_delete:item=70402:1"]);
    workspace.run(&delete().with("guard", "canary", 100).write(&workspace)).expect(3);
    assert_eq!(tally(&workspace.results("job"))["failed"], 90);
}

#[test]
fn each_job_of_several_has_its_own_canary() {
    let workspace = workspace(&plain(DELETE, 1000));
    let pairs = plain(Command::FriendDelete, 1000);
    workspace.write("pairs.csv", csv(Command::FriendDelete, &pairs));
    workspace.faults(&["friend_delete:item=31707:0", "friend_delete:item=30011:1"]);
    let jobs = [
        delete().with("guard", "canary", 100).write(&workspace),
        JobFile::new("pairs", Command::FriendDelete).with("guard", "canary", 30).write(&workspace),
    ];
    workspace.imbulk(&["run", &jobs[0], &jobs[1], "--execute", "--yes"]).expect(4).says("pairs: guard.canary: ");
    // Three pairs per request.
    assert_eq!(tally(&workspace.results("pairs"))["failed"], 30);
}

#[test]
fn a_run_halts_once_too_much_was_already_done() {
    let asked = plain(DELETE, 3000);
    let workspace = workspace_with(&asked, of_another_app());
    let job = delete().with("guard", "max_already_done", 0.5).with("limits", "max_in_flight", 1);
    let job = job.without("stop", "after_items").write(&workspace);
    workspace.run(&job).expect(4).says("guard.max_already_done: 1000 of 1000 items of this session were already done");
    assert_eq!(workspace.report().calls, 10);
    assert_eq!(tally(&workspace.results("job"))["pending"], 2000);
}

#[test]
fn the_canary_checks_items_that_were_already_done_as_well() {
    let workspace = workspace_with(&plain(DELETE, 3000), of_another_app());
    let job = delete().with("guard", "max_already_done", 0.5).with("guard", "canary", 100);
    workspace
        .run(&job.write(&workspace))
        .expect(4)
        .says("guard.canary: of the first 100 items 0 failed and 100 were already done");
    assert_eq!(workspace.report().calls, 1);
}

#[test]
fn a_run_in_which_nothing_existed_says_so() {
    let asked = plain(DELETE, 20);
    let workspace = workspace_with(&asked, of_another_app());
    workspace
        .run(&delete().write(&workspace))
        .expect(0)
        .says("none of the 20 accounts existed: is this the right app and column?");
}

#[test]
fn half_of_the_items_failing_blows_the_fuse_by_default() {
    let workspace = workspace(&plain(DELETE, 3000));
    workspace.faults(&["account_delete:item=70402:1"]);
    let job = delete().without("stop", "after_items").with("limits", "max_in_flight", 1).write(&workspace);
    workspace.run(&job).expect(4).says("fuse");
    assert_eq!(workspace.report().calls, 10);
}

#[test]
fn on_a_real_app_a_deletion_needs_a_protected_list_or_says_that_nobody_is_protected() {
    for operation in operations() {
        let workspace = Workspace::new();
        workspace.write("job.csv", csv(operation, &plain(operation, 2)));
        workspace.write("keep.txt", "vip");
        let real = || JobFile::new("job", operation).with("app", "endpoint", "\"https://chat.invalid\"");
        let needed = matches!(operation, Command::AccountDelete | Command::FriendDeleteAll);
        let job = real().write(&workspace);
        let plan = workspace.imbulk(&["plan", &job]).expect(if needed { 2 } else { 0 });
        if needed {
            for hint in ["job.toml: guard.protected: ", "protected = \"never-delete.txt\"", "protected = []"] {
                assert!(plan.stderr.contains(hint), "no {hint:?}: {plan:#?}");
            }
            workspace.run(&job).expect(2).says("guard.protected");
        }
        for protected in ["[]", "\"keep.txt\""] {
            let job = real().with("guard", "protected", protected).write(&workspace);
            workspace.imbulk(&["plan", &job]).expect(0);
        }
        // Neither the sandbox nor a server on this machine has data that anybody needs.
        workspace.imbulk(&["run", &real().write(&workspace), "--sandbox"]);
        workspace.run(&JobFile::new("job", operation).write(&workspace));
        assert!(workspace.report().calls > 0, "{operation:?}");
    }
}

#[test]
fn where_the_environment_names_another_admin_both_are_protected_in_every_job() {
    let mut workspace = Workspace::new();
    let rows = ["boss", ADMIN, "admin2", "user"].map(InputRow::account);
    let jobs = ["one", "two"]
        .map(|name| JobFile::new(name, DELETE).rows(&rows).with("app", "identifier", "\"boss\"").write(&workspace));
    let outcomes = |workspace: &Workspace, name: &str, target: &str| {
        let results = workspace.results_with(&["results", name, "--target", target]);
        let protected = results.into_iter().filter(|row| row.outcome == "protected");
        protected.map(|row| row.account).collect::<Vec<_>>()
    };
    workspace.set_env("IMBULK_IDENTIFIER", ADMIN);
    workspace.imbulk(&["run", &jobs[0], &jobs[1], "--execute", "--yes"]).expect(0);
    for name in ["one", "two"] {
        assert_eq!(outcomes(&workspace, name, &format!("{APP} on loopback")), ["boss", ADMIN], "{name}");
    }
    workspace.set_env("IMBULK_IDENTIFIER", "admin2");
    workspace.imbulk(&["run", &jobs[0], &jobs[1], "--sandbox"]).expect(0);
    for name in ["one", "two"] {
        assert_eq!(outcomes(&workspace, name, "sandbox"), ["boss", "admin2"], "{name} in the sandbox");
    }
}

/// A plan that was made with one admin protects both after another one signs.
#[test]
fn a_plan_is_brought_up_to_date_when_another_admin_signs() {
    let (mut workspace, job) = delete()
        .rows(&["boss", ADMIN, "user"].map(InputRow::account))
        .with("app", "identifier", "\"boss\"")
        .in_a_workspace();
    workspace.imbulk(&["plan", &job]).expect(0).says("protected               1");
    workspace.set_env("IMBULK_IDENTIFIER", ADMIN);
    workspace.run(&job).expect(0);
    assert_eq!(tally(&workspace.results("job"))["protected"], 2);
}

#[test]
fn a_canary_counts_items_of_an_earlier_session_and_not_their_rows() {
    // Each item has two rows. The first session ends 20 items, which are 40 rows; the canary needs 30 items.
    let update = Command::FriendUpdate;
    let rows_of = |owner: usize| {
        let pair = InputRow::pair(&format!("owner{owner:03}"), "friend");
        [pair.clone().field("Tag_SNS_IM_Remark", json!("r")), pair.field("Tag_SNS_IM_Group", json!("g"))]
    };
    let asked: Vec<InputRow> = (0..120).flat_map(rows_of).collect();
    let setup = WorkspaceSetup { world: || World::open_with_missing(7, 0.0, 0.0), ..WorkspaceSetup::default() };
    let job = JobFile::new("job", update).rows(&asked).with("guard", "canary", 30).with("stop", "failed_share", 0.5);
    let (workspace, job) = job.with("limits", "max_in_flight", 1).on(setup);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "20"]).expect(5);
    assert_eq!(tally(&workspace.results("job")), [("succeeded", 40), ("pending", 200)].into());
    workspace.faults(&["friend_update:item=30003:1"]);
    workspace.run(&job).expect(4).says("canary");
    let results = workspace.results("job");
    assert_eq!(tally(&results), [("succeeded", 40), ("failed", 60), ("pending", 140)].into());
}
