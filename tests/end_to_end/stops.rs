//! Signals: calls in flight end, and the next run continues. Kills are in tests/chaos/kills/mod.rs.

use imbulk_sandbox::{Caps, Command};
use rustix::process::Signal;

use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{PROTECTED, plain, tally};
use imbulk_testkit::{BenchSetup, JobFile};

const CAP: u32 = 150;
const IN_FLIGHT: u64 = 12;

/// Calls take 10 to 20 ms, so that some are in flight when the signal arrives.
fn slow(operation: Command) -> BenchSetup {
    let caps = Caps::default().with_app(CAP).with(operation, CAP);
    BenchSetup { caps, latency: std::time::Duration::from_millis(10), ..BenchSetup::default() }
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
        let (bench, job) = job.on(slow(Command::FriendDeleteAll));
        let mut running = bench.start_run(&job);
        bench.until_calls(20, &mut running);
        running.signal(signal);
        running.wait().expect(5).says(name);
        let results = bench.results("job");
        let early = ResultsCheck::clean(&bench, Command::FriendDeleteAll, &asked, &results);
        ResultsCheck { completion: Completion::Partial, ..early }.check(&bench);
        assert!(tally(&results)["pending"] > 100, "{:?}", tally(&results));
        bench.run(&job).expect(0);
        let results = bench.results("job");
        ResultsCheck::clean(&bench, Command::FriendDeleteAll, &asked, &results).check(&bench);
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let asked = plain(Command::FriendDeleteAll, 50);
    let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
    let (bench, job) = job.on_a_bench();
    bench.faults(&["any:silence-after:#5"]);
    let mut running = bench.start_run(&job);
    bench.until_calls(5, &mut running);
    // The call without a response delays the stop by the first signal. Two signals at one moment count as one.
    while running.is_alive() {
        running.signal(Signal::TERM);
        bench.nap();
    }
    running.wait().expect(5).says("interrupted twice");
    bench.faults(&[]);
    bench.run(&job).expect(0);
    let results = bench.results("job");
    let case = ResultsCheck::clean(&bench, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { resends: 50, ..case }.check(&bench);
}

#[test]
fn a_second_runner_names_the_first_ones_pid_and_status_works_beside_it() {
    let asked = plain(Command::FriendDeleteAll, 300);
    let job = job(Command::FriendDeleteAll).rows(&asked).protecting(PROTECTED);
    let (bench, job) = job.on(slow(Command::FriendDeleteAll));
    let mut running = bench.start_run(&job);
    bench.until_calls(10, &mut running);
    bench.run(&job).expect(6).says(&running.pid().to_string());
    let status = bench.imbulk(&["status", "job", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(status["state"], "sending", "{status:#}");
    let outcomes = status["outcomes"].as_object().expect("counts by name");
    let sum: u64 = outcomes.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(sum, 300, "{status:#}");
    bench.imbulk(&["status"]).expect(0);
    assert_eq!(bench.results("job").len(), 300);
    running.wait().expect(0);
    let results = bench.results("job");
    ResultsCheck::clean(&bench, Command::FriendDeleteAll, &asked, &results).check(&bench);
}
