//! The JSON of `plan`, `run`, `status`, `retry`, `explain` and others: the schemas of `imbulk schema` accept it in
//! every state of a run.

use std::collections::BTreeSet;

use imbulk_sandbox::Command;
use jsonschema::Validator;
use serde_json::{Map, Value};

use imbulk_testkit::rows::{InputRow, csv, plain};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;

/// The schema that `imbulk schema NAME` prints.
fn schema(workspace: &Workspace, name: &str) -> Validator {
    let schema = workspace.imbulk(&["schema", name]).expect(0).stdout;
    let schema = serde_json::from_str(&schema).expect("JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// The JSON that a command printed, which its schema accepts.
#[track_caller]
fn accepted(workspace: &Workspace, name: &str, output: &ProgramOutput) -> Value {
    let json: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"));
    let errors: Vec<String> = schema(workspace, name).iter_errors(&json).map(|error| error.to_string()).collect();
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
fn state(workspace: &Workspace) -> String {
    let overview = accepted(workspace, "status", &workspace.imbulk(&["status", "--json"]).expect(0));
    assert_eq!(overview["schema"], 1);
    let detail = accepted(workspace, "status", &workspace.imbulk(&["status", "job", "--json"]).expect(0));
    assert_eq!(detail["schema"], 1);
    detail["state"].as_str().expect("a name").to_owned()
}

/// Runs `imbulk plan job.toml --json`.
#[track_caller]
fn plan(workspace: &Workspace, code: i32) -> Value {
    let plans = accepted(workspace, "plan", &workspace.imbulk(&["plan", "job.toml", "--json"]).expect(code));
    assert_eq!(plans[0]["schema"], 1);
    plans
}

/// Runs `imbulk run job.toml --execute --json` with more arguments.
#[track_caller]
fn run(workspace: &Workspace, args: &[&str], code: i32) -> Value {
    let args = [&["run", "job.toml", "--execute", "--yes", "--json"], args].concat();
    let summaries = accepted(workspace, "run", &workspace.imbulk(&args).expect(code));
    assert!(summaries.as_array().expect("a list").iter().all(|summary| summary["schema"] == 1));
    summaries
}

#[track_caller]
fn retry(workspace: &Workspace, args: &[&str]) -> Value {
    let args = [&["retry", "job", "--json"], args].concat();
    let report = accepted(workspace, "retry", &workspace.imbulk(&args).expect(0));
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

fn workspace_of(rows: &[InputRow]) -> Workspace {
    job().rows(rows).on(WorkspaceSetup::default()).0
}

#[test]
fn the_schemas_accept_a_run_from_its_plan_to_its_last_retry() {
    let workspace = workspace_of(&rows(30));
    let plans = plan(&workspace, 0);
    assert_eq!((plans[0]["plan_id"].is_string(), &plans[0]["conditions"]["since_last_plan"]), (true, &Value::Null));
    plan(&workspace, 0);
    accepted(&workspace, "plan", &workspace.imbulk(&["run", "job.toml", "--json"]).expect(0));
    assert_eq!(state(&workspace), "planned");
    run(&workspace, &["--limit", "5"], 5);
    assert_eq!(state(&workspace), "stopped");
    plan(&workspace, 0);
    workspace.faults(&["any:code=70402:0.5"]);
    let summaries = run(&workspace, &[], 3);
    assert!(summaries[0]["outcomes"]["failed"].as_u64() > Some(0), "{summaries:#}");
    assert_eq!(state(&workspace), "finished");
    assert_eq!(plan(&workspace, 0)[0]["plan_id"], Value::Null);
    assert_eq!(run(&workspace, &[], 3), Value::Array(Vec::new()), "nothing is left to do");
    assert_eq!(retry(&workspace, &["--outcome", "in_doubt"])["rows"], 0);
    assert!(retry(&workspace, &[])["rows"].as_u64() > Some(0));
    assert_eq!(state(&workspace), "stopped");
    workspace.write("job.csv", csv(OPERATION, &rows(31)));
    let plans = plan(&workspace, 0);
    assert_eq!(plans[0]["conditions"]["continues"].as_array().map(Vec::len), Some(1), "{plans:#}");
    workspace.faults(&[]);
    run(&workspace, &["--again"], 3);
    let overview = accepted(&workspace, "status", &workspace.imbulk(&["status", "--json"]).expect(0));
    assert_eq!(overview["runs"][0]["state"], "superseded");
}

#[test]
fn the_schemas_accept_runs_that_are_refused_or_halted() {
    let workspace = workspace_of(&rows(2_000));
    job().with("guard", "min_items", 5_000).with("guard", "max_change", 2).write(&workspace);
    let refused = plan(&workspace, 4);
    assert_eq!(refused[0]["conditions"]["guards"][0]["allows"], false, "{refused:#}");
    assert_eq!(run(&workspace, &[], 4), Value::Array(Vec::new()));
    assert_eq!(state(&workspace), "planned");
    workspace.faults(&["any:code=70402:1"]);
    job().with("guard", "canary", 20).write(&workspace);
    let summaries = run(&workspace, &[], 4);
    assert_eq!(summaries[0]["state"], "halted");
    assert_eq!(state(&workspace), "halted");
    job().without("app", "sdkappid").with("stop", "window", "\"00:00-23:59\"").write(&workspace);
    plan(&workspace, 4);
}

#[test]
fn the_schemas_accept_carried_rows_and_what_forget_removes() {
    let job = JobFile::new("job", OPERATION).with("retry", "carry_over", 2).with("stop", "failed_share", 1.0);
    let (workspace, _) = job.rows(&plain(OPERATION, 20)).in_a_workspace();
    workspace.faults(&["any:code=70402:1"]);
    run(&workspace, &[], 3);
    workspace.write("job.csv", imbulk_testkit::rows::csv(OPERATION, &[InputRow::account("another")]));
    let plans = plan(&workspace, 0);
    assert_eq!((&plans[0]["carried_over"]["rows"], &plans[0]["rows"]), (&20.into(), &21.into()));
    let summary = run(&workspace, &[], 3);
    assert_eq!(summary[0]["carried_over"]["left_behind"], 0);
    let first = summary[0]["carried_over"]["run"].as_str().expect("an id");
    let away = accepted(&workspace, "retry", &workspace.imbulk(&["retry", first, "--json"]).expect(0));
    assert_eq!((&away["rows"], &away["carried_over"]["rows"]), (&0.into(), &20.into()));
    let shown =
        accepted(&workspace, "forget", &workspace.imbulk(&["forget", "--older-than", "0s", "--json"]).expect(0));
    assert_eq!((&shown["executed"], &shown["removed"][0]["run"]), (&false.into(), &first.into()));
    assert_eq!(shown["kept"][0]["retryable_rows"], 21);
    let forget = ["forget", "--older-than", "0s", "--execute", "--json"];
    let done = accepted(&workspace, "forget", &workspace.imbulk(&forget).expect(0));
    assert_eq!((&done["executed"], &done["removed"][0]["rows"]), (&true.into(), &20.into()));
}

#[test]
fn the_schema_accepts_every_explanation() {
    let workspace = workspace_of(&rows(30));
    workspace.faults(&["any:code=70402:#1"]);
    run(&workspace, &[], 3);
    let explain = |args: &[&str]| {
        let output = workspace.imbulk(&[&["explain", "--json"], args].concat()).expect(0);
        accepted(&workspace, "explain", &output)
    };
    assert_eq!(explain(&["70107"])["known"], true);
    assert_eq!(explain(&["12345"])["meaning"], Value::Null);
    let all = explain(&["--list"])["codes"].as_array().map_or(0, Vec::len);
    let fatal = explain(&["--list", "--class", "fatal"])["codes"].as_array().map_or(0, Vec::len);
    assert!(0 < fatal && fatal < all, "{fatal} of {all}");
    let of_run = explain(&["job"]);
    let codes = of_run["codes"].as_array().expect("a list");
    let invalid = codes.iter().find(|code| code["code"] == 70402).unwrap_or_else(|| panic!("{of_run:#}"));
    assert_eq!((&invalid["class"], &invalid["outcomes"][0]["rows"]), (&"item_failed".into(), &invalid["rows"]));
}

#[test]
fn the_schemas_accept_a_run_while_it_is_sent_and_after_a_kill() {
    let workspace = workspace_of(&rows(20_000));
    job().with("limits", "calls_per_second", 50).write(&workspace);
    let mut running = workspace.start_run("job.toml");
    workspace.until_calls(10, &mut running);
    assert_eq!(state(&workspace), "sending");
    workspace.imbulk(&["ctl", "job", "pause"]).expect(0);
    assert_eq!(state(&workspace), "sending");
    running.kill();
    assert_eq!(state(&workspace), "interrupted");
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
    let workspace = workspace_of(&rows(30));
    workspace.faults(&["any:code=70402:0.5"]);
    let plans = plan(&workspace, 0);
    let summaries = run(&workspace, &[], 3);
    let detail = accepted(&workspace, "status", &workspace.imbulk(&["status", "job", "--json"]).expect(0));
    let overview = accepted(&workspace, "status", &workspace.imbulk(&["status", "--json"]).expect(0));
    let verified = workspace.imbulk(&["verify", "job", "--outcome", "succeeded,failed", "--json"]).expect(3);
    let verified = accepted(&workspace, "verify", &verified);
    let retried = retry(&workspace, &[]);
    let mut changed = BTreeSet::new();
    for (name, json) in [
        ("plan", plans),
        ("run", summaries),
        ("status", detail),
        ("status", overview),
        ("retry", retried),
        ("verify", verified),
    ] {
        let schema = schema(&workspace, name);
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
