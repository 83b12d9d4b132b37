//! What a person sees at a terminal while a job runs.

use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};
use rstest::rstest;

use imbulk_testkit::rows::plain;
use imbulk_testkit::terminal::{AtTerminal, CTRL_C, screens};
use imbulk_testkit::{JobFile, PATIENCE, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 200;
const RUN: [&str; 4] = ["run", "job.toml", "--execute", "--yes"];

/// A job of this number of rows at 200 calls/s, each of which takes 20 to 40 ms.
fn workspace(rows: usize) -> Workspace {
    workspace_with(rows, Duration::from_millis(20))
}

fn workspace_with(rows: usize, latency: Duration) -> Workspace {
    let caps = Caps::default().with_app(CAP).with(OPERATION, CAP);
    let mut workspace = Workspace::with(WorkspaceSetup { caps, latency, ..WorkspaceSetup::default() });
    workspace.set_env("TERM", "xterm-256color");
    job().rows(&plain(OPERATION, rows)).write(&workspace);
    workspace
}

fn job() -> JobFile {
    JobFile::new("job", OPERATION)
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("retry", "max_attempts", 40)
        .with("stop", "after_items", 400)
}

/// The lines of a screen that belong to the picture of the progress, from its head on.
fn picture(screen: &str) -> Vec<&str> {
    screen.lines().skip_while(|line| !line.starts_with("job · ")).collect()
}

/// The picture never moves down, leaves nothing behind and fits the terminal.
#[track_caller]
fn is_calm(received: &str, columns: u16) {
    let screens = screens(received, columns);
    for screen in &screens {
        let heads = screen.lines().filter(|line| line.starts_with("job · ")).count();
        let bars = screen.lines().filter(|line| line.contains('━') || line.contains('─')).count();
        assert!(heads <= 1 && bars <= 1, "{heads} heads and {bars} bars:\n{screen}");
        assert!(picture(screen).len() <= 3, "{screen}");
    }
    assert!(screens.iter().any(|screen| picture(screen).len() == 3), "no picture of three lines: {received:?}");
    let last = screens.last().expect("a screen");
    assert_eq!(picture(last), Vec::<&str>::new(), "the bar is removed at the end:\n{last}");
}

#[rstest]
#[case(60)]
#[case(80)]
#[case(120)]
fn the_progress_is_three_calm_lines(#[case] columns: u16) {
    let workspace = workspace(400);
    let (code, received) = workspace.start_at_a_terminal(&RUN, columns).wait();
    assert_eq!(code, Some(0), "{received}");
    is_calm(&received, columns);
    let shows_rate = |screen: &String| {
        let picture = picture(screen);
        picture.len() == 3 && picture[2].contains(" of 200 calls/s · ") && picture[1].contains(" failed")
    };
    assert!(screens(&received, columns).iter().any(shows_rate), "{received}");
}

#[rstest]
#[case::throttled(&["any:code=60011:0.05"], "throttled by the API")]
#[case::outage(&["any:http=503:1"], "outage: ")]
#[case::fuse(&["any:code=70402:0.43"], "stop.failed_share (the fuse) is close: ")]
fn a_change_of_the_state_is_shown_above_the_bar_and_moves_nothing(
    #[case] faults: &[&str],
    #[case] text: &str,
    #[values(60, 80)] columns: u16,
) {
    let workspace = workspace(1_000);
    workspace.faults(faults);
    let mut running = workspace.start_at_a_terminal(&RUN, columns);
    running.until(text);
    workspace.faults(&[]);
    running.types(CTRL_C);
    let (code, received) = running.wait();
    assert!(code.is_some(), "{received}");
    is_calm(&received, columns);
}

#[test]
fn a_pause_is_shown_and_moves_nothing() {
    let workspace = workspace(1_000);
    let mut running = workspace.start_at_a_terminal(&RUN, 80);
    running.until(" calls/s");
    workspace.imbulk(&["ctl", "job", "pause"]).expect(0);
    running.until("paused");
    running.types(CTRL_C);
    let (code, received) = running.wait();
    assert_eq!(code, Some(5), "{received}");
    is_calm(&received, 80);
}

/// Waits until calls are in flight.
fn until_in_flight(workspace: &Workspace) {
    let begun = Instant::now();
    while workspace.report().calls < 5 {
        assert!(begun.elapsed() < PATIENCE, "no calls");
        workspace.nap();
    }
}

/// Fails unless the texts occur in this sequence.
#[track_caller]
fn in_sequence(received: &str, texts: &[&str]) {
    let mut rest = received;
    for text in texts {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text:?} after the texts before it:\n{received}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn ctrl_c_is_acknowledged_with_what_is_waited_for_before_the_calls_end() {
    let workspace = workspace_with(1_000, Duration::from_secs(2));
    let mut running = workspace.start_at_a_terminal(&RUN, 80);
    until_in_flight(&workspace);
    running.types(CTRL_C);
    let (code, received) = running.wait();
    assert_eq!(code, Some(5), "{received}");
    let texts = ["stopping: ", "waiting for ", " in flight, until ", "Ctrl-C again ends at once", "rows   "];
    in_sequence(&received, &texts);
    is_calm(&received, 80);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let workspace = workspace_with(1_000, Duration::from_secs(20));
    let mut running = workspace.start_at_a_terminal(&RUN, 80);
    until_in_flight(&workspace);
    running.types(CTRL_C);
    running.until("Ctrl-C again ends at once");
    running.types(CTRL_C);
    let (code, received) = running.wait();
    assert_eq!(code, Some(5), "{received}");
    in_sequence(&received, &["Ctrl-C again ends at once", "ended without waiting for the calls in flight"]);
}

#[test]
fn a_dumb_terminal_receives_no_escape_sequence() {
    let mut workspace = workspace(100);
    workspace.set_env("TERM", "dumb");
    let (code, received) = workspace.start_at_a_terminal(&RUN, 80).wait();
    assert_eq!(code, Some(0), "{received}");
    assert!(!received.contains('\u{1b}'), "{received:?}");
    assert!(received.contains("run started") && received.contains("run ended"), "{received:?}");
}

/// Whether a text sets colours or other attributes: `ESC [ … m`.
fn sets_attributes(received: &str) -> bool {
    let mut sequences = received.split("\u{1b}[").skip(1);
    sequences.any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[test]
fn no_color_is_obeyed() {
    let mut workspace = workspace(100);
    let logged: Vec<&str> = RUN.iter().copied().chain(["-v"]).collect();
    let received = |workspace: &Workspace, args: &[&str]| AtTerminal::wait(workspace.start_at_a_terminal(args, 80)).1;
    assert!(sets_attributes(&received(&workspace, &logged)), "the log has colours");
    workspace.set_env("NO_COLOR", "1");
    for args in [&[RUN.as_slice(), &["--again", "-v"]].concat()[..], &["--help"], &["run", "no-such.toml"]] {
        let received = received(&workspace, args);
        assert!(!sets_attributes(&received), "{args:?}: {received:?}");
    }
}
