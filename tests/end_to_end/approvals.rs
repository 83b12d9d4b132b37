//! `guard.approval`: nothing is sent before a second person has signed the plan.

use std::collections::BTreeSet;
use std::process::Command as Process;

use clap::CommandFactory;
use imbulk::cli::Cli;
use imbulk_sandbox::Command;
use imbulk_testkit::requirements::{Requirement, are_met};
use imbulk_testkit::rows::{csv, plain};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace};
use serde_json::Value;

use crate::certificates::key;

const OPERATION: Command = Command::AccountDelete;
const REQUEST: &str = "approval.json";

fn has_tools() -> bool {
    are_met("approvals", &[Requirement::Tool("ssh-keygen")])
}

/// A workspace whose job needs an approval by ann or bob. The key of eve is not allowed.
fn guarded(rows: usize) -> (Workspace, JobFile) {
    let job = JobFile::new("job", OPERATION).rows(&plain(OPERATION, rows)).with("guard", "approval", "\"allowed\"");
    let (workspace, _) = job.in_a_workspace();
    for name in ["ann", "bob", "eve"] {
        key(&workspace, name);
    }
    let line = |name: &str| std::fs::read_to_string(workspace.path(&format!("{name}.signers"))).expect("a file");
    workspace.write("allowed", format!("{}{}", line("ann"), line("bob")));
    (workspace, job)
}

/// ann asks for an approval. Returns the id of the plan.
fn ask(workspace: &Workspace) -> String {
    let output = workspace.imbulk(&["plan", "job.toml", "--json", "--approval-request", REQUEST, "--key", "ann"]);
    let plans: Value = serde_json::from_str(&output.expect(0).stdout).expect("JSON");
    plans[0]["plan_id"].as_str().expect("an id").to_owned()
}

/// Signs the request. `requester` is empty for the person who approves.
fn sign(workspace: &Workspace, who: &str, namespace: &str, ending: &str) {
    let file = std::fs::File::open(workspace.path(REQUEST)).expect("a file");
    let mut sign = Process::new("ssh-keygen");
    sign.args(["-Y", "sign", "-n", namespace, "-f"]).arg(workspace.path(who)).stdin(file);
    let output = sign.output().expect("ssh-keygen");
    assert!(output.status.success(), "{output:?}");
    workspace.write(&format!("{REQUEST}{ending}"), output.stdout);
}

fn approve(workspace: &Workspace, who: &str) {
    sign(workspace, who, "imbulk-approval", ".sig");
}

/// Changes a request, which both persons then sign.
fn forge(workspace: &Workspace, change: impl Fn(&mut Value)) {
    let text = std::fs::read(workspace.path(REQUEST)).expect("a file");
    let mut request = serde_json::from_slice(&text).expect("JSON");
    change(&mut request);
    workspace.write(REQUEST, serde_json::to_vec(&request).expect("JSON"));
    sign(workspace, "ann", "imbulk-approval-request", ".requester.sig");
    approve(workspace, "bob");
}

fn run(workspace: &Workspace, plan: &str) -> ProgramOutput {
    workspace.imbulk(&["run", "job.toml", "--execute", "--plan", plan, "--approval", REQUEST])
}

#[test]
fn only_the_plan_that_a_second_person_signed_is_sent_and_only_once() {
    if !has_tools() {
        return;
    }
    let (workspace, _) = guarded(300);
    let plan = ask(&workspace);
    let refused = |says: &str| {
        run(&workspace, &plan).expect(4).says(says);
        assert_eq!(workspace.report().calls, 0, "{says}");
    };
    workspace.imbulk(&["run", "job.toml", "--execute"]).expect(4).says("a second person has to approve");
    let asked = workspace.imbulk(&["plan", "job.toml", "--approval-request", REQUEST, "--key", "ann"]).expect(0);
    let command = format!("imbulk run job.toml --execute --plan {plan} --approval {REQUEST}");
    assert!(asked.stdout.contains(&command), "{}", asked.stdout);
    refused("approval.json.sig: nothing is sent");
    approve(&workspace, "ann");
    refused("the person who asked for the approval signed it");
    approve(&workspace, "eve");
    refused("the signature is not valid");
    sign(&workspace, "bob", "imbulk-certificate", ".sig");
    refused("the signature is not valid");
    forge(&workspace, |request| request["expires_at"] = "2026-01-01T00:00:00Z".into());
    refused("has expired");
    for (pointer, other) in [
        ("/plan", "0123456789ab".into()),
        ("/runs/0/items", 299.into()),
        ("/runs/0/job", "x".into()),
        ("/requested_by", "x".into()),
    ] {
        ask(&workspace);
        forge(&workspace, |request| *request.pointer_mut(pointer).expect("a value") = Value::clone(&other));
        refused("for another plan");
    }
    ask(&workspace);
    approve(&workspace, "bob");
    let text = std::fs::read_to_string(workspace.path(REQUEST)).expect("a file");
    workspace.write(REQUEST, text.replace("\"items\": 300", "\"items\": 301"));
    refused("the signature is not valid");
    // Another input is another plan.
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 200)));
    workspace.write(REQUEST, text);
    refused("this is not plan");
    let other = ask(&workspace);
    approve(&workspace, "bob");
    refused("this is not plan");
    run(&workspace, &other).expect(0);
    let calls = workspace.report().calls;
    assert!(calls > 0);
    run(&workspace, &other).expect(4);
    workspace.imbulk(&["run", "job.toml", "--execute", "--again"]).expect(4).says("a second person has to approve");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn the_rest_of_an_approved_run_needs_no_second_approval() {
    if !has_tools() {
        return;
    }
    let (workspace, _) = guarded(300);
    let plan = ask(&workspace);
    approve(&workspace, "bob");
    let shows = |code: i32| workspace.imbulk(&["plan", "job.toml"]).expect(code).stdout;
    assert!(shows(4).contains("refused: ") && shows(4).contains("a second person has to approve this run"));
    let limited = ["run", "job.toml", "--execute", "--plan", &plan, "--approval", REQUEST, "--limit", "100"];
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.imbulk(&limited).expect(5);
    assert!(!shows(0).contains("approve"), "the rest needs no approval");
    let asked = ["plan", "job.toml", "--approval-request", "second.json", "--key", "ann"];
    workspace.imbulk(&asked).expect(2).says("no run of this plan needs an approval");
    run(&workspace, &plan).expect(4);
    workspace.imbulk(&["run", "job.toml", "--execute"]).expect(3);
    workspace.faults(&[]);
    workspace.imbulk(&["retry", "job"]).expect(0);
    workspace.imbulk(&["run", "job.toml", "--execute"]).expect(0);
    // The approval was for this run only.
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 200)));
    workspace.imbulk(&["run", "job.toml", "--execute"]).expect(4).says("a second person has to approve");
}

