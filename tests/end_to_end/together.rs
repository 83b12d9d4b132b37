//! Several jobs at the same time, in one process and in two.

use imbulk_sandbox::{Caps, Command, World};
use rustix::process::Signal;
use serde_json::json;

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, plain, tally};
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

const CAP: u32 = 100;

fn capped() -> WorkspaceSetup {
    WorkspaceSetup {
        caps: Caps::default().with_app(CAP),
        world: World::open,
        latency: std::time::Duration::from_millis(5),
        ..WorkspaceSetup::default()
    }
}

fn at_full_speed(name: &str, operation: Command) -> JobFile {
    JobFile::new(name, operation).with("limits", "calls_per_second", 200).with("limits", "app_calls_per_second", CAP)
}

#[test]
fn two_jobs_of_one_run_share_accounts_and_the_cap_of_the_app() {
    let workspace = Workspace::with(capped());
    // Both jobs write the friend lists of the same few accounts.
    let pairs = |of: &str| {
        (0..600).map(|n| InputRow::pair(&format!("user_{}", n / 5), &format!("{of}_{n}"))).collect::<Vec<_>>()
    };
    let deleted = pairs("former");
    let updated: Vec<InputRow> =
        pairs("present").into_iter().map(|row| row.field("Tag_SNS_IM_Remark", json!("still here"))).collect();
    let delete = at_full_speed("delete", Command::FriendDelete).rows(&deleted).both().write(&workspace);
    let update = at_full_speed("update", Command::FriendUpdate).rows(&updated).write(&workspace);
    workspace.imbulk(&["run", &delete, &update, "--execute", "--yes"]).expect(0);
    for (job, operation, asked) in
        [("delete", Command::FriendDelete, &deleted), ("update", Command::FriendUpdate, &updated)]
    {
        let results = workspace.results(job);
        let case = ResultsCheck::clean(&workspace, operation, asked, &results);
        ResultsCheck { both: operation == Command::FriendDelete, others: 600, ..case }.check(&workspace);
    }
    assert_eq!(workspace.report().throttled + workspace.report().throttled_app, 0);
}

#[test]
fn two_processes_with_a_queue_each_share_the_cap_of_the_app() {
    let workspace = Workspace::with(capped());
    let asked = plain(Command::FriendDeleteAll, 300);
    let (one, other) = asked.split_at(150);
    let mut running = Vec::new();
    for (name, rows) in [("one", one), ("other", other)] {
        let job = at_full_speed(name, Command::FriendDeleteAll).rows(rows).write(&workspace);
        let queue = format!("{name}.db");
        running.push(workspace.start(&["--queue", &queue, "run", &job, "--execute", "--yes"], b""));
    }
    for process in running {
        process.wait().expect(0);
    }
    for (name, rows) in [("one", one), ("other", other)] {
        let results = workspace.results_with(&["--queue", &format!("{name}.db"), "results", name]);
        let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, rows, &results);
        ResultsCheck { others: 150, ..case }.check(&workspace);
    }
    assert_eq!(workspace.report().throttled + workspace.report().throttled_app, 0);
}

#[test]
fn a_job_with_a_higher_priority_is_sent_first_and_plan_shows_it_first() {
    let workspace = Workspace::with(capped());
    let pairs = |of: &str| (0..60).map(|n| InputRow::pair(&format!("{of}_{n}"), "friend")).collect::<Vec<_>>();
    let job = |name: &str, operation, rows: &[InputRow], priority: u32| {
        at_full_speed(name, operation).with("", "priority", priority).rows(rows)
    };
    let later = job("later", Command::FriendDelete, &pairs("l"), 1).write(&workspace);
    let urgent: Vec<InputRow> =
        pairs("u").into_iter().map(|row| row.field("Tag_SNS_IM_Remark", json!("first"))).collect();
    let first = job("first", Command::FriendUpdate, &urgent, 2).write(&workspace);
    let plan = workspace.imbulk(&["plan", &later, &first]).expect(0).stdout;
    let place = |name: &str| plan.find(&format!("job            {name}")).expect("both are planned");
    assert!(place("first") < place("later"), "{plan}");
    workspace.imbulk(&["run", &later, &first, "--execute", "--yes"]).expect(0);
    let journal = workspace.journal();
    let positions = |operation| journal.iter().enumerate().filter(move |(_, call)| call.command == operation);
    let last_urgent = positions(Command::FriendUpdate).map(|(at, _)| at).max().expect("it was sent");
    let early = positions(Command::FriendDelete).filter(|(at, _)| *at < last_urgent).count();
    // The last calls of the first job may arrive late.
    assert!(early <= 5, "{early} calls of the later job came before the last one of the first job");
    assert_eq!(positions(Command::FriendDelete).count(), 60);
}

