//! `guard.unless_online`: accounts that are online seconds before their deletion are left out.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use imbulk_sandbox::{CallRecord, Command, World};

use imbulk_testkit::rows::{ResultRow, plain, tally};
use imbulk_testkit::{JobFile, PATIENCE, Workspace, WorkspaceSetup};

const DELETE: Command = Command::AccountDelete;
const ASK: Command = Command::QueryOnlineStatus;
/// The maximum time between a check and its deletion, in nanoseconds of the journal's clock.
const MAX_AGE: u64 = 5_000_000_000;

fn job(rows: usize) -> JobFile {
    let job = JobFile::new("job", DELETE).rows(&plain(DELETE, rows)).with("guard", "unless_online", true);
    job.with("retry", "max_attempts", 3).with("retry", "base_delay", "\"1ms\"").with("stop", "failed_share", 1.0)
}

fn workspace(rows: usize, world: fn() -> World) -> (Workspace, String, Vec<String>) {
    let (workspace, job) = job(rows).on(WorkspaceSetup { world, ..WorkspaceSetup::default() });
    (workspace, job, plain(DELETE, rows).into_iter().map(|row| row.account).collect())
}

fn all_exist() -> World {
    World::open()
}

/// Each account that a call could delete was offline in an answer to a check at most 5 s before.
#[track_caller]
fn every_deletion_was_checked(workspace: &Workspace) {
    let mut journal = workspace.journal();
    journal.sort_by_key(|call| call.arrived);
    let mut checked: HashMap<String, (u64, String)> = HashMap::new();
    for call in &journal {
        if call.command == ASK {
            checked.extend(call.found.iter().map(|(id, status)| (id.clone(), (call.arrived, status.clone()))));
        } else if call.command == DELETE {
            call.items.iter().for_each(|id| is_fresh(call, id, checked.get(id)));
        }
    }
}

fn is_fresh(call: &CallRecord, id: &str, checked: Option<&(u64, String)>) {
    let (at, status) = checked.unwrap_or_else(|| panic!("{id} was not checked"));
    assert_eq!(status, "Offline", "{id}");
    assert!(call.arrived - at <= MAX_AGE, "{id} was checked {} ns before", call.arrived - at);
}

fn by_account(rows: &[ResultRow]) -> BTreeMap<&str, &ResultRow> {
    rows.iter().map(|row| (row.account.as_str(), row)).collect()
}

#[test]
fn a_canary_of_accounts_that_are_online_takes_others_before_the_rest_is_sent() {
    let rows = plain(DELETE, 500);
    let job = job(500).with("guard", "canary", 100).with("stop", "failed_share", 0.5);
    let (workspace, job) = job.on(WorkspaceSetup { world: all_exist, ..WorkspaceSetup::default() });
    workspace.set_online(rows[..100].iter().map(|row| row.account.as_str()), true);
    workspace.faults(&["account_delete:item=70402:1"]);
    workspace.run(&job).expect(4).says("guard.canary: of the first 100 items 100 failed");
    let results = workspace.results("job");
    let tally = tally(&results);
    assert_eq!([tally["protected"], tally["failed"], tally["pending"]], [100, 100, 300]);
}

#[test]
fn accounts_that_are_online_are_protected_and_the_plan_says_what_the_checks_cost() {
    let (workspace, job, ids) = workspace(1_050, all_exist);
    let online: Vec<&str> = ids.iter().step_by(21).map(String::as_str).collect();
    workspace.set_online(online.iter().copied(), true);
    let plan = workspace.imbulk(&["plan", &job, "--json"]).expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let plan = if plan.is_array() { plan[0].clone() } else { plan };
    let planned = &plan["preparations"];
    assert_eq!((&planned[0]["command"], &planned[0]["calls"]), (&"query_online_status".into(), &11.into()), "{plan:#}");
    workspace.imbulk(&["plan", &job]).expect(0).says("11 calls with query_online_status, without retries");
    workspace.run(&job).expect(0);
    let rows = workspace.results("job");
    let rows = by_account(&rows);
    for id in &ids {
        let (row, is_online) = (rows[id.as_str()], online.contains(&id.as_str()));
        assert_eq!(row.outcome, if is_online { "protected" } else { "succeeded" }, "{row:?}");
        assert_eq!(workspace.world(|world| world.account_exists(id)), is_online, "{row:?}");
        assert_eq!(row.reason.contains("query_online_status said Online"), is_online, "{row:?}");
    }
    every_deletion_was_checked(&workspace);
    assert_eq!(workspace.report().calls, plan["calls_left"].as_u64().expect("a number"));
}

#[test]
fn accounts_that_come_online_during_the_run_are_not_deleted_once_a_check_has_seen_them() {
    let (workspace, job, ids) = workspace(20_000, all_exist);
    let mut running = workspace.start_run(&job);
    let mut late: Vec<&str> = ids.iter().step_by(20).map(String::as_str).collect();
    let begun = Instant::now();
    // Some of them come online before their check, some after it, some after their deletion.
    while running.is_alive() && !late.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} did not come online", late.len());
        let next = late.split_off(late.len().saturating_sub(20));
        workspace.set_online(next, true);
        workspace.nap();
    }
    let output = running.wait();
    assert_eq!(output.code, 0, "{output:#?}");
    let rows = workspace.results("job");
    let counts = tally(&rows);
    assert!(counts["protected"] > 0 && counts["succeeded"] > 10_000, "{counts:?}");
    for row in rows.iter().filter(|row| row.outcome == "protected") {
        assert!(workspace.world(|world| world.account_exists(&row.account)), "{row:?}");
    }
    every_deletion_was_checked(&workspace);
}

