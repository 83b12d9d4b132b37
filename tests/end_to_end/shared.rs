//! Processes that share the cap of a stalled server, and the ledger through which they do so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command, Report};
use rustix::process::{Pid, Signal, kill_process};

use imbulk_testkit::rows::plain;
use imbulk_testkit::{ADMIN, APP, JobFile, KEY, PATIENCE, RunningProgram, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 200;

/// `imbulk sandbox`, which can be stopped without stopping the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(workspace: &Workspace) -> Self {
        let mut command = Process::new(imbulk_testkit::program());
        let app = APP.to_string();
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--sdkappid", &app, "--identifier", ADMIN]);
        command.env_clear().env("IMBULK_SECRET_KEY", KEY).current_dir(workspace.folder());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").to_owned();
        Self { child, address: address.split_whitespace().next().expect("an address").to_owned() }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("a child of ours");
    }

    fn report(&self) -> Report {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET /sandbox/report HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).expect("a report")
    }

    fn until_calls(&self, calls: u64, workspace: &Workspace) {
        let begun = Instant::now();
        while self.report().calls < calls {
            assert!(begun.elapsed() < PATIENCE, "only {} of {calls} calls", self.report().calls);
            workspace.nap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _over = self.child.kill();
        let _reaped = self.child.wait();
        let ledger = format!("/tmp/imbulk-{}-{APP}.slots", self.address.replace(':', "-"));
        for file in [format!("{ledger}.users"), ledger] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

/// Each run has another command, so that the calls show which run sends them.
fn job(workspace: &Workspace, name: &str, endpoint: &str) -> String {
    let operation = if name == "one" { OPERATION } else { Command::FriendDelete };
    JobFile::new(name, operation)
        .rows(&plain(operation, 20_000))
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("app", "endpoint", format!("{endpoint:?}"))
        .write(workspace)
}

fn start(workspace: &Workspace, name: &str, endpoint: &str) -> RunningProgram {
    let (job, queue) = (job(workspace, name, endpoint), format!("{name}.db"));
    workspace.start(&["--queue", &queue, "run", &job, "--execute", "--yes"], b"")
}

fn workspace() -> Workspace {
    Workspace::with(WorkspaceSetup { caps: Caps::default().with_app(CAP), ..WorkspaceSetup::default() })
}

/// Longer than the time-out of a call: calls are abandoned, but stay in the server's sockets.
#[test]
fn a_stalled_server_finds_no_more_calls_than_the_cap_when_it_continues() {
    let workspace = workspace();
    let server = Server::start(&workspace);
    let endpoint = format!("http://{}", server.address);
    let running = ["one", "other"].map(|name| start(&workspace, name, &endpoint));
    server.until_calls(500, &workspace);
    server.signal(Signal::STOP);
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_millis(6500) {
        workspace.nap();
    }
    server.signal(Signal::CONT);
    let calls = server.report().calls;
    server.until_calls(calls + 400, &workspace);
    drop(running);
    let report = server.report();
    assert!(report.worst_second <= CAP as usize, "{} in one second", report.worst_second);
}

/// Damages the ledger of a run. All processes that use it stop and name the cause.
fn stopped_by(change: fn(&Workspace), what: &str) {
    let workspace = workspace();
    let mut running = ["one", "other"].map(|name| start(&workspace, name, &workspace.endpoint()));
    workspace.until_calls(100, &mut running[0]);
    let begun = Instant::now();
    while ![OPERATION, Command::FriendDelete]
        .iter()
        .all(|one| workspace.journal().iter().any(|call| call.command == *one))
    {
        assert!(begun.elapsed() < PATIENCE, "one of them sends nothing");
        workspace.nap();
    }
    change(&workspace);
    for running in running {
        running.wait().expect(1).says(what).says("have an outcome in the queue").says("hint: ");
    }
    for name in ["one", "other"] {
        let status = workspace.imbulk(&["--queue", &format!("{name}.db"), "status", name]).expect(0);
        status.says("interrupted").says(what).says("hint: run again, once no other imbulk sends to this app");
    }
    for ending in ["old", "new", "second"] {
        let _gone = std::fs::remove_file(workspace.ledger().with_extension(ending));
    }
}

#[test]
fn a_ledger_that_is_removed_stops_all_its_users() {
    stopped_by(|workspace| std::fs::remove_file(workspace.ledger()).expect("it is there"), "was removed while in use");
}

#[test]
fn a_ledger_that_is_renamed_stops_all_its_users() {
    let rename = |workspace: &Workspace| {
        std::fs::rename(workspace.ledger(), workspace.ledger().with_extension("old")).expect("there");
    };
    stopped_by(rename, "was renamed while in use");
}

#[test]
fn a_ledger_that_is_replaced_stops_all_its_users() {
    let replace = |workspace: &Workspace| {
        let new = workspace.ledger().with_extension("new");
        std::fs::copy(workspace.ledger(), &new).expect("it is there");
        std::fs::rename(new, workspace.ledger()).expect("it is there");
    };
    stopped_by(replace, "was replaced while in use");
}

#[test]
fn a_request_without_an_answer_counts_as_unrecorded_when_the_ledger_is_lost() {
    let workspace = workspace();
    // The request has no answer, and its result is stored 3.2 s later.
    workspace.faults(&["any:reset-after:1"]);
    let job = JobFile::new("one", OPERATION).rows(&plain(OPERATION, 9)).with("limits", "max_in_flight", 1);
    let mut running = workspace.start_run(&job.write(&workspace));
    workspace.until_calls(1, &mut running);
    std::fs::remove_file(workspace.ledger()).expect("it is there");
    running.wait().expect(1).says("was removed while in use").says("1 requests in flight have none");
}

#[test]
fn a_ledger_of_this_machine_is_gone_when_its_last_user_is() {
    let workspace = workspace();
    let job = JobFile::new("few", OPERATION)
        .rows(&plain(OPERATION, 5))
        .with("app", "endpoint", format!("{:?}", workspace.endpoint()))
        .write(&workspace);
    let mut running = start(&workspace, "one", &workspace.endpoint());
    workspace.until_calls(50, &mut running);
    let few = workspace.imbulk(&["--queue", "few.db", "run", &job, "--execute", "--yes"]);
    assert!([0, 3].contains(&few.code), "{few:#?}");
    assert!(workspace.ledger().exists(), "another run uses it");
    running.signal(Signal::TERM);
    running.wait().expect(5);
    assert!(!workspace.ledger().exists() && !workspace.ledger().with_extension("slots.users").exists());
}

#[test]
fn a_locked_ledger_is_reported_and_a_signal_still_stops_the_run() {
    let workspace = workspace();
    let mut running = start(&workspace, "one", &workspace.endpoint());
    workspace.until_calls(100, &mut running);
    let ledger = std::fs::File::open(workspace.ledger()).expect("it is there");
    ledger.lock().expect("it is let go of in a moment");
    let begun = Instant::now();
    // The message follows after a second, in a pipe that is read at the end.
    while begun.elapsed() < Duration::from_secs(3) {
        workspace.nap();
    }
    let calls = workspace.report().calls;
    running.signal(Signal::TERM);
    running.wait().expect(5).says("another process holds the lock").says(&workspace.ledger().display().to_string());
    assert!(workspace.report().calls <= calls, "nothing is sent without the lock");
}
