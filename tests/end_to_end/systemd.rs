//! Readiness, status and watchdog, as a service with `Type=notify` reports them to systemd.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use imbulk_sandbox::Command;
use rustix::process::Signal;

use imbulk_testkit::rows::plain;
use imbulk_testkit::{JobFile, PATIENCE};

const OPERATION: Command = Command::FriendDeleteAll;

/// The lines that have arrived.
fn lines(socket: &UnixDatagram) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = std::str::from_utf8(&buffer[..length]).expect("text");
        all.extend(text.lines().map(str::to_owned));
    }
    all
}

#[test]
fn a_service_reports_that_it_is_ready_what_it_does_and_that_it_stops() {
    let job = JobFile::new("night", OPERATION).rows(&plain(OPERATION, 4000)).with("limits", "calls_per_second", 50);
    let (mut workspace, job) = job.in_a_workspace();
    let socket = UnixDatagram::bind(workspace.path("notify")).expect("a socket");
    socket.set_nonblocking(true).expect("our socket");
    workspace.set_env("NOTIFY_SOCKET", workspace.path("notify").to_str().expect("a path"));
    workspace.set_env("WATCHDOG_USEC", "400000");
    let mut running = workspace.start_run(&job);
    workspace.until_calls(10, &mut running);
    // Then the reports of the load are read, and what follows is from the loop that sends.
    let mut all = lines(&socket);
    workspace.imbulk(&["ctl", "night", "pause"]).expect(0);
    until(&socket, &mut all, "WATCHDOG=1", 4);
    running.signal(Signal::TERM);
    running.wait().expect(5);
    all.extend(lines(&socket));
    assert_eq!(all[0], "READY=1");
    assert_eq!(all.iter().filter(|line| *line == "READY=1").count(), 1);
    assert_eq!(all.iter().filter(|line| *line == "STOPPING=1").count(), 1);
    assert!(all.iter().any(|line| line.starts_with("STATUS=") && line.contains("of 4,000 rows")), "{all:?}");
    assert!(all.iter().any(|line| line.starts_with("STATUS=") && line.contains("paused")), "{all:?}");
}

/// Reads until a line has arrived this often.
fn until(socket: &UnixDatagram, all: &mut Vec<String>, line: &str, times: usize) {
    let (begun, before) = (Instant::now(), all.len());
    while all[before..].iter().filter(|other| *other == line).count() < times {
        assert!(begun.elapsed() < PATIENCE, "too few {line}: {all:?}");
        all.extend(lines(socket));
        std::thread::yield_now();
    }
}

#[test]
fn a_refused_night_is_ready_before_it_ends() {
    let job = JobFile::new("night", OPERATION).rows(&plain(OPERATION, 4)).with("guard", "max_items", 1);
    let (mut workspace, job) = job.in_a_workspace();
    let socket = UnixDatagram::bind(workspace.path("notify")).expect("a socket");
    socket.set_nonblocking(true).expect("our socket");
    workspace.set_env("NOTIFY_SOCKET", workspace.path("notify").to_str().expect("a path"));
    workspace.run(&job).expect(4);
    let all = lines(&socket);
    assert_eq!(all.first().map(String::as_str), Some("READY=1"), "{all:?}");
    assert!(all.iter().any(|line| line == "STOPPING=1"), "{all:?}");
}
