//! The log: what it says of nights that nobody watches, where it goes, and what happens if it cannot be written.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use imbulk_sandbox::Command;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, plain, tally};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace};

const OPERATION: Command = Command::FriendDeleteAll;
const LOG: &str = "nights.log";

/// What happens in a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Night {
    Quiet,
    Throttled,
    /// Every call fails, and the next night resumes.
    Outage,
    /// Every item fails.
    Failures,
    /// The input has more rows than a guard allows.
    Refused,
}

impl Night {
    fn of(number: usize) -> Self {
        match number {
            4 | 22 => Self::Throttled,
            8 | 19 => Self::Outage,
            5 | 14 | 25 => Self::Failures,
            11 => Self::Refused,
            _others => Self::Quiet,
        }
    }

    fn fault(self) -> Option<&'static str> {
        match self {
            Self::Quiet | Self::Refused => None,
            Self::Throttled => Some("any:code=60007:#1"),
            Self::Outage => Some("any:http=502:1"),
            Self::Failures => Some("any:code=12345:1"),
        }
    }
}

/// The input of a night: with some duplicates, some rejected rows, and accounts of its own.
fn input(number: usize, night: Night) -> Vec<InputRow> {
    let rows = if night == Night::Refused { 60 } else { 8 + number % 5 };
    let mut input: Vec<_> = (0..rows).map(|row| InputRow::account(&format!("night_{number}_{row}"))).collect();
    if number.is_multiple_of(3) {
        input.push(input[0].clone());
    }
    if number.is_multiple_of(4) {
        input.push(InputRow::account("").invalid());
    }
    input
}

/// What a person knows of a night without the log.
struct Known {
    night: Night,
    exit_code: i32,
    outcomes: BTreeMap<String, u64>,
    milliseconds: u128,
}

/// Plays thirty nights as cron does: no terminal, one queue, one log.
fn play(workspace: &Workspace, format: &str) -> Vec<Known> {
    let job = JobFile::new("night", OPERATION)
        .with("guard", "max_items", 50)
        .with("retry", "base_delay", "\"300ms\"")
        .with("retry", "max_delay", "\"1s\"")
        // Longer than a throttle: on a busy machine no call may be sent between its answer and the end of its pause.
        .with("stop", "outage", "\"4s\"")
        .write(workspace);
    let mut nights = Vec::new();
    for number in 0..30 {
        let night = Night::of(number);
        // The night after an outage finds the same input.
        if number == 0 || Night::of(number - 1) != Night::Outage {
            workspace.write("night.csv", csv(OPERATION, &input(number, night)));
        }
        workspace.faults(&night.fault().into_iter().collect::<Vec<_>>());
        let begun = Instant::now();
        let output = workspace.imbulk(&["run", &job, "--execute", "--log-file", LOG, "--log-format", format]);
        let milliseconds = begun.elapsed().as_millis();
        let outcomes = match night {
            Night::Refused => BTreeMap::new(),
            _sent => tally(&workspace.results("night"))
                .iter()
                .map(|(name, rows)| ((*name).to_owned(), *rows as u64))
                .collect(),
        };
        nights.push(Known { night, exit_code: output.code, outcomes, milliseconds });
    }
    nights
}

/// The facts of one line.
type Facts = BTreeMap<String, String>;

