//! `[notify]`: pings of a monitoring service and a command of the user, also if they fail or hang.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use imbulk_sandbox::Command;
use rustix::process::{Pid, test_kill_process};
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, plain};
use imbulk_testkit::{JobFile, KEY, ProgramOutput, Workspace};

const OPERATION: Command = Command::FriendDeleteAll;
/// A part of the URL that must not be shown.
const TOKEN: &str = "5ecret-t0ken";
/// Notifications have 10 s; the rest of the command is fast.
const PATIENCE: Duration = Duration::from_secs(25);

/// What the server does after it has read a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Status(u16),
    /// The connection stays open, and nothing is sent.
    Silence,
}

/// A monitoring service. The process of the test ends its threads.
struct Service {
    address: String,
    requests: Arc<Mutex<Vec<Received>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    line: String,
    body: String,
}

impl Service {
    fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                received.lock().expect("no panic").push(read(&stream));
                match reply {
                    Reply::Silence => open.push(stream),
                    Reply::Status(status) => {
                        let _gone =
                            write!(&stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    }
                }
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/{TOKEN}", self.address)
    }

    fn requests(&self) -> Vec<Received> {
        self.requests.lock().expect("no panic").clone()
    }

    fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

fn read(stream: &TcpStream) -> Received {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    let line = next();
    let mut length = 0;
    loop {
        let header = next().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    Received { line: line.trim_end_matches(" HTTP/1.1").to_owned(), body: String::from_utf8(body).expect("text") }
}

fn job() -> JobFile {
    JobFile::new("night", OPERATION).rows(&plain(OPERATION, 5)).with("guard", "max_items", 50)
}

fn pinging(url: &str) -> JobFile {
    job().with("notify", "ping", format!("{url:?}"))
}

/// A command of the user, with this script.
fn commanding(workspace: &Workspace, script: &str) -> JobFile {
    workspace.write("notify.sh", format!("#!/bin/sh\n{script}\n"));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(workspace.path("notify.sh"), executable).expect("our file");
    job().with("notify", "command", "[\"./notify.sh\", \"two words\", \"$HOME\"]")
}

/// Nobody who reads what is shown may learn the URL or the key.
fn is_discreet(output: &ProgramOutput) {
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
    }
}

#[test]
fn start_success_and_failure_are_reported_with_the_summary() {
    let service = Service::start(Reply::Status(200));
    let (workspace, job) = pinging(&service.url()).in_a_workspace();
    let done = workspace.run(&job).expect(0);
    is_discreet(&done);
    assert!(!done.stderr.contains("notify"), "{done:?}");
    let mut rows = plain(OPERATION, 5);
    rows.push(InputRow::account("not an id \u{7}").invalid());
    workspace.write("night.csv", csv(OPERATION, &rows));
    workspace.run(&job).expect(3);
    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 60)));
    is_discreet(&workspace.run(&job).expect(4));
    let lines = ["/start", "", "/start", "/3", "/start", "/4"].map(|end| format!("POST /{TOKEN}{end}"));
    assert_eq!(service.lines(), lines);
    let [start, success, _, rejected, _, refused] = &service.requests()[..] else { unreachable!("six") };
    assert_eq!(start.body, "");
    assert!(success.body.starts_with("imbulk: job night ended with exit code 0\n"), "{success:?}");
    assert!(success.body.contains("operation      friend_delete_all on"), "{success:?}");
    assert!(rejected.body.contains("rejected") && !rejected.body.contains("not an id"), "{rejected:?}");
    assert!(refused.body.contains("guard.max_items"), "{refused:?}");
    assert!(service.requests().iter().all(|request| !request.body.contains(KEY)));
}

#[test]
fn a_service_that_refuses_or_fails_is_a_warning() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let failing = Service::start(Reply::Status(500));
    for (url, why) in
        [(format!("http://{closed}/{TOKEN}"), "refused"), (failing.url(), "the server answered with status 500")]
    {
        let (workspace, job) = pinging(&url).in_a_workspace();
        let done = workspace.run(&job).expect(0).says("notify.ping: http://127.0.0.1:").says(why);
        is_discreet(&done.says("the exit code does not change").says("hint: check the URL"));
    }
    assert_eq!(failing.lines().len(), 4, "start and success, each once more after the first answer");
}

#[test]
fn a_service_that_does_not_answer_delays_the_command_by_a_limited_time() {
    let service = Service::start(Reply::Silence);
    let workspace = Workspace::new();
    let job = commanding(&workspace, "sleep 2; cat > got.json").with("notify", "ping", format!("{:?}", service.url()));
    let job = job.write(&workspace);
    let begun = Instant::now();
    let done = workspace.run(&job).expect(0).says("a notification was not done within 10 s");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    is_discreet(&done);
    assert!(workspace.path("got.json").exists(), "a slow command of the user does not wait for the ping");
}