/// A job that its fuse halts, and one that shares accounts with it and does not fail.
fn failing_and_working(workspace: &Workspace) -> (String, String, Vec<InputRow>) {
    let pairs = |of: &str| {
        (0..400).map(|n| InputRow::pair(&format!("user_{}", n / 4), &format!("{of}_{n}"))).collect::<Vec<_>>()
    };
    let failing = pairs("former");
    let failing = at_full_speed("failing", Command::FriendDelete)
        .rows(&failing)
        .both()
        .with("stop", "after_items", 20)
        .with("limits", "max_in_flight", 4)
        .with("", "priority", 1);
    let with_remark = |row: InputRow| row.field("Tag_SNS_IM_Remark", json!("still here"));
    let working: Vec<InputRow> = pairs("present").into_iter().map(with_remark).collect();
    let working_job = at_full_speed("working", Command::FriendUpdate).rows(&working);
    (failing.write(workspace), working_job.write(workspace), working)
}

#[test]
fn a_job_that_its_fuse_halts_leaves_the_other_job_to_finish_all_rows() {
    let workspace = Workspace::with(capped());
    let (failing, working, asked) = failing_and_working(&workspace);
    workspace.faults(&["friend_delete:item=30011:1"]);
    let ran = workspace.imbulk(&["-v", "run", &failing, &working, "--execute", "--yes", "--json"]).expect(4);
    let ran = ran.says("stopping: failing: stop.failed_share (the fuse)").says("the other jobs go on");
    let summaries: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let states: Vec<_> = summaries.as_array().expect("a list").iter().map(|run| (&run["job"], &run["state"])).collect();
    assert_eq!(states, [(&json!("failing"), &json!("halted")), (&json!("working"), &json!("finished"))]);
    assert!(summaries[0]["stopped"].as_str().expect("a reason").contains("fuse"), "{summaries}");
    let results = workspace.results("working");
    let case = ResultsCheck::clean(&workspace, Command::FriendUpdate, &asked, &results);
    let failed = tally(&workspace.results("failing"))["failed"];
    assert!((20..40).contains(&failed), "{failed} items of the halted job");
    ResultsCheck { others: failed, ..case }.check(&workspace);
    // Only the halted job waits for a decision.
    workspace.write("failing.csv", "From_Account,To_Account\nanother,friend\n");
    workspace.imbulk(&["run", &failing, &working, "--execute", "--yes"]).expect(4).says("nothing is sent");
}

#[test]
fn a_code_that_concerns_the_whole_app_stops_all_jobs() {
    let workspace = Workspace::with(capped());
    let (failing, working, _) = failing_and_working(&workspace);
    workspace.faults(&["friend_delete:code=60010:#1"]);
    workspace.imbulk(&["run", &failing, &working, "--execute", "--yes"]).expect(4).says("60010");
    for job in ["failing", "working"] {
        let status: serde_json::Value =
            serde_json::from_str(&workspace.imbulk(&["status", job, "--json"]).stdout).expect("JSON");
        assert_eq!(status["state"], "halted", "{job}");
    }
}

#[test]
fn a_job_that_is_refused_before_it_sends_leaves_the_others_to_be_sent() {
    for (broken, code) in [("From_Account,To_Account\n\"unfinished", 2), ("From_Account,To_Account\n", 4)] {
        let workspace = Workspace::with(capped());
        let (_, working, asked) = failing_and_working(&workspace);
        let refused =
            at_full_speed("refused", Command::FriendDelete).both().with("guard", "min_items", 1).write(&workspace);
        workspace.write("refused.csv", broken);
        let ran = workspace.imbulk(&["run", &refused, &working, "--execute", "--yes"]).expect(code);
        ran.says("refused: nothing is sent; the other jobs go on");
        let results = workspace.results("working");
        ResultsCheck::clean(&workspace, Command::FriendUpdate, &asked, &results).check(&workspace);
    }
}

#[test]
fn a_halted_job_shows_its_reason_while_the_other_job_is_still_sent() {
    let workspace = Workspace::with(capped());
    let (failing, _, asked) = failing_and_working(&workspace);
    let slow = at_full_speed("working", Command::FriendUpdate).with("limits", "calls_per_second", 1).rows(&asked);
    workspace.faults(&["friend_delete:item=30011:1"]);
    let mut running = workspace.start(&["run", &failing, &slow.write(&workspace), "--execute", "--yes"], b"");
    let status = |job: &str| -> serde_json::Value {
        serde_json::from_str(&workspace.imbulk(&["status", job, "--json"]).stdout).unwrap_or_default()
    };
    let halted = loop {
        let halted = status("failing");
        if halted["state"] == "halted" {
            break halted;
        }
        assert!(running.is_alive(), "the session ended without it");
        workspace.nap();
    };
    assert!(halted["stopped"].as_str().expect("a reason").contains("the fuse"), "{halted}");
    assert_eq!(status("working")["state"], "sending");
    running.signal(Signal::TERM);
    running.wait().expect(4);
}
