//! The files of `deploy/`: each handles every exit code, and the tools that read them accept them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use imbulk::api::CALL_TIMEOUT;
use imbulk_testkit::requirements::{Requirement, are_met};
use yaml_rust2::{Yaml, YamlLoader};

use crate::{read, root};

/// The exit codes of docs/reference/exit-codes.md besides 0.
const NOT_DONE: [i64; 6] = [1, 2, 3, 4, 5, 6];

fn cron_job() -> Yaml {
    let documents = YamlLoader::load_from_str(&read("deploy/kubernetes/cronjob.yaml")).expect("YAML");
    let kinds: Vec<&str> = documents.iter().filter_map(|document| document["kind"].as_str()).collect();
    assert_eq!(kinds, ["PersistentVolumeClaim", "CronJob"]);
    assert_eq!(documents[0]["spec"]["accessModes"][0].as_str(), Some("ReadWriteOncePod"));
    documents[1]["spec"].clone()
}

/// Which action Kubernetes takes for each exit code.
fn actions(policy: &Yaml) -> BTreeMap<i64, &str> {
    let mut actions = BTreeMap::new();
    for rule in policy["rules"].as_vec().expect("rules") {
        for code in rule["onExitCodes"]["values"].as_vec().into_iter().flatten() {
            let code = code.as_i64().expect("a code");
            assert_eq!(actions.insert(code, rule["action"].as_str().expect("an action")), None, "{code} occurs twice");
        }
    }
    actions
}

#[test]
fn kubernetes_starts_no_second_pod_after_a_guard_or_a_deadline() {
    let spec = cron_job();
    let job = &spec["jobTemplate"]["spec"];
    let actions = actions(&job["podFailurePolicy"]);
    assert_eq!(actions.keys().copied().collect::<Vec<_>>(), NOT_DONE);
    let failing: Vec<i64> = actions.iter().filter(|(_, action)| **action == "FailJob").map(|(code, _)| *code).collect();
    assert_eq!(failing, [2, 3, 4, 5]);
    assert_eq!(job["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["type"].as_str(), Some("DisruptionTarget"));
    assert_eq!(spec["concurrencyPolicy"].as_str(), Some("Forbid"));
    assert_eq!(job["template"]["spec"]["restartPolicy"].as_str(), Some("Never"));
    assert!(job["activeDeadlineSeconds"].as_i64().is_some(), "a pod that replaces another one needs a deadline");
}

#[test]
fn the_pod_has_the_rights_and_the_time_that_it_needs_and_no_more() {
    let spec = cron_job();
    let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"].as_bool(), Some(false));
    let grace = pod["terminationGracePeriodSeconds"].as_i64().expect("a number of seconds");
    assert!(grace.unsigned_abs() > 60 + CALL_TIMEOUT.as_secs());
    let writable = container["volumeMounts"].as_vec().expect("volumes").iter();
    let writable = writable.filter(|volume| volume["readOnly"].as_bool() != Some(true));
    let writable: Vec<&str> = writable.filter_map(|volume| volume["mountPath"].as_str()).collect();
    assert_eq!(writable, ["/queue", "/tmp"]);
    // No variable contains a secret.
    assert!(!read("deploy/kubernetes/cronjob.yaml").contains("secretKeyRef"));
}

#[test]
fn the_user_of_the_image_is_the_user_of_the_pod() {
    let spec = cron_job();
    let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
    let user = pod["securityContext"]["runAsUser"].as_i64().expect("a user");
    let image = read("deploy/Dockerfile");
    assert!(image.contains(&format!("\nUSER {user}:{user}\n")) && image.contains(&format!("--chown={user}:{user}")));
    assert!(image.contains("\nHEALTHCHECK NONE\n"));
    let manifest = read("Cargo.toml");
    let minimum = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).expect("a version");
    assert!(image.contains(&format!("FROM rust:{}.", minimum.trim_end_matches('"'))), "the image has another compiler");
}

/// Runs the line of the crontab with an `imbulk` that exits with a code.
fn night(code: i64) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("imbulk");
    fs::write(&program, format!("#!/bin/sh\necho a line of the log\nexit {code}\n")).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    let crontab = read("deploy/crontab");
    let line = crontab.lines().find(|line| line.starts_with("15 2 * * *")).expect("a line");
    // Cron turns `%` into a line feed.
    assert!(!line.contains('%'));
    let command = line.trim_start_matches("15 2 * * *").replace("/srv/cleanup", &folder.path().display().to_string());
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    Command::new("sh").args(["-c", &command]).env_clear().env("PATH", path).output().expect("sh")
}