/// The options of `run`. A new one has to be considered here: can anything be sent with it that nobody approved?
const OPTIONS: [&str; 15] = [
    "again",
    "approval",
    "execute",
    "help",
    "jobs",
    "json",
    "limit",
    "log_file",
    "log_format",
    "plan",
    "queue",
    "resume",
    "sandbox",
    "verbose",
    "yes",
];

/// Starts a run with each choice of its options. None may send anything.
fn every_way_in_is_refused(workspace: &Workspace, plan: &str, state: &str) {
    let calls = workspace.report().calls;
    let choices: [&[&str]; 7] = [
        &["--again"],
        &["--resume"],
        &["--limit", "3"],
        &["--json"],
        &["--plan", plan],
        &["--approval", REQUEST],
        &["other.toml"],
    ];
    for set in 0..1_u32 << choices.len() {
        let chosen = choices.iter().enumerate().filter(|(bit, _)| set & 1 << bit != 0);
        let chosen: Vec<&str> = chosen.flat_map(|(_, words)| words.iter().copied()).collect();
        let args = [&["run", "job.toml", "--execute", "--yes"], &chosen[..]].concat();
        let output = workspace.imbulk(&args);
        assert!(matches!(output.code, 2 | 4), "{state}: {args:?}: {output:#?}");
        assert_eq!(workspace.report().calls, calls, "{state}: {args:?}");
    }
    workspace.imbulk(&["run", "job.toml", "--sandbox"]).expect(0);
    assert_eq!(workspace.report().calls, calls, "{state}: the sandbox is not the app");
}

#[test]
fn without_an_approval_no_way_in_sends_anything() {
    if !has_tools() {
        return;
    }
    let mut cli = Cli::command();
    cli.build();
    let run = cli.find_subcommand("run").expect("a subcommand");
    let ids: BTreeSet<&str> = run.get_arguments().map(|arg| arg.get_id().as_str()).collect();
    assert_eq!(ids, OPTIONS.into(), "a new option of `run`");
    let (workspace, job) = guarded(20);
    let other = JobFile::new("other", OPERATION).rows(&plain(OPERATION, 20));
    other.with("guard", "approval", "\"allowed\"").write(&workspace);
    every_way_in_is_refused(&workspace, "0123456789ab", "new");
    let plan = ask(&workspace);
    every_way_in_is_refused(&workspace, &plan, "planned");
    // A run that began before the job required an approval.
    JobFile::new("job", OPERATION).rows(&plain(OPERATION, 20)).write(&workspace);
    workspace.imbulk(&["run", "job.toml", "--execute", "--limit", "5"]).expect(5);
    assert!(workspace.report().calls > 0, "it has begun");
    job.write(&workspace);
    every_way_in_is_refused(&workspace, &plan, "unfinished");
}

#[test]
fn plan_and_run_refuse_a_file_of_signers_that_cannot_be_read() {
    let job = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 3)).with("guard", "approval", "\"allowed\"");
    let (workspace, _) = job.in_a_workspace();
    for args in [&["plan", "job.toml"][..], &["run", "job.toml", "--execute"]] {
        workspace
            .imbulk(args)
            .expect(2)
            .says("job.toml: guard.approval: cannot read")
            .says("a name and an ssh public key");
    }
}

#[test]
fn an_approval_that_no_job_requires_is_refused() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 20)).in_a_workspace();
    let args = ["run", &job, "--execute", "--plan", "0123456789ab", "--approval", "a.json"];
    workspace.imbulk(&args).expect(2).says("no job of the command requires an approval");
}

#[test]
fn a_request_is_not_written_over_a_file_that_is_used() {
    if !has_tools() {
        return;
    }
    let (workspace, _) = guarded(3);
    for file in ["job.toml", "job.csv", "imbulk.db", "ann"] {
        let before = std::fs::read(workspace.path(file)).unwrap_or_default();
        let output = workspace.imbulk(&["plan", "job.toml", "--approval-request", file, "--key", "ann"]);
        output.expect(2).says(file).says("name another file");
        // The queue is created by the plan.
        if file != "imbulk.db" {
            assert!(std::fs::read(workspace.path(file)).expect("a file") == before, "{file} was written over");
        }
    }
}