#[test]
fn an_account_whose_check_fails_is_not_deleted() {
    let (workspace, job, ids) = workspace(2_000, || World::open_with_missing(7, 0.1, 0.0));
    workspace.set_online(ids.iter().step_by(17).map(String::as_str), true);
    workspace.faults(&[
        "query_online_status:missing:0.05",
        "query_online_status:item=30006:0.05",
        "query_online_status:item=40005:0.02",
        "query_online_status:shuffle:0.3",
        "query_online_status:foreign:0.3",
        "query_online_status:http=502:0.1",
        "query_online_status:reset-after:0.1",
        "query_online_status:code=60007:0.1",
        "account_delete:partial=30006:0.05",
        "account_delete:code=60007:0.1",
    ]);
    let output = workspace.run(&job);
    assert_eq!(output.code, 3, "{output:#?}");
    every_deletion_was_checked(&workspace);
    let rows = workspace.results("job");
    for row in &rows {
        let gone = workspace.world(|world| !world.account_exists(&row.account));
        let right = match row.outcome.as_str() {
            "succeeded" => gone,
            "already_done" => gone && !workspace.pristine.account_exists(&row.account),
            "protected" => !gone,
            "failed" => !gone || !workspace.pristine.account_exists(&row.account),
            _ => false,
        };
        assert!(right, "{row:?} gone: {gone}");
    }
    let unknown = rows.iter().filter(|row| row.reason.contains("whether the account is online is not known")).count();
    let counts = tally(&rows);
    assert!(unknown > 20 && counts["protected"] > 50 && counts["already_done"] > 50, "{unknown} {counts:?}");
}

#[test]
fn if_no_check_is_answered_nothing_is_deleted() {
    let (workspace, job, _) = workspace(300, all_exist);
    workspace.faults(&["query_online_status:code=90009:1"]);
    let output = workspace.run(&job);
    assert!([3, 4].contains(&output.code), "{output:#?}");
    assert_eq!(workspace.report().commands[&DELETE].calls, 0);
}

#[test]
fn a_run_killed_during_a_check_asks_again_and_has_no_doubt() {
    let (workspace, job, ids) = workspace(3_000, || World::open_with_missing(7, 0.2, 0.0));
    workspace.faults(&["query_online_status:silence:1"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(5, &mut running);
    running.kill();
    assert_eq!(workspace.report().commands[&DELETE].calls, 0);
    workspace.faults(&[]);
    workspace.set_online([ids[0].as_str()], true);
    workspace.run(&job).expect(0);
    every_deletion_was_checked(&workspace);
    let rows = workspace.results("job");
    for row in &rows {
        let existed = workspace.pristine.account_exists(&row.account);
        let wanted = match (existed, row.account == ids[0]) {
            (true, true) => "protected",
            (true, false) => "succeeded",
            (false, _) => "already_done",
        };
        assert_eq!(row.outcome, wanted, "{row:?}");
    }
}

#[test]
fn kills_at_any_moment_delete_nobody_without_a_fresh_check() {
    let (workspace, job, ids) = workspace(6_000, all_exist);
    for calls in [7, 20, 45, 70] {
        let mut running = workspace.start_run(&job);
        workspace.until_calls(calls, &mut running);
        running.kill();
        let online = ids.iter().skip(usize::try_from(calls).expect("few")).step_by(41);
        workspace.set_online(online.map(String::as_str), true);
    }
    let output = workspace.run(&job);
    assert!([0, 3].contains(&output.code), "{output:#?}");
    every_deletion_was_checked(&workspace);
    let rows = workspace.results("job");
    for row in &rows {
        let gone = workspace.world(|world| !world.account_exists(&row.account));
        assert_eq!(gone, matches!(row.outcome.as_str(), "succeeded" | "already_done"), "{row:?}");
    }
}

#[test]
fn checks_and_deletions_together_keep_the_cap_of_the_app() {
    let rows = 3_000;
    let job = job(rows).with("limits", "app_calls_per_second", 40);
    let (workspace, job) = job.on(WorkspaceSetup {
        caps: imbulk_sandbox::Caps::default().with_app(40),
        world: all_exist,
        latency: Duration::from_millis(5),
        ..WorkspaceSetup::default()
    });
    workspace.run(&job).expect(0);
    let report = workspace.report();
    assert_eq!((report.calls, report.commands[&ASK].calls, report.commands[&DELETE].calls), (60, 30, 30));
    every_deletion_was_checked(&workspace);
}

#[test]
fn only_operations_that_delete_accounts_take_the_key() {
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&plain(Command::FriendDeleteAll, 3));
    let (workspace, job) = job.with("guard", "unless_online", true).in_a_workspace();
    let refused = workspace.imbulk(&["plan", &job]).expect(2);
    assert!(refused.stderr.contains("guard.unless_online: `friend_delete_all` deletes no accounts"), "{refused:#?}");
}
