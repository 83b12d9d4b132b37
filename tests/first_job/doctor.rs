//! `imbulk doctor`: each check fails for a real cause, and nothing is written to the app.

use std::net::TcpListener;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use imbulk::api::{SecretKey, sign};
use imbulk::domain::request::account::UserId;
use imbulk_testkit::scripted_server::{ScriptedServer, Step};
use imbulk_testkit::{ProgramOutput, Workspace};
use jiff::Timestamp;

const JOB: &str = "name = \"job\"\noperation = \"account_delete\"\n[input]\npath = \"rows.csv\"\n[app]\n\
                   sdkappid = 1400000001\nidentifier = \"administrator\"\n[guard]\nprotected = \"list.txt\"\n";

/// A workspace on which nothing is wrong; the sandbox of the workspace is the server.
fn workspace() -> Workspace {
    let mut workspace = Workspace::new();
    workspace.write("job.toml", JOB);
    workspace.write("rows.csv", "UserID\nu1\n");
    workspace.write("list.txt", "administrator\n");
    let endpoint = workspace.endpoint();
    workspace.set_env("IMBULK_ENDPOINT", &endpoint);
    workspace
}

fn doctor(workspace: &Workspace, code: i32) -> ProgramOutput {
    workspace.imbulk(&["doctor", "job.toml"]).expect(code)
}

/// Whether a line of this level and check has the text.
fn has(output: &ProgramOutput, level: &str, check: &str, text: &str) -> bool {
    let is_line = |line: &str| line.starts_with(&format!("{level:<8} {check:<12} ")) && line.contains(text);
    output.stdout.lines().any(is_line)
}

#[track_caller]
fn finds(workspace: &Workspace, level: &str, check: &str, text: &str) {
    let output = doctor(workspace, if level == "error" { 4 } else { 0 });
    assert!(has(&output, level, check, text), "no {level} of {check} with `{text}`: {output:#?}");
    assert!(
        output.stdout.contains(&format!("\n1 {level}")) || output.stdout.contains(&format!(", 1 {level}")),
        "{output:#?}"
    );
}

#[test]
fn nothing_is_found_where_nothing_is_wrong_and_one_call_is_sent() {
    let workspace = workspace();
    let output = doctor(&workspace, 0);
    assert!(
        output
            .stdout
            .lines()
            .filter(|line| !line.is_empty())
            .all(|line| line.starts_with("ok ") || line == "0 errors, 0 warnings"),
        "{output:#?}"
    );
    for check in [
        "job",
        "protected",
        "input",
        "limits",
        "queue",
        "disk",
        "time zone",
        "app",
        "credentials",
        "connection",
        "admin",
        "clock",
    ] {
        assert!(has(&output, "ok", check, ""), "{check}: {output:#?}");
    }
    let report = workspace.report();
    assert_eq!((report.calls, report.items_written), (1, 0));
    assert!(!workspace.path("imbulk.db").exists(), "no queue is created");
}

#[test]
fn a_signature_that_the_app_refuses_and_an_account_that_is_no_admin_are_errors() {
    let mut workspace = workspace();
    workspace.set_env("IMBULK_SECRET_KEY", "another-key");
    finds(&workspace, "error", "admin", "70009");
    workspace.set_env("IMBULK_IDENTIFIER", "guest");
    workspace.set_env("IMBULK_SECRET_KEY", imbulk_testkit::KEY);
    finds(&workspace, "error", "admin", "60010");
}

#[test]
fn credentials_that_are_missing_or_open_to_others_are_errors() {
    let mut workspace = workspace();
    workspace.unset_env("IMBULK_SECRET_KEY");
    finds(&workspace, "error", "credentials", "no credentials");
    workspace.write("key", imbulk_testkit::KEY);
    let set_mode = |mode| std::fs::set_permissions(workspace.path("key"), std::fs::Permissions::from_mode(mode));
    set_mode(0o644).expect("ours");
    let key = workspace.path("key").display().to_string();
    workspace.set_env("IMBULK_SECRET_KEY_FILE", &key);
    finds(&workspace, "error", "credentials", "mode 0644");
    std::fs::set_permissions(workspace.path("key"), std::fs::Permissions::from_mode(0o600)).expect("ours");
    doctor(&workspace, 0);
    assert_eq!(workspace.report().calls, 1, "without credentials nothing is sent");
}

