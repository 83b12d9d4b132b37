//! `imbulk status`: every state of a run, asked by another process, and why a run is not faster.

use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};
use rustix::process::Signal;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, plain};
use imbulk_testkit::{JobFile, PATIENCE, RunningProgram, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 100;

/// A job of this number of rows at a low rate. Calls take 10 to 20 ms.
fn prepared(rows: usize) -> Workspace {
    let setup = WorkspaceSetup { caps: caps(CAP), latency: Duration::from_millis(10), ..WorkspaceSetup::default() };
    job().rows(&plain(OPERATION, rows)).on(setup).0
}

fn caps(cap: u32) -> Caps {
    Caps::default().with_app(cap).with(OPERATION, cap)
}

fn job() -> JobFile {
    JobFile::new("job", OPERATION)
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("retry", "max_attempts", 40)
        .protecting("somebody\n")
}

/// The status of the latest run of the job as JSON.
#[track_caller]
fn status(workspace: &Workspace) -> Value {
    let output = workspace.imbulk(&["status", "job", "--json"]).expect(0);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
}

/// Starts the run and waits for its first calls.
fn start(workspace: &Workspace) -> RunningProgram {
    let mut running = workspace.start_run("job.toml");
    workspace.until_calls(1, &mut running);
    running
}

fn text(workspace: &Workspace) -> String {
    workspace.imbulk(&["status", "job"]).expect(0).stdout
}

/// Asks until the status is as it must become while the run is sent.
#[track_caller]
fn until(workspace: &Workspace, running: &mut RunningProgram, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(workspace);
        if is_so(&status) {
            return status;
        }
        assert!(running.is_alive() && begun.elapsed() < PATIENCE, "{status:#}");
        workspace.nap();
    }
}

/// Waits until the run is limited by something of this kind. Returns its numbers, in words.
#[track_caller]
fn limited_by(workspace: &Workspace, running: &mut RunningProgram, kind: &str) -> String {
    let status = until(workspace, running, |status| status["heartbeat"]["bottleneck"]["kind"] == kind);
    status["heartbeat"]["bottleneck"]["text"].as_str().expect("a text").to_owned()
}

fn rows(status: &Value, outcome: &str) -> (u64, u64) {
    let rows = |outcomes: &Value| outcomes[outcome].as_u64().unwrap_or_default();
    (rows(&status["outcomes"]), rows(&status["session"]["outcomes"]))
}