#[test]
fn what_a_file_contains_does_not_leave_the_machine() {
    let service = Service::start(Reply::Status(200));
    let (workspace, job) = pinging(&service.url()).with("guard", "max_rejected", 0.1).in_a_workspace();
    // The reasons of these rows quote their ids.
    workspace.write("night.csv", "From_Account\nsecret_1;x\nsecret_2;y\n");
    workspace.run(&job).expect(4).says("secret_1");
    let end = service.requests().pop().expect("a ping");
    assert!(end.body.contains("guard.max_rejected: 2 of 2 rows are") && !end.body.contains("secret_"), "{end:?}");
}

#[test]
fn a_ping_goes_through_the_proxy_of_the_environment() {
    let proxy = Service::start(Reply::Status(502));
    let (mut workspace, job) = pinging(&format!("https://monitoring.invalid/{TOKEN}")).in_a_workspace();
    workspace.set_env("HTTPS_PROXY", &format!("http://{}", proxy.address));
    is_discreet(&workspace.run(&job).expect(0).says("notify.ping: https://monitoring.invalid/…: through the proxy"));
    assert!(!proxy.lines().is_empty());
    assert!(proxy.lines().iter().all(|line| line == "CONNECT monitoring.invalid:443"), "{:?}", proxy.lines());
}

#[test]
fn a_command_receives_the_summary_without_a_shell_and_without_secrets() {
    let workspace = Workspace::new();
    let script = "cat > got.json; env > got.env; printf '%s\\n' \"$@\" > got.args; echo loud; exit 7";
    let job = commanding(&workspace, script).write(&workspace);
    let done = workspace.imbulk(&["run", &job, "--execute", "--yes", "--json"]).expect(0);
    is_discreet(&done);
    let done = done.says("notify.command: `./notify.sh` ended with exit status: 7").says("hint: start it by hand");
    let got: Value = serde_json::from_slice(&std::fs::read(workspace.path("got.json")).expect("a file")).expect("JSON");
    let summaries: Value = serde_json::from_str(&done.stdout).expect("only the summaries are on stdout");
    assert_eq!((&got["summaries"], &got["exit_code"], &got["success"]), (&summaries, &0.into(), &true.into()));
    assert_eq!((&got["job"], &got["error"], &got["schema"]), (&"night".into(), &Value::Null, &1.into()));
    assert_eq!(std::fs::read_to_string(workspace.path("got.args")).expect("a file"), "two words\n$HOME\n");
    let environment = std::fs::read_to_string(workspace.path("got.env")).expect("a file");
    assert!(!environment.contains(KEY) && !environment.contains("IMBULK_SECRET_KEY"), "{environment}");
    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 60)));
    workspace.run(&job).expect(4);
    let got: Value = serde_json::from_slice(&std::fs::read(workspace.path("got.json")).expect("a file")).expect("JSON");
    assert_eq!(
        (&got["exit_code"], &got["success"], &got["summaries"]),
        (&4.into(), &false.into(), &Value::Array(vec![]))
    );
    assert!(got["error"].as_str().expect("a text").contains("guard.max_items"), "{got}");
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let workspace = Workspace::new();
    let job = commanding(&workspace, "sleep 1000 & echo $! > child; wait").write(&workspace);
    let begun = Instant::now();
    workspace.run(&job).expect(0).says("a notification was not done within 10 s");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let child = std::fs::read_to_string(workspace.path("child")).expect("a file");
    let child = child.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    while test_kill_process(child).is_ok() && !is_defunct(child) {
        assert!(begun.elapsed() < PATIENCE * 2, "the child of the command is alive");
        workspace.nap();
    }
}

/// Killed, and not waited for by its parent.
fn is_defunct(pid: Pid) -> bool {
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    std::fs::read_to_string(stat).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_command_that_cannot_be_started_is_a_warning() {
    let (workspace, file) = job().with("notify", "command", "[\"./missing.sh\"]").in_a_workspace();
    workspace.run(&file).expect(0).says("notify.command: cannot start `./missing.sh`").says("hint: ");
    let nothing = job().with("notify", "command", "[]").write(&workspace);
    workspace.run(&nothing).expect(2).says("notify.command: no program is named");
    let plain_http = pinging(&format!("http://example.com/{TOKEN}")).write(&workspace);
    let refused = workspace.run(&plain_http).expect(2).says("notify.ping: is plain http to another machine");
    is_discreet(&refused.says("night.toml:"));
}

#[test]
fn a_rehearsal_notifies_nobody() {
    let service = Service::start(Reply::Status(200));
    let (workspace, job) = pinging(&service.url()).in_a_workspace();
    workspace.imbulk(&["run", &job, "--sandbox"]).expect(0);
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.imbulk(&["run", &job]).expect(0);
    assert_eq!(service.requests(), []);
}