#[test]
fn a_usersig_that_expired_is_an_error() {
    let mut workspace = workspace();
    workspace.unset_env("IMBULK_SECRET_KEY");
    let key = SecretKey::new(imbulk_testkit::KEY.to_owned()).expect("a key");
    let app = NonZeroU64::new(1_400_000_001).expect("not zero");
    let admin = UserId::new("administrator").expect("an id");
    let usersig = |hours: u64| sign(&key, app, &admin, Timestamp::UNIX_EPOCH, Duration::from_hours(hours));
    workspace.set_env("IMBULK_USERSIG", usersig(24).expose());
    finds(&workspace, "error", "usersig", "expired at 1970-01-02T00:00:00Z");
    workspace.set_env("IMBULK_USERSIG", usersig(24 * 365 * 100).expose());
    doctor(&workspace, 0);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_an_error() {
    let mut workspace = workspace();
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    workspace.set_env("IMBULK_ENDPOINT", &format!("http://{nobody}"));
    finds(&workspace, "error", "connection", &format!("http://{nobody}: "));
}

#[test]
fn a_clock_that_differs_from_the_clock_of_the_server_is_a_warning() {
    let body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"\"}";
    let response = format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let server = ScriptedServer::repeating(vec![Step::Write(response.into_bytes())]);
    let mut workspace = workspace();
    workspace.set_env("IMBULK_ENDPOINT", &server.url());
    finds(&workspace, "warning", "clock", "ahead of the server");
}

#[test]
fn files_that_are_missing_or_wrong_are_errors() {
    let workspace = workspace();
    std::fs::remove_file(workspace.path("list.txt")).expect("it is there");
    finds(&workspace, "error", "protected", "list.txt cannot be read");
    workspace.write("list.txt", "administrator\n");
    workspace.write("rows.csv", "mail\na@b.c\n");
    finds(&workspace, "error", "input", "has no column `UserID`");
    std::fs::remove_file(workspace.path("rows.csv")).expect("it is there");
    finds(&workspace, "error", "input", "rows.csv: no such file");
    workspace.write("job.toml", "name = \"job\"\n");
    doctor(&workspace, 2).says("error: job.toml:1: `operation` is missing");
}

#[test]
fn a_queue_that_others_may_open_is_a_warning_and_a_folder_that_is_missing_an_error() {
    let mut workspace = workspace();
    workspace.write("imbulk.db", "");
    std::fs::set_permissions(workspace.path("imbulk.db"), std::fs::Permissions::from_mode(0o644)).expect("ours");
    finds(&workspace, "warning", "queue", "mode 0644");
    workspace.set_env("IMBULK_QUEUE", "no/such/folder.db");
    finds(&workspace, "error", "queue", "no/such/folder.db");
}

#[test]
fn a_backup_without_a_folder_that_can_be_used_is_an_error() {
    let workspace = workspace();
    workspace.write("job.toml", format!("{JOB}[backup]\npath = \"backups/new\"\n"));
    assert!(has(&doctor(&workspace, 0), "ok", "backup", "backups/new will be created"));
    assert!(!workspace.path("backups").exists(), "nothing is created");
    workspace.write("backups", "a file in the place of the folder");
    finds(&workspace, "error", "backup", "the backup cannot be written");
}

#[test]
fn a_time_zone_that_does_not_exist_is_an_error_and_a_raised_cap_a_warning() {
    let mut workspace = workspace();
    workspace.write("job.toml", format!("{JOB}[limits]\ncalls_per_second = 150\ncap_was_raised = true\n"));
    finds(&workspace, "warning", "limits", "calls_per_second = 150 is above the published cap of 100");
    workspace.write("job.toml", JOB);
    workspace.set_env("TZ", "Mars/Olympus");
    finds(&workspace, "error", "environment", "TZ names no time zone");
}

#[test]
fn the_sandbox_needs_no_credentials() {
    let mut workspace = workspace();
    workspace.unset_env("IMBULK_SECRET_KEY");
    workspace.unset_env("IMBULK_ENDPOINT");
    workspace.imbulk(&["doctor", "job.toml", "--sandbox"]).expect(0);
    assert_eq!(workspace.report().calls, 0);
}
