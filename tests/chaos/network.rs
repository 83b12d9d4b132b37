//! Signals and lost networks: which calls are sent after a signal, and whether a run survives a network that is down
//! for a while.

use std::process::Command as Process;
use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};
use rustix::process::Signal;

use imbulk_testkit::requirements::{Requirement, are_met};
use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{InputRow, plain, tally};
use imbulk_testkit::{JobFile, RunningProgram, Workspace, WorkspaceSetup};

/// The cap in calls per second. A fifth of it is prepared ahead, and the limit of these tests is a tenth of it, so the
/// two cannot be confused.
const CAP: u32 = 200;
/// The maximum time between a signal and the last call.
const PROMPT: Duration = Duration::from_millis(100);
/// The number of stops. The median is compared, because a busy machine delays some of them.
const STOPS: usize = 5;

/// Calls take 40 to 80 ms, so that some are always in flight.
fn slow() -> WorkspaceSetup {
    let caps = Caps::default().with_app(CAP).with(Command::FriendDeleteAll, CAP);
    WorkspaceSetup { caps, latency: Duration::from_millis(40), ..WorkspaceSetup::default() }
}

fn slow_workspace(rows: usize) -> (Workspace, String, Vec<InputRow>) {
    let asked = plain(Command::FriendDeleteAll, rows);
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&asked).with("limits", "calls_per_second", CAP);
    let (workspace, job) = job.with("retry", "max_attempts", 40).on(slow());
    (workspace, job, asked)
}

/// The number of calls after a signal, and the time from the signal to the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    last: Duration,
    calls: u64,
}

/// Sends the signal, and watches the sandbox until the program has ended.
fn late_calls(workspace: &Workspace, running: &mut RunningProgram, signal: Signal) -> Late {
    let before = workspace.report().calls;
    let begun = Instant::now();
    running.signal(signal);
    let mut late = Late { last: Duration::ZERO, calls: 0 };
    while running.is_alive() && begun.elapsed() < Duration::from_secs(20) {
        let calls = workspace.report().calls - before;
        if calls > late.calls {
            late = Late { last: begun.elapsed(), calls };
        }
        workspace.nap();
    }
    late
}

/// Whether the median of these is prompt, by the clock and by the count.
fn is_prompt(late: &mut [Late]) -> bool {
    late.sort_unstable();
    let last = late[late.len() / 2].last;
    late.sort_unstable_by_key(|late| late.calls);
    let calls = late[late.len() / 2].calls;
    eprintln!("after a signal {calls} calls arrived, the last {last:?} later (median in {late:?})");
    last <= PROMPT && calls <= u64::from(CAP / 10)
}

#[test]
fn nothing_is_sent_later_than_100_ms_after_a_signal_and_no_call_in_flight_is_lost() {
    let (workspace, job, asked) = slow_workspace(1500);
    let mut late = Vec::new();
    for stop in 0..STOPS as u64 {
        let mut running = workspace.start_run(&job);
        workspace.until_calls(workspace.report().calls + 60, &mut running);
        let signal = if stop % 2 == 0 { Signal::TERM } else { Signal::INT };
        late.push(late_calls(&workspace, &mut running, signal));
        running.wait().expect(5).says("signal");
    }
    let results = workspace.results("job");
    // The program waited for the calls in flight: no row is in doubt, and every row that arrived has its outcome.
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { completion: Completion::Partial, ..case }.check(&workspace);
    let pending = tally(&results)["pending"] as u64;
    assert_eq!(workspace.report().items_received, 1500 - pending);
    assert!(is_prompt(&mut late));
    // The same measurement must detect a program that does not stop. Here the program receives no signal.
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let mut running = workspace.start_run(&job);
        workspace.until_calls(workspace.report().calls + 20, &mut running);
        deaf.push(unheard(&workspace));
        running.signal(Signal::TERM);
        running.wait().expect(5);
    }
    assert!(!is_prompt(&mut deaf), "the ruler measures nothing: {deaf:?}");
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results).check(&workspace);
}

/// The calls that arrive in three times the time when no signal was sent.
fn unheard(workspace: &Workspace) -> Late {
    let before = workspace.report().calls;
    let begun = Instant::now();
    while begun.elapsed() < 3 * PROMPT {
        workspace.nap();
    }
    Late { last: begun.elapsed(), calls: workspace.report().calls - before }
}

#[test]
fn a_second_signal_ends_the_process_at_once_and_calls_in_flight_are_in_doubt_until_the_next_run() {
    let (workspace, job, asked) = slow_workspace(300);
    workspace.faults(&["any:silence-after:0.2"]);
    let left = |signals: usize| {
        let mut running = workspace.start_run(&job);
        workspace.until_calls(workspace.report().calls + 50, &mut running);
        let begun = Instant::now();
        for _ in 0..signals {
            running.signal(Signal::TERM);
            // Two signals at one moment count as one. This one arrives after the run has started to drain.
            let drains = Instant::now();
            while running.is_alive() && drains.elapsed() < 3 * PROMPT {
                workspace.nap();
            }
        }
        (running.wait().expect(5), begun.elapsed())
    };
    let (output, drained) = left(1);
    output.says("signal");
    let before = workspace.report().faults.values().sum::<u64>();
    let (output, cut_off) = left(2);
    output.says("interrupted twice");
    eprintln!("drained in {drained:?}, left in {cut_off:?}");
    assert!(drained > cut_off * 3, "drained in {drained:?}, left in {cut_off:?}");
    let silent = workspace.report().faults.values().sum::<u64>();
    assert!(silent > before, "some call was under way");
    workspace.faults(&[]);
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    // The calls that got no answer, and those that were cut off: the calls in flight in 80 ms at this rate, and some
    // more.
    ResultsCheck { resends: silent + 30, ..case }.check(&workspace);
}

