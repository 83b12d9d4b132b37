//! Commands of several rounds and several jobs: each job has its own exit code, and what is not sent is said.

use std::process::Command as Process;

use imbulk_sandbox::Command;
use rustix::process::Signal;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, tally};
use imbulk_testkit::{JobFile, Workspace};

use crate::halts::zone_in_which_it_is;

const OPERATION: Command = Command::FriendDeleteAll;

fn accounts(of: &str, count: usize) -> Vec<InputRow> {
    (0..count).map(|n| InputRow::account(&format!("{of}_{n}"))).collect()
}

/// A job with a metrics file, whose canary does not delay it.
fn job(name: &str, rows: usize) -> JobFile {
    let file = format!("\"{name}.prom\"");
    JobFile::new(name, OPERATION).rows(&accounts(name, rows)).with("report", "metrics", file)
}

/// A run with one request, which a kill leaves in flight.
fn killed(workspace: &Workspace, job: &str) {
    workspace.faults(&["any:silence-before:1"]);
    let mut running = workspace.start_run(job);
    workspace.until_calls(workspace.report().calls + 1, &mut running);
    running.kill();
    workspace.faults(&[]);
}

/// The exit code of a job, as its metrics show it.
fn exit_code(workspace: &Workspace, job: &str) -> String {
    let text = std::fs::read_to_string(workspace.path(&format!("{job}.prom"))).expect("a metrics file");
    let line = text.lines().find(|line| line.starts_with("imbulk_last_run_exit_code{")).expect("an exit code");
    line.rsplit(' ').next().expect("a value").to_owned()
}

fn received(workspace: &Workspace, account: &str) -> u32 {
    workspace.world(|world| world.list_counters(account).received)
}

#[test]
fn a_stop_while_the_older_run_ends_is_no_success_of_the_current_input() {
    let (workspace, night) = job("night", 1).in_a_workspace();
    killed(&workspace, &night);
    workspace.write("night.csv", csv(OPERATION, &accounts("new", 3)));
    workspace.faults(&["any:slow=3s:1"]);
    let calls = workspace.report().calls;
    let mut running = workspace.start_run(&night);
    workspace.until_calls(calls + 1, &mut running);
    running.signal(Signal::TERM);
    let stopped = running.wait().expect(5);
    stopped
        .says("night: the current input is not sent: by the signal SIGTERM")
        .says("the next `imbulk run` of the job");
    assert_eq!((exit_code(&workspace, "night"), received(&workspace, "new_0")), ("5".to_owned(), 0));
    workspace.faults(&[]);
    workspace.run(&night).expect(0);
    assert_eq!((exit_code(&workspace, "night"), received(&workspace, "new_0")), ("0".to_owned(), 1));
}

#[test]
fn a_job_of_which_the_limit_allows_nothing_is_stopped_and_named() {
    let (workspace, first) = job("first", 10).in_a_workspace();
    let second = job("second", 10).write(&workspace);
    let limited = workspace.imbulk(&["run", &first, &second, "--execute", "--yes", "--limit", "10"]).expect(5);
    limited.says("second: nothing is sent: --limit allows no more items");
    assert_eq!([exit_code(&workspace, "first"), exit_code(&workspace, "second")], ["0", "5"]);
    assert_eq!(received(&workspace, "second_0"), 0);
}

#[test]
fn a_limit_gets_over_a_kill_that_left_every_request_in_flight() {
    let (workspace, night) = job("night", 1).in_a_workspace();
    killed(&workspace, &night);
    let limited = |limit| workspace.imbulk(&["run", &night, "--execute", "--yes", "--limit", limit]);
    let calls = workspace.report().calls;
    limited("0").expect(5).says("night: nothing is sent: --limit allows no more items");
    assert_eq!(workspace.report().calls, calls);
    limited("1").expect(0);
    assert_eq!(tally(&workspace.results("night"))["succeeded"], 1);
}

#[test]
fn a_job_that_is_over_does_not_get_the_error_of_another() {
    let (workspace, good) = job("good", 3).in_a_workspace();
    let small = job("small", 1).write(&workspace);
    killed(&workspace, &small);
    // The older run of `small` has one row, and so has its new input, which the guard refuses in the second round.
    workspace.write("small.csv", csv(OPERATION, &accounts("other", 3)));
    let small = job("small", 3).with("guard", "max_items", 2).write(&workspace);
    let done = workspace.imbulk(&["run", &good, &small, "--execute", "--yes"]).expect(4);
    done.says("guard.max_items");
    assert_eq!([exit_code(&workspace, "good"), exit_code(&workspace, "small")], ["0", "4"]);
}

#[test]
fn a_job_that_is_finished_is_a_success_although_another_one_cannot_be_closed() {
    let (workspace, good) = job("good", 3).in_a_workspace();
    let damaged = job("damaged", 1).write(&workspace);
    workspace.faults(&["any:slow=3s:1"]);
    let command = ["run", damaged.as_str(), &good, "--execute", "--yes"];
    let mut running = workspace.start(&command, b"");
    workspace.until_calls(1, &mut running);
    let change = "import sqlite3, sys; queue = sqlite3.connect(sys.argv[1], timeout=60); queue.execute(\
                  \"update tally set rows = rows + 1 where outcome = 'failed' and run in \
                  (select id from run where job = 'damaged')\"); queue.commit()";
    let changed = Process::new("python3").args(["-c", change]).arg(workspace.path("imbulk.db")).status();
    assert!(changed.expect("python3").success());
    let done = running.wait().expect(1).says("the tally says");
    assert!(done.stdout.contains("good"), "{}", done.stdout);
    assert_eq!([exit_code(&workspace, "good"), exit_code(&workspace, "damaged")], ["0", "1"]);
}

#[test]
fn an_input_that_was_finished_before_is_named_also_after_an_older_run() {
    let (workspace, night) = job("night", 2).in_a_workspace();
    let status = || serde_json::from_str::<Value>(&workspace.imbulk(&["status", "--json", "night"]).expect(0).stdout);
    let latest = || status().expect("JSON")["run"].as_str().expect("an id").to_owned();
    workspace.faults(&["any:poison=70402/night_0:1"]);
    workspace.run(&night).expect(3);
    let older = latest();
    workspace.write("night.csv", csv(OPERATION, &accounts("new", 3)));
    workspace.faults(&[]);
    workspace.run(&night).expect(0);
    workspace.imbulk(&["retry", &older]).expect(0);
    workspace.run(&night).expect(0).says(&format!("night: this input is finished (run {}); nothing is sent", latest()));
    assert_eq!(received(&workspace, "new_2"), 1);
}

#[test]
fn a_job_whose_window_is_closed_does_not_get_the_exit_code_of_another() {
    let (mut workspace, halted) = job("halted", 3).with("guard", "max_items", 2).in_a_workspace();
    workspace.set_env("TZ", &zone_in_which_it_is(12 * 3600));
    let closed = job("closed", 3).with("stop", "window", "\"02:00-06:00\"").write(&workspace);
    workspace.imbulk(&["run", &halted, &closed, "--execute", "--yes"]).expect(4).says("closed: nothing is sent before");
    assert_eq!([exit_code(&workspace, "halted"), exit_code(&workspace, "closed")], ["4", "5"]);
}