fn facts_of_json(line: &str) -> Facts {
    let Value::Object(facts) = serde_json::from_str(line).expect("a JSON object per line") else {
        panic!("not an object: {line}");
    };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    facts.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// By searching strings, as `grep` does.
fn facts_of_text(line: &str) -> Facts {
    let mut facts: Facts = line
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    facts.insert("timestamp".to_owned(), line.split(' ').next().unwrap_or_default().to_owned());
    facts
}

/// What the log alone says of the nights is what happened.
#[track_caller]
fn the_log_alone_tells(format: &str, facts: fn(&str) -> Facts) {
    let workspace = Workspace::new();
    let known = play(&workspace, format);
    let log = std::fs::read_to_string(workspace.path(LOG)).expect("a log file");
    let lines: Vec<Facts> = log.lines().map(facts).collect();
    let nights: Vec<&[Facts]> =
        lines.split_inclusive(|line| line.get("event").is_some_and(|event| event == "end")).collect();
    assert!(nights.len() >= 30, "{} ends", nights.len());
    for (number, (known, night)) in known.iter().zip(&nights).enumerate() {
        let has = |event: &str| night.iter().any(|line| line.get("event").is_some_and(|found| found == event));
        let end = night.last().expect("a line");
        assert_eq!(end["exit_code"], known.exit_code.to_string(), "night {number}: {end:?}");
        assert_eq!(has("start"), known.night != Night::Refused, "night {number}");
        assert_eq!(has("throttled"), known.night == Night::Throttled, "night {number}");
        assert_eq!(has("outage_started"), known.night == Night::Outage, "night {number}: {night:#?}");
        assert_eq!(has("stopping"), known.night == Night::Outage, "night {number}");
        for line in *night {
            line["timestamp"].parse::<jiff::Timestamp>().expect("RFC 3339");
        }
        if known.night == Night::Refused {
            assert!(
                night.iter().any(|line| line.get("result").is_some_and(|result| result == "refused")),
                "{night:#?}"
            );
            continue;
        }
        let counted: BTreeMap<String, u64> = imbulk::domain::response::outcome::Outcome::ALL
            .iter()
            .map(|outcome| (outcome.to_string(), end[&outcome.to_string()].parse().expect("a number")))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        assert_eq!(counted, known.outcomes, "night {number}");
        let milliseconds: u128 = end["duration_ms"].parse().expect("a number");
        assert!(milliseconds <= known.milliseconds, "night {number}: {milliseconds} of {} ms", known.milliseconds);
        assert!(end["calls"].parse::<u64>().expect("a number") > 0, "night {number}");
    }
    let codes: Vec<i32> = known.iter().map(|known| known.exit_code).collect();
    assert!([0, 3, 4].iter().all(|code| codes.contains(code)), "{codes:?}");
}

#[test]
fn the_log_of_thirty_nights_in_json_says_of_each_what_happened() {
    the_log_alone_tells("json", facts_of_json);
}

#[test]
fn the_log_of_thirty_nights_in_text_says_of_each_what_happened() {
    the_log_alone_tells("text", facts_of_text);
}

fn small(workspace: &Workspace) -> String {
    JobFile::new("job", OPERATION).rows(&plain(OPERATION, 3)).write(workspace)
}

/// The lines of the log on standard error, by event.
fn events(output: &ProgramOutput) -> Vec<String> {
    let lines = output.stderr.lines().chain(output.stdout.lines()).filter(|line| line.contains(" event="));
    lines.filter_map(|line| facts_of_text(line).remove("event")).collect()
}

#[test]
fn without_a_terminal_standard_error_has_the_start_and_the_end_and_with_v_all_events() {
    let workspace = Workspace::new();
    let job = small(&workspace);
    let run = |more: &[&str]| workspace.imbulk(&[&["run", &job, "--execute", "--again"], more].concat()).expect(0);
    assert_eq!(events(&run(&[])), ["start", "end"]);
    let all = ["phase", "phase", "guard", "start", "phase", "phase", "phase", "phase", "end"];
    assert_eq!(events(&run(&["-v"])), all);
    let calls = run(&["-vv"]);
    let calls: Vec<Facts> =
        calls.stderr.lines().filter(|line| line.contains(" event=call ")).map(facts_of_text).collect();
    assert_eq!(calls.len(), 3);
    for call in &calls {
        for (fact, value) in
            [("items", "1"), ("call_number", "1"), ("command", "v4/sns/friend_delete_all"), ("status", "200")]
        {
            assert_eq!(call[fact], value, "{call:?}");
        }
        assert!(["request", "code", "duration_ms"].iter().all(|fact| call.contains_key(*fact)), "{call:?}");
    }
    assert_eq!(events(&run(&["-vv", "--log-file", "a.log"])), ["start", "end"], "-vv asks for the file");
    assert!(std::fs::read_to_string(workspace.path("a.log")).expect("a file").contains(" event=call "));
}

#[test]
fn on_a_terminal_start_and_end_are_left_to_the_display_and_the_summary() {
    let workspace = Workspace::new();
    let job = small(&workspace);
    let output = workspace.at_a_terminal(&["run", &job, "--execute", "--yes"], "");
    assert_eq!(events(&output), Vec::<String>::new(), "{output:#?}");
}

#[test]
fn the_log_file_is_appended_to_and_only_its_owner_may_read_it() {
    let workspace = Workspace::new();
    let job = small(&workspace);
    for _night in 0..2 {
        workspace.imbulk(&["run", &job, "--execute", "--again", "--log-file", LOG]).expect(0);
    }
    let log = std::fs::read_to_string(workspace.path(LOG)).expect("a file");
    assert_eq!(log.lines().filter(|line| line.contains(" event=end ")).count(), 2, "{log}");
    assert!(log.contains("note: created the queue"), "messages are in the log as well: {log}");
    let mode = std::fs::metadata(workspace.path(LOG)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_a_usage_error() {
    let workspace = Workspace::new();
    let job = small(&workspace);
    let run = |file: &str| workspace.imbulk(&["run", &job, "--execute", "--log-file", file]).expect(2);
    run("nowhere/night.log").says("error: --log-file nowhere/night.log: No such file").says("hint: create its folder");
    run(".").says("hint: name a file in this folder");
    assert_eq!(workspace.report().calls, 0);
}

#[test]
fn a_log_that_cannot_be_written_is_dropped_and_counted_and_the_run_goes_on() {
    let workspace = Workspace::new();
    let job = small(&workspace);
    let output = workspace.imbulk(&["run", &job, "--execute", "-vv", "--log-file", "/dev/full"]).expect(0);
    let output = output.says("/dev/full: ").says("lines of the log could not be written and were dropped");
    assert_eq!(events(&output), ["start", "end"]);
}
