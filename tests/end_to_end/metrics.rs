//! `report.metrics`: the file is one that Prometheus reads, and its numbers are those of `run --json`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use imbulk_sandbox::Command;
use rustix::process::Signal;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, plain};
use imbulk_testkit::{APP, JobFile, Workspace};

const OPERATION: Command = Command::FriendDeleteAll;
const FILE: &str = "imbulk.prom";
const SUCCESS: &str = "imbulk_last_success_timestamp_seconds";
const LAST_RUN: &str = "imbulk_last_run_timestamp_seconds";
const EXIT_CODE: &str = "imbulk_last_run_exit_code";

/// A sample: its metric with all labels.
type Sample = (String, BTreeMap<String, String>);

/// Reads a text as Prometheus does, and refuses what `promtool check metrics` refuses.
fn parse(text: &str) -> BTreeMap<Sample, f64> {
    assert!(text.ends_with('\n'), "the last line has an end");
    let (mut samples, mut described, mut types) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# HELP ") {
            let (name, help) = comment.split_once(' ').expect("a name and a text");
            assert!(!help.is_empty() && described.insert(name.to_owned()), "one text for each metric: {line}");
            continue;
        }
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, kind) = comment.split_once(' ').expect("a name and a type");
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "only counters end with _total: {line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "one type for each metric: {line}");
            name.clone_into(&mut current);
            continue;
        }
        let (sample, value) = sample(line);
        assert_eq!(sample.0, current, "samples follow the type of their metric: {line}");
        assert!(described.contains(&sample.0), "{line}");
        assert!(samples.insert(sample, value).is_none(), "twice: {line}");
    }
    samples
}

fn sample(line: &str) -> (Sample, f64) {
    let (name, rest) = line.split_once('{').expect("labels");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
    let (labels, value) = rest.rsplit_once("} ").expect("a value");
    let mut all = BTreeMap::new();
    for label in labels.split(',') {
        let (label, text) = label.split_once('=').expect("a label");
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("quotes");
        assert!(!text.contains(['"', '\\']), "names of these tests need no escapes: {line}");
        assert!(all.insert(label.to_owned(), text.to_owned()).is_none(), "{line}");
    }
    ((name.to_owned(), all), value.parse().expect("a number"))
}

struct Metrics(BTreeMap<Sample, f64>);

impl Metrics {
    fn of(workspace: &Workspace) -> Self {
        Self(parse(&std::fs::read_to_string(workspace.path(FILE)).expect("a metrics file")))
    }

    /// The value of a metric of the job, with or without an outcome.
    fn get(&self, name: &str, outcome: Option<&str>) -> Option<f64> {
        let labels = [("job", "night"), ("target", &*format!("{APP} on loopback")), ("operation", OPERATION.name())];
        let labels = labels.into_iter().chain(outcome.map(|outcome| ("outcome", outcome)));
        let labels = labels.map(|(label, text)| (label.to_owned(), text.to_owned())).collect();
        self.0.get(&(name.to_owned(), labels)).copied()
    }

    fn value(&self, name: &str) -> f64 {
        self.get(name, None).unwrap_or_else(|| panic!("no {name}"))
    }
}