#[test]
fn a_run_is_planned_sending_interrupted_sending_again_and_finished() {
    let workspace = prepared(600);
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    let planned = status(&workspace);
    assert_eq!(
        (&planned["state"], &planned["session"], &planned["pid"]),
        (&"planned".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(planned["since"], planned["created_at"]);
    let mut running = start(&workspace);
    let sending = until(&workspace, &mut running, |status| rows_done(status) > 100 && status["seconds_left"].is_u64());
    assert_eq!((&sending["state"], &sending["pid"]), (&"sending".into(), &running.pid().into()));
    assert!(sending["heartbeat"]["rows_per_second"].as_f64() > Some(1.0), "{sending:#}");
    assert!(sending["heartbeat"]["median_latency_seconds"].as_f64() >= Some(0.01), "{sending:#}");
    assert!(sending["queue_bytes"].as_u64() > Some(100_000), "{sending:#}");
    let shown = text(&workspace);
    for part in ["sending, since ", "% of 600 rows done, ", " left\n", "limited by     ", "this session"] {
        assert!(shown.contains(part), "no {part:?}: {shown}");
    }
    running.kill();
    let interrupted = status(&workspace);
    let killed = "the process was killed, the machine went down, or an error kept it from storing why it ended";
    assert_eq!((&interrupted["state"], &interrupted["stopped"]), (&"interrupted".into(), &killed.into()));
    assert!(interrupted["since"].as_str() > interrupted["started_at"].as_str(), "{interrupted:#}");
    assert!(text(&workspace).contains("interrupted, last seen "), "{}", text(&workspace));
    workspace.imbulk(&["status"]).expect(0).says(&format!("ago: {killed}"));
    let mut running = start(&workspace);
    let is_new = |status: &Value| status["session"]["began_at"].as_str() > interrupted["since"].as_str();
    let again = until(&workspace, &mut running, |status| is_new(status) && rows(status, "succeeded").1 > 0);
    let (all, session) = rows(&again, "succeeded");
    assert!(all > session, "those of the first session are not among those of the second: {again:#}");
    running.wait().expect(0);
    let finished = status(&workspace);
    assert_eq!((&finished["state"], &finished["since"]), (&"finished".into(), &finished["finished_at"]));
    assert_eq!(finished["heartbeat"], Value::Null);
    assert!(rows(&finished, "succeeded").0 > rows(&finished, "succeeded").1 && rows(&finished, "succeeded").1 > 0);
    assert!(finished["session"]["calls"].as_u64() > Some(0), "{finished:#}");
}

fn rows_done(status: &Value) -> u64 {
    status["rows"].as_u64().expect("a number") - rows(status, "pending").0
}

#[test]
fn a_run_that_is_not_faster_says_why() {
    let workspace = prepared(20_000);
    let mut running = start(&workspace);
    assert_eq!(limited_by(&workspace, &mut running, "cap"), "at the limit of 100 calls/s");
    workspace.set_caps(caps(20));
    let throttled = limited_by(&workspace, &mut running, "throttle");
    assert!(throttled.starts_with("throttled by the API: "), "{throttled}");
    workspace.imbulk(&["ctl", "job", "pause"]).expect(0);
    let paused = limited_by(&workspace, &mut running, "pause");
    assert!(paused.starts_with("paused by "), "{paused}");
    assert_eq!(status(&workspace)["seconds_left"], Value::Null);
    assert!(text(&workspace).contains("hint: `imbulk ctl job resume` ends the pause"), "{}", text(&workspace));
    workspace.imbulk(&["ctl", "job", "resume"]).expect(0);
    workspace.faults(&["any:http=503:1"]);
    let begun = Instant::now();
    // The retry budget may be used up already, by the calls that were over the limit.
    let outage = until(&workspace, &mut running, |status| {
        let Value::Object(bottleneck) = &status["heartbeat"]["bottleneck"] else { return false };
        let is_outage = bottleneck["kind"] == "outage" || bottleneck["kind"] == "retry_budget";
        is_outage && bottleneck["text"].as_str().is_some_and(|text| text.contains("HTTP status 503"))
    });
    assert!(begun.elapsed() < PATIENCE);
    let why = outage["heartbeat"]["bottleneck"]["text"].as_str().expect("a text");
    assert!(why.contains("only probes are sent"), "{why}");
    workspace.imbulk(&["status"]).expect(0).says("only probes are sent");
    running.signal(Signal::TERM);
    running.wait().expect(5);
    let stopped = status(&workspace);
    assert_eq!((&stopped["state"], stopped["since"].is_string()), (&"stopped".into(), true));
    assert!(text(&workspace).contains("reason         "), "{}", text(&workspace));
}

#[test]
fn a_run_whose_rows_share_one_account_says_how_many_requests_wait_for_it() {
    let pairs: Vec<InputRow> = (0..30_000).map(|n| InputRow::pair("hot", &format!("u{n}"))).collect();
    let setup = WorkspaceSetup { latency: Duration::from_millis(400), ..WorkspaceSetup::default() };
    let (workspace, _) = JobFile::new("job", Command::FriendDelete).rows(&pairs).on(setup);
    let mut running = start(&workspace);
    let why = limited_by(&workspace, &mut running, "hot_accounts");
    assert!(why.ends_with(" for accounts that other requests write"), "{why}");
    assert!(why.starts_with(|first: char| first.is_ascii_digit()), "{why}");
}

#[test]
fn a_superseded_run_names_its_successor() {
    let workspace = prepared(30);
    workspace.imbulk(&["run", "job.toml", "--execute", "--yes", "--limit", "5"]).expect(5);
    let stopped = status(&workspace);
    assert_eq!((&stopped["state"], stopped["since"].is_string()), (&"stopped".into(), true));
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 31)));
    workspace.imbulk(&["run", "job.toml", "--execute", "--yes", "--again"]).expect(0);
    let newer = status(&workspace)["run"].as_str().expect("an id").to_owned();
    let older = workspace.imbulk(&["status", stopped["run"].as_str().expect("an id"), "--json"]).expect(0);
    let older: Value = serde_json::from_str(&older.stdout).expect("JSON");
    assert_eq!(older["state"], "superseded");
    assert_eq!(older["stopped"], format!("given up for run {newer}"));
    assert!(older["since"].as_str() > stopped["since"].as_str(), "{older:#}");
}

#[test]
fn watch_shows_updates_until_the_run_ends_or_ctrl_c() {
    let workspace = prepared(700);
    let mut running = workspace.start_run("job.toml");
    workspace.until_calls(20, &mut running);
    let interrupted = workspace.start(&["status", "job", "--watch"], b"");
    let (lines, table) = (["status", "job", "--watch", "--json"], ["status", "--watch"]);
    let [json, table] = [&lines[..], &table].map(|args| workspace.start(args, b""));
    until(&workspace, &mut running, |status| rows_done(status) > 400);
    interrupted.signal(Signal::INT);
    let interrupted = interrupted.wait().expect(0);
    assert!(interrupted.stdout.contains("  sending  "), "{interrupted:#?}");
    running.wait().expect(0);
    let json = json.wait().expect(0);
    let states: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(states.len() >= 3 && states[0]["state"] == "sending", "{json:#?}");
    assert_eq!(states.last().expect("a line")["state"], "finished");
    let table = table.wait().expect(0);
    assert!(table.stdout.matches("in_doubt\n").count() >= 3 && table.stdout.contains("finished"), "{table:#?}");
    let once = workspace.imbulk(&["status", "job", "--watch"]).expect(0);
    assert_eq!(once.stdout.lines().count(), 1, "nothing changes any more: {once:#?}");
    let terminal = r#"exec script --quiet --return --command "stty cols 80 rows 24; $0 $*" /dev/null"#;
    let drawn = workspace.start_under(&["sh", "-c", terminal], &["status", "job", "--watch"], b"").wait().expect(0);
    assert!(drawn.stdout.contains("state          finished, since "), "{drawn:#?}");
}
