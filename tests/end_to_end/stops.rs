//! Signals: calls in flight end, and the next run continues. Kills are in tests/chaos/kills/mod.rs.

use imbulk_sandbox::{Caps, Command};
use rustix::process::Signal;

use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{PROTECTED, plain, tally};
use imbulk_testkit::{JobFile, WorkspaceSetup};

const CAP: u32 = 150;
const IN_FLIGHT: u64 = 12;

/// Calls take 10 to 20 ms, so that some are in flight when the signal arrives.
fn slow(operation: Command) -> WorkspaceSetup {
    let caps = Caps::default().with_app(CAP).with(operation, CAP);
    WorkspaceSetup { caps, latency: std::time::Duration::from_millis(10), ..WorkspaceSetup::default() }
}

fn job(operation: Command) -> JobFile {
    JobFile::new("job", operation)
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("limits", "max_in_flight", IN_FLIGHT)
        .with("retry", "max_attempts", 40)
}

#[test]
fn a_signal_lets_calls_in_flight_end_and_the_next_run_continues() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::HUP, "SIGHUP")] {
        let asked = plain(Command::FriendDeleteAll, 200);
        let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
        let (workspace, job) = job.on(slow(Command::FriendDeleteAll));
        let mut running = workspace.start_run(&job);
        workspace.until_calls(20, &mut running);
        running.signal(signal);
        running.wait().expect(5).says(name);
        let results = workspace.results("job");
        let early = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
        ResultsCheck { completion: Completion::Partial, ..early }.check(&workspace);
        assert!(tally(&results)["pending"] > 100, "{:?}", tally(&results));
        workspace.run(&job).expect(0);
        let results = workspace.results("job");
        ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results).check(&workspace);
    }
}

#[test]
fn a_signal_while_a_run_begins_is_stored_as_the_reason_of_its_end() {
    let asked = plain(Command::FriendDeleteAll, 200);
    let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
    let (mut workspace, job) = job.on(slow(Command::FriendDeleteAll));
    workspace.set_env("IMBULK_FAIL_POINT", "BeforeBegin:1:SIGTERM");
    workspace.run(&job).expect(5).says("SIGTERM");
    workspace.unset_env("IMBULK_FAIL_POINT");
    let status = workspace.imbulk(&["status", "job", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!((&status["state"], &status["stopped"]), (&"stopped".into(), &"by the signal SIGTERM".into()));
}

#[test]
fn a_signal_ends_a_plan_that_loads_with_exit_code_5_and_nothing_is_planned() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (workspace, job) = job(Command::FriendDeleteAll).rows(&[]).protecting(PROTECTED).in_a_workspace();
        let input = workspace.path("job.csv");
        std::fs::remove_file(&input).expect("the input of the job");
        // Without a writer, the plan waits for its input until the signal.
        assert!(std::process::Command::new("mkfifo").arg(input).status().expect("mkfifo is there").success());
        let running = workspace.start(&["plan", &job], b"");
        while !workspace.path("imbulk.db").exists() {
            workspace.nap();
        }
        running.signal(signal);
        running.wait().expect(5).says("interrupted by the signal").says("run the command again");
        assert!(workspace.imbulk(&["status"]).stdout.contains("no runs"));
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let asked = plain(Command::FriendDeleteAll, 50);
    let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
    let (workspace, job) = job.in_a_workspace();
    workspace.faults(&["any:silence-after:#5"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(5, &mut running);
    // The call without a response delays the stop by the first signal. Two signals at one moment count as one.
    while running.is_alive() {
        running.signal(Signal::TERM);
        workspace.nap();
    }
    running.wait().expect(5).says("interrupted twice");
    workspace.faults(&[]);
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { resends: 50, ..case }.check(&workspace);
}

#[test]
fn a_second_runner_names_the_first_ones_pid_and_status_works_beside_it() {
    let asked = plain(Command::FriendDeleteAll, 300);
    let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
    let (workspace, job) = job.on(slow(Command::FriendDeleteAll));
    let mut running = workspace.start_run(&job);
    workspace.until_calls(10, &mut running);
    workspace.run(&job).expect(6).says(&running.pid().to_string());
    let status = workspace.imbulk(&["status", "job", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(status["state"], "sending", "{status:#}");
    let outcomes = status["outcomes"].as_object().expect("counts by name");
    let sum: u64 = outcomes.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(sum, 300, "{status:#}");
    workspace.imbulk(&["status"]).expect(0);
    assert_eq!(workspace.results("job").len(), 300);
    running.wait().expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results).check(&workspace);
}