fn job() -> JobFile {
    JobFile::new("night", OPERATION).with("report", "metrics", format!("{FILE:?}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Equal up to the last digits of a decimal fraction.
fn assert_equal(one: f64, other: f64, what: &str) {
    assert!((one - other).abs() < 1e-6, "{what}: {one} is not {other}");
}

#[test]
fn the_numbers_of_the_metrics_are_those_of_the_summary() {
    let mut rows = plain(OPERATION, 40);
    rows.push(rows[0].clone());
    rows.push(InputRow::account("").invalid());
    let (workspace, job) = job().rows(&rows).in_a_workspace();
    workspace.faults(&["any:code=60007:#1", "any:code=12345:#9"]);
    let mut calls = 0.0;
    for night in 1..=2 {
        let done = workspace.imbulk(&["run", &job, "--execute", "--yes", "--again", "--json"]);
        let summary: Value = serde_json::from_str(&done.stdout).expect("a list of summaries");
        let metrics = Metrics::of(&workspace);
        for (outcome, count) in summary[0]["outcomes"].as_object().expect("outcomes") {
            let shown = metrics.get("imbulk_last_run_rows", Some(outcome)).expect("every outcome");
            assert_equal(shown, number(count), outcome);
        }
        let session = &summary[0]["session"];
        calls += number(&session["calls"]);
        assert_equal(metrics.value("imbulk_calls_total"), calls, "calls of all nights");
        assert_equal(metrics.value("imbulk_last_run_duration_seconds"), number(&session["seconds"]), "duration");
        let fullest = metrics.value("imbulk_last_run_fullest_second_calls");
        assert_equal(fullest, number(&session["fullest_second"]), "the fullest second");
        assert!(fullest >= 1.0 && fullest <= number(&session["calls"]));
        assert_equal(metrics.value("imbulk_throttles_total"), 1.0, "the server throttled one call");
        assert_equal(number(&session["throttles"]), if night == 1 { 1.0 } else { 0.0 }, "throttles of this night");
        assert_equal(metrics.value(EXIT_CODE), 3.0, "a row was rejected");
        assert_equal(metrics.value(SUCCESS), 0.0, "no command succeeded");
    }
    let mode = std::fs::metadata(workspace.path(FILE)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o044, 0o044, "node_exporter is another user");
}

#[test]
fn a_failed_night_keeps_the_time_of_the_last_success() {
    let workspace = Workspace::new();
    let job = job().with("guard", "max_items", 50).rows(&plain(OPERATION, 9)).write(&workspace);
    workspace.run(&job).expect(0);
    let good = Metrics::of(&workspace);
    assert_equal(good.value(SUCCESS), good.value(LAST_RUN), "a success");

    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 60)));
    workspace.run(&job).expect(4);
    let refused = Metrics::of(&workspace);
    assert_equal(refused.value(EXIT_CODE), 4.0, "the guard refuses");
    assert_equal(refused.value(SUCCESS), good.value(SUCCESS), "the earlier success");
    assert!(refused.value(LAST_RUN) > good.value(LAST_RUN));
    assert_eq!(refused.get("imbulk_last_run_rows", Some("succeeded")), None, "nothing was sent");

    workspace.write("night.csv", "id\nx\n");
    workspace.run(&job).expect(2);
    assert_equal(Metrics::of(&workspace).value(EXIT_CODE), 2.0, "the input has no such column");
    assert_equal(Metrics::of(&workspace).value(SUCCESS), good.value(SUCCESS), "the earlier success");

    workspace.write("night.csv", csv(OPERATION, &plain(OPERATION, 9)));
    workspace.run(&job).expect(0);
    let finished_before = Metrics::of(&workspace);
    assert!(finished_before.value(SUCCESS) > good.value(SUCCESS), "there was nothing to do");
    let rows = |metrics: &Metrics| metrics.get("imbulk_last_run_rows", Some("succeeded"));
    assert_eq!((rows(&finished_before), rows(&good).is_some()), (rows(&good), true));
    assert_equal(finished_before.value("imbulk_calls_total"), good.value("imbulk_calls_total"), "nothing was sent");
}

#[test]
fn a_night_that_is_stopped_early_is_a_success_if_rows_got_outcomes() {
    let (workspace, job) = job().rows(&plain(OPERATION, 4000)).with("limits", "calls_per_second", 50).in_a_workspace();
    let mut running = workspace.start_run(&job);
    workspace.until_calls(20, &mut running);
    running.signal(Signal::TERM);
    running.wait().expect(5);
    let stopped = Metrics::of(&workspace);
    assert_equal(stopped.value(EXIT_CODE), 5.0, "stopped");
    assert_equal(stopped.value(SUCCESS), stopped.value(LAST_RUN), "it got further");
    workspace.imbulk(&["ctl", "night", "pause"]).expect(0);
    workspace.run(&job).expect(5);
    let paused = Metrics::of(&workspace);
    assert_equal(paused.value(SUCCESS), stopped.value(SUCCESS), "a paused run gets no further");
    assert!(paused.value(LAST_RUN) > stopped.value(LAST_RUN));
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning_and_a_foreign_one_stays() {
    let (workspace, file) = job().rows(&plain(OPERATION, 3)).in_a_workspace();
    workspace.write(FILE, "node_load1 0.5\n");
    workspace.run(&file).expect(0).says("line 1 is not a metric of imbulk").says("hint: name another file");
    assert_eq!(std::fs::read_to_string(workspace.path(FILE)).expect("a file"), "node_load1 0.5\n");
    let missing = job().with("report", "metrics", "\"no/such/folder/x.prom\"").write(&workspace);
    workspace.run(&missing).expect(0).says("report.metrics: cannot write").says("hint: the folder must exist");
    workspace
        .run(&job().with("report", "metrics", "\"night.csv\"").write(&workspace))
        .expect(2)
        .says("does not end with");
}

#[test]
fn a_rehearsal_writes_no_metrics() {
    let (workspace, job) = job().rows(&plain(OPERATION, 3)).in_a_workspace();
    workspace.imbulk(&["run", &job, "--sandbox"]).expect(0);
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.imbulk(&["run", &job]).expect(0);
    assert!(!workspace.path(FILE).exists());
}