#[test]
fn cron_sends_a_mail_only_when_a_person_is_needed() {
    for code in [0, 5] {
        let output = night(code);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{code}: {output:?}");
    }
    for code in [1, 2, 3, 4, 6] {
        let mail = String::from_utf8(night(code).stdout).expect("text");
        assert_eq!(mail, format!("imbulk ended with exit code {code}\na line of the log\n"));
    }
}

#[test]
fn a_systemd_unit_fails_when_a_person_is_needed_and_shares_the_ledger() {
    let unit = read("deploy/systemd/imbulk@.service");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!((value("Type="), value("WatchdogSec=")), ("notify", "2min"));
    assert_eq!(value("SuccessExitStatus="), "5");
    assert_eq!(value("Restart="), "no");
    assert_eq!(value("PrivateTmp="), "no");
    assert!(value("TimeoutStopSec=").parse::<u64>().expect("seconds") > 60 + CALL_TIMEOUT.as_secs());
    assert!(value("LoadCredential=").starts_with("secret-key:"));
    assert_eq!(value("Environment=IMBULK_SECRET_KEY_FILE="), "%d/secret-key");
}

#[test]
fn systemd_accepts_the_units() {
    if !are_met("the check of the units", &[Requirement::Tool("systemd-analyze")]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let service = read("deploy/systemd/imbulk@.service");
    let service = service.replace("/usr/local/bin/imbulk", env!("CARGO_BIN_EXE_imbulk"));
    fs::write(folder.path().join("imbulk@.service"), service).expect("a unit");
    fs::write(folder.path().join("imbulk@.timer"), read("deploy/systemd/imbulk@.timer")).expect("a unit");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "./imbulk@.service", "./imbulk@.timer"]).current_dir(folder.path());
    let output = verify.output().expect("systemd-analyze");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn airflow_skips_a_stopped_night_and_repeats_nothing() {
    let dag = read("deploy/airflow/imbulk_dag.py");
    assert!(dag.contains("SKIP_ON_EXIT_CODE = [5]\n") && dag.contains("\"retries\": 0,"));
    assert!(dag.contains("catchup=False") && dag.contains("max_active_runs=1"));
    if are_met("the syntax of the DAG", &[Requirement::Tool("python3")]) {
        let script = "import ast, sys; ast.parse(sys.stdin.read())";
        let file = fs::File::open(root().join("deploy/airflow/imbulk_dag.py")).expect("the DAG");
        let parsed = Command::new("python3").args(["-c", script]).stdin(file).status().expect("python3");
        assert!(parsed.success());
    }
}

/// Packs the binary of the tests and returns the archive and its name.
fn release(folder: &Path) -> (Vec<u8>, String) {
    let mut script = Command::new(root().join("deploy/release.sh"));
    script.env("IMBULK_BINARY", env!("CARGO_BIN_EXE_imbulk")).env("IMBULK_DIST", folder).env("SOURCE_DATE_EPOCH", "0");
    let output = script.output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = String::from_utf8(output.stdout).expect("a path");
    let path = Path::new(path.trim());
    (fs::read(path).expect("an archive"), path.file_name().expect("a name").to_string_lossy().into_owned())
}

#[test]
fn a_release_has_all_its_files_and_the_same_bytes_each_time() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (archive, name) = release(first.path());
    assert!(archive == release(second.path()).0, "two archives of one binary differ");
    let listed = Command::new("tar").arg("-tzf").arg(first.path().join(&name)).output().expect("tar");
    let listed = String::from_utf8(listed.stdout).expect("names");
    let stem = name.trim_end_matches(".tar.gz");
    let expected = [
        "imbulk",
        "README.md",
        "docs/reference/job-file.md",
        "jobs/quickstart.toml",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "man/man1/imbulk.1",
        "man/man1/imbulk-run.1",
        "completions/imbulk",
        "completions/_imbulk",
        "completions/imbulk.fish",
        "systemd/imbulk@.service",
        "systemd/imbulk@.timer",
    ];
    for file in expected {
        assert!(listed.lines().any(|line| line == format!("{stem}/{file}")), "{file} is missing:\n{listed}");
    }
    let mut checked = Command::new("sha256sum");
    checked.arg("--check").arg(format!("{name}.sha256")).current_dir(first.path());
    assert!(checked.output().expect("sha256sum").status.success());
}
