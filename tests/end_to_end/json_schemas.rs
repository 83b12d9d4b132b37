//! The JSON of `plan`, `run`, `status` and `retry`: the schemas of `imbulk schema` accept it in every state of a run.

use std::collections::BTreeSet;

use imbulk_sandbox::Command;
use jsonschema::Validator;
use serde_json::{Map, Value};

use imbulk_testkit::rows::{InputRow, plain};
use imbulk_testkit::{Bench, BenchSetup, JobFile, ProgramOutput};

const OPERATION: Command = Command::FriendDeleteAll;

/// The schema that `imbulk schema NAME` prints.
fn schema(bench: &Bench, name: &str) -> Validator {
    let schema = bench.imbulk(&["schema", name]).expect(0).stdout;
    let schema = serde_json::from_str(&schema).expect("JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// The JSON that a command printed, which its schema accepts.
#[track_caller]
fn accepted(bench: &Bench, name: &str, output: &ProgramOutput) -> Value {
    let json: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"));
    let errors: Vec<String> = schema(bench, name).iter_errors(&json).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{name}: {json:#}");
    assert!(!has_empty_text(&json), "null is written for what is not known: {json:#}");
    json
}

fn has_empty_text(json: &Value) -> bool {
    match json {
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.iter().any(has_empty_text),
        Value::Object(object) => object.values().any(has_empty_text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The status of the job `job` and of the queue, and the state of the job's run.
#[track_caller]
fn state(bench: &Bench) -> String {
    let overview = accepted(bench, "status", &bench.imbulk(&["status", "--json"]).expect(0));
    assert_eq!(overview["schema"], 1);
    let detail = accepted(bench, "status", &bench.imbulk(&["status", "job", "--json"]).expect(0));
    assert_eq!(detail["schema"], 1);
    detail["state"].as_str().expect("a name").to_owned()
}

/// Runs `imbulk plan job.toml --json`.
#[track_caller]
fn plan(bench: &Bench, code: i32) -> Value {
    let plans = accepted(bench, "plan", &bench.imbulk(&["plan", "job.toml", "--json"]).expect(code));
    assert_eq!(plans[0]["schema"], 1);
    plans
}

/// Runs `imbulk run job.toml --execute --json` with more arguments.
#[track_caller]
fn run(bench: &Bench, args: &[&str], code: i32) -> Value {
    let args = [&["run", "job.toml", "--execute", "--yes", "--json"], args].concat();
    let summaries = accepted(bench, "run", &bench.imbulk(&args).expect(code));
    assert!(summaries.as_array().expect("a list").iter().all(|summary| summary["schema"] == 1));
    summaries
}

#[track_caller]
fn retry(bench: &Bench, args: &[&str]) -> Value {
    let args = [&["retry", "job", "--json"], args].concat();
    let report = accepted(bench, "retry", &bench.imbulk(&args).expect(0));
    assert_eq!(report["schema"], 1);
    report
}

fn job() -> JobFile {
    JobFile::new("job", OPERATION).protecting("u1\n")
}

/// Rows of which one is rejected, one repeats another, and one is protected.
fn rows(number: usize) -> Vec<InputRow> {
    let mut rows = plain(OPERATION, number);
    rows.extend([InputRow::account("").invalid(), rows[2].clone()]);
    rows
}

fn bench_of(rows: &[InputRow]) -> Bench {
    job().rows(rows).on(BenchSetup::default()).0
}

#[test]
fn the_schemas_accept_a_run_from_its_plan_to_its_last_retry() {
    let bench = bench_of(&rows(30));
    let plans = plan(&bench, 0);
    assert_eq!((plans[0]["plan_id"].is_string(), &plans[0]["conditions"]["since_last_plan"]), (true, &Value::Null));
    plan(&bench, 0);
    accepted(&bench, "plan", &bench.imbulk(&["run", "job.toml", "--json"]).expect(0));
    assert_eq!(state(&bench), "planned");
    run(&bench, &["--limit", "5"], 5);
    assert_eq!(state(&bench), "stopped");
    plan(&bench, 0);
    bench.faults(&["any:code=70402:0.5"]);
    let summaries = run(&bench, &[], 3);
    assert!(summaries[0]["outcomes"]["failed"].as_u64() > Some(0), "{summaries:#}");
    assert_eq!(state(&bench), "finished");
    assert_eq!(plan(&bench, 0)[0]["plan_id"], Value::Null);
    assert_eq!(run(&bench, &[], 3), Value::Array(Vec::new()), "nothing is left to do");
    assert_eq!(retry(&bench, &["--outcome", "in_doubt"])["rows"], 0);
    assert!(retry(&bench, &[])["rows"].as_u64() > Some(0));
    assert_eq!(state(&bench), "stopped");
    bench.write("job.csv", imbulk_testkit::rows::csv(OPERATION, &rows(31)));
    let plans = plan(&bench, 0);
    assert_eq!(plans[0]["conditions"]["continues"].as_array().map(Vec::len), Some(1), "{plans:#}");
    bench.faults(&[]);
    run(&bench, &["--again"], 3);
    let overview = accepted(&bench, "status", &bench.imbulk(&["status", "--json"]).expect(0));
    assert_eq!(overview["runs"][0]["state"], "superseded");
}

#[test]
fn the_schemas_accept_runs_that_are_refused_or_halted() {
    let bench = bench_of(&rows(2_000));
    job().with("guard", "min_items", 5_000).with("guard", "max_change", 2).write(&bench);
    let refused = plan(&bench, 4);
    assert_eq!(refused[0]["conditions"]["guards"][0]["allows"], false, "{refused:#}");
    assert_eq!(run(&bench, &[], 4), Value::Array(Vec::new()));
    assert_eq!(state(&bench), "planned");
    bench.faults(&["any:code=70402:1"]);
    job().with("guard", "canary", 20).write(&bench);
    let summaries = run(&bench, &[], 4);
    assert_eq!(summaries[0]["state"], "halted");
    assert_eq!(state(&bench), "halted");
    job().without("app", "sdkappid").with("stop", "window", "\"00:00-23:59\"").write(&bench);
    plan(&bench, 4);
}

#[test]
fn the_schemas_accept_a_run_while_it_is_sent_and_after_a_kill() {
    let bench = bench_of(&rows(20_000));
    job().with("limits", "calls_per_second", 50).write(&bench);
    let mut running = bench.start_run("job.toml");
    bench.until_calls(10, &mut running);
    assert_eq!(state(&bench), "sending");
    bench.imbulk(&["ctl", "job", "pause"]).expect(0);
    assert_eq!(state(&bench), "sending");
    running.kill();
    assert_eq!(state(&bench), "interrupted");
}

/// Every object of a value except those in `sample_body`, which is the API's own: pointers to them.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.push(at.to_owned());
            let own = object.iter().filter(|(key, _)| *key != "sample_body");
            own.for_each(|(key, value)| objects(value, &format!("{at}/{key}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| objects(value, &format!("{at}/{index}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn object<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object")
}

#[test]
fn the_schemas_refuse_a_key_that_is_new_and_a_key_that_is_missing() {
    let bench = bench_of(&rows(30));
    bench.faults(&["any:code=70402:0.5"]);
    let plans = plan(&bench, 0);
    let summaries = run(&bench, &[], 3);
    let detail = accepted(&bench, "status", &bench.imbulk(&["status", "job", "--json"]).expect(0));
    let overview = accepted(&bench, "status", &bench.imbulk(&["status", "--json"]).expect(0));
    let retried = retry(&bench, &[]);
    let mut changed = BTreeSet::new();
    for (name, json) in
        [("plan", plans), ("run", summaries), ("status", detail), ("status", overview), ("retry", retried)]
    {
        let schema = schema(&bench, name);
        let mut pointers = Vec::new();
        objects(&json, "", &mut pointers);
        for pointer in pointers {
            let mut with_more = json.clone();
            object(&mut with_more, &pointer).insert("new_key".to_owned(), Value::Null);
            assert!(!schema.is_valid(&with_more), "{name}: {pointer} may have a key that is new");
            let keys: Vec<String> = object(&mut json.clone(), &pointer).keys().cloned().collect();
            for key in keys {
                let mut with_less = json.clone();
                object(&mut with_less, &pointer).remove(&key);
                assert!(!schema.is_valid(&with_less), "{name}: {pointer} may lack {key}");
                changed.insert(format!("{name}{pointer}/{key}"));
            }
        }
    }
    assert!(changed.len() > 100, "{changed:?}");
}