#[test]
fn a_signal_while_loading_leaves_no_run_and_while_writing_results_the_old_or_the_new_file() {
    let asked = plain(Command::AccountDelete, 40_000);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).in_a_workspace();
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = workspace.start_run(&job);
        while running.is_alive() && !(workspace.path("imbulk.db-journal").exists() && is_listening(&running)) {
            workspace.nap();
        }
        running.signal(signal);
        running.wait().expect(5).says("the next `imbulk run` of the job, without --again, continues");
        assert_eq!(workspace.report().calls, 0, "it had not begun to send");
    }
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results).check(&workspace);
    stop_writing(&workspace);
}

/// Whether the program already handles both signals. Before that, a signal ends it as it ends any program, and nothing
/// was sent.
fn is_listening(running: &RunningProgram) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim();
    u64::from_str_radix(caught, 16).is_ok_and(|caught| [2, 15].iter().all(|number| caught & (1 << (number - 1)) != 0))
}

/// Stops the writing of results at eight moments.
fn stop_writing(workspace: &Workspace) {
    let write = ["results", "job", "--output", "out.csv"];
    let begun = Instant::now();
    workspace.imbulk(&write).expect(0);
    let (whole, took) = (std::fs::read(workspace.path("out.csv")).expect("results"), begun.elapsed());
    let mut cut_short = 0;
    for eighth in 0..8 {
        workspace.write("out.csv", "old");
        let running = workspace.start(&write, b"");
        let begun = Instant::now();
        while begun.elapsed() < took * eighth / 8 {
            workspace.nap();
        }
        running.signal(Signal::TERM);
        cut_short += usize::from(running.wait().code != 0);
        let found = std::fs::read(workspace.path("out.csv")).expect("a file");
        assert!(found == b"old" || found == whole, "{} bytes of {}", found.len(), whole.len());
    }
    assert!(cut_short > 0, "no signal came in time");
}

/// How long the network is down: `IMBULK_OUTAGE` seconds, or a few seconds.
fn outage() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "how long is the caller's choice")]
    let asked = std::env::var("IMBULK_OUTAGE").ok();
    Duration::from_secs(asked.map_or(7, |seconds| seconds.parse().expect("IMBULK_OUTAGE is in seconds")))
}

const INSIDE: &str = "IMBULK_INSIDE_A_NETWORK_OF_ITS_OWN";

/// The test runs itself again in a namespace in which it may disable the network.
#[test]
fn a_run_waits_while_the_network_is_down_and_loses_no_row() {
    let name = "network::a_run_waits_while_the_network_is_down_and_loses_no_row";
    #[expect(clippy::disallowed_methods, reason = "set by this test itself")]
    if std::env::var_os(INSIDE).is_some() {
        return cut_off();
    }
    if !are_met(name, &[Requirement::Root, Requirement::Tool("unshare"), Requirement::Tool("ip")]) {
        return;
    }
    let itself = std::env::current_exe().expect("this program");
    let output = Process::new("unshare")
        .args(["--net", "--"])
        .arg(itself)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare starts");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    eprintln!("{printed}");
}

fn loopback(state: &str) {
    let set = Process::new("ip").args(["link", "set", "lo", state]).status().expect("ip starts");
    assert!(set.success(), "lo can't be set {state}");
}

fn cut_off() {
    loopback("up");
    let (workspace, job, asked) = slow_workspace(1000);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(300, &mut running);
    loopback("down");
    let begun = Instant::now();
    let mut last = (workspace.report().calls, Duration::ZERO);
    while begun.elapsed() < outage() {
        assert!(running.is_alive(), "it gave up after {:?}", begun.elapsed());
        let calls = workspace.report().calls;
        if calls > last.0 {
            last = (calls, begun.elapsed());
        }
        workspace.nap();
    }
    let (calls, at) = last;
    assert!((300..900).contains(&calls) && at < Duration::from_secs(2), "the network was not down: {last:?}");
    loopback("up");
    let up = Instant::now();
    while running.is_alive() && workspace.report().calls == calls {
        workspace.nap();
    }
    let first = up.elapsed();
    running.wait().expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    // The calls in flight when the network went down (about 16 at 200 calls per second and 80 ms), and the calls on
    // connections that were dead.
    ResultsCheck { resends: 200, ..case }.check(&workspace);
    let again = workspace.report().items_received - 1000;
    assert!(results.iter().all(|row| row.outcome != "failed"), "{:?}", tally(&results));
    eprintln!("down for {:?}, first call {first:?} after it was up, {again} items came in again", outage());
}
