//! Completions in a shell: names, targets and outcomes of the queue, and silence wherever something is wrong.

use std::process::Command as Process;

use imbulk_sandbox::Command;
use imbulk_testkit::process::program;
use imbulk_testkit::rows::plain;
use imbulk_testkit::{JobFile, Workspace};

/// A workspace with a finished run of job `job`, and the id of the run.
fn with_a_run() -> (Workspace, String) {
    let (workspace, job) =
        JobFile::new("job", Command::FriendDelete).rows(&plain(Command::FriendDelete, 5)).in_a_workspace();
    workspace.run(&job);
    let status = workspace.imbulk(&["status", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let id = status["runs"][0]["run"].as_str().expect("an id").to_owned();
    (workspace, id)
}

/// What bash is offered for the last word of a command line.
fn offered(workspace: &mut Workspace, words: &[&str]) -> Vec<String> {
    workspace.set_env("IMBULK_COMPLETE", "bash");
    workspace.set_env("_CLAP_IFS", "\n");
    workspace.set_env("_CLAP_COMPLETE_INDEX", &words.len().to_string());
    let mut arguments = vec!["--", "imbulk"];
    arguments.extend(words);
    let output = workspace.imbulk(&arguments).expect(0);
    workspace.unset_env("IMBULK_COMPLETE");
    assert_eq!(output.stderr, "", "a message would be written into the line of the user");
    output.stdout.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn names_targets_and_outcomes_of_the_queue_are_completed() {
    let (mut workspace, id) = with_a_run();
    for command in ["results", "retry", "status"] {
        assert_eq!(offered(&mut workspace, &[command, "j"]), ["job"], "{command}");
        assert_eq!(offered(&mut workspace, &[command, &id[..6]]), [id.as_str()], "{command}");
    }
    let empty = offered(&mut workspace, &["results", ""]);
    assert!(empty.contains(&"job".to_owned()) && !empty.contains(&id), "{empty:?}");
    assert_eq!(offered(&mut workspace, &["results", "job", "--outcome", "failed,in"]), ["failed,in_doubt"]);
    let targets = offered(&mut workspace, &["results", "job", "--target", ""]);
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(workspace.imbulk(&["results", "job", "--target", &targets[0]]).expect(0).stdout.lines().count(), 6);
    assert_eq!(offered(&mut workspace, &["resu"]), ["results"]);
}

#[test]
fn without_a_usable_queue_nothing_is_offered_created_or_said() {
    let mut workspace = Workspace::new();
    assert_eq!(offered(&mut workspace, &["results", "j"]), [""; 0]);
    assert!(!workspace.path("imbulk.db").exists());
    workspace.write("imbulk.db", "no queue");
    assert_eq!(offered(&mut workspace, &["results", "j"]), [""; 0]);
    workspace.set_env("IMBULK_SDKAPPID", "no app");
    assert_eq!(offered(&mut workspace, &["results", "j"]), [""; 0]);
    workspace.set_env("IMBULK_COMPLETE", "no-such-shell");
    let output = workspace.imbulk(&["--", "imbulk", "results", "j"]).expect(0);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_script_of_bash_completes_a_job_name() {
    let (workspace, _) = with_a_run();
    let script = r#"
        source <("$PROGRAM" completions bash)
        imbulk() { "$PROGRAM" "$@"; }
        COMP_WORDS=(imbulk results jo)
        COMP_CWORD=2
        _clap_complete_imbulk imbulk jo results
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Process::new("bash");
    bash.args(["-c", script]).env("PROGRAM", program()).env("IMBULK_QUEUE", workspace.path("imbulk.db"));
    let output = bash.output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "job\n", "{output:?}");
}
