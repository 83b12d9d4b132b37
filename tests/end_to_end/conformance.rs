//! `imbulk doctor JOB --conformance`: the sandbox behaves as expected, and planted deviations are each reported.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Process, Stdio};

use imbulk_sandbox::{Caps, Command};
use imbulk_testkit::rows::plain;
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};
use serde_json::{Value, json};

/// Whether the calls across a second arrive in time depends on the machine.
const MAY_BE_UNKNOWN: &str = "rate.second";

/// A workspace with a job, whose sandbox has the published limits.
fn workspace() -> Workspace {
    let setup = WorkspaceSetup { caps: Caps::default(), ..WorkspaceSetup::default() };
    JobFile::new("job", Command::AccountDelete).rows(&plain(Command::AccountDelete, 3)).on(setup).0
}

fn profile_of(workspace: &Workspace) -> (ProgramOutput, Value) {
    let output = workspace.imbulk(&["doctor", "job.toml", "--conformance"]);
    let profile = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:#?}"));
    (output, profile)
}

/// The texts that differ from what imbulk expects.
fn differences(profile: &Value) -> BTreeMap<String, String> {
    let text = |difference: &Value, key: &str| difference[key].as_str().expect("a text").to_owned();
    let differences = profile["differences"].as_array().expect("a list").iter();
    differences.map(|difference| (text(difference, "key"), text(difference, "measured"))).collect()
}

#[test]
fn the_sandbox_is_as_expected_and_no_test_account_is_left() {
    let workspace = workspace();
    let (output, profile) = profile_of(&workspace);
    assert_eq!(output.code, 0, "{output:#?}");
    assert_eq!(profile["differences"], json!([]));
    for (key, value) in profile["values"].as_object().expect("an object") {
        assert!(value.is_string() || key == MAY_BE_UNKNOWN, "{key}: {output:#?}");
    }
    let calls = profile["calls"].as_u64().expect("a number");
    let report = workspace.report();
    assert_eq!(report.calls, calls + 1, "before, `doctor` looks the admin up");
    assert!(calls <= 300 && report.worst_second <= 200 && report.overlaps == 0, "{report:#?}");
    let prefix = output.stderr.split_whitespace().find(|word| word.starts_with("imbulk-check-")).expect("a prefix");
    for short in ["a", "h", "A", "p0", "p104", "n0", "n100"] {
        let name = format!("{prefix}{short}");
        assert!(!workspace.world(|world| world.account_exists(&name)), "{name} is left");
    }
}

/// Deviations that do not change what another check measures.
const CODES: [(&str, &str); 21] = [
    ("account_delete.too_many_items", "70402"),
    ("account_delete.no_items", "70206"),
    ("account_delete.long_id", "70107"),
    ("account_check.too_many_items", "70402"),
    ("account_import.too_many_items", "70402"),
    ("account_import.no_items", "70206"),
    ("friend_import.existing_friend", "30015"),
    ("friend_import.missing_friend", "30001"),
    ("friend_import.own_account", "30002"),
    ("friend_import.too_many_items", "31701"),
    ("friend_import.no_source", "30004"),
    ("friend_update.no_friend", "31704"),
    ("friend_update.missing_from", "30002"),
    ("friend_update.no_fields", "30004"),
    ("friend_delete.too_many_items", "30001"),
    ("friend_delete.wrong_type", "30001"),
    ("friend_delete.missing_from", "30002"),
    ("friend_delete_all.missing_from", "31704"),
    ("friend_check.wrong_type", "30004"),
    ("friend_get.missing_from", "30001"),
    ("friend_get_list.no_tags", "30004"),
];

const BEHAVIOUR: [(&str, &str); 8] = [
    ("account_delete.all_failed", "70107"),
    ("answer.item_order", "reversed"),
    ("usersig.valid_for_a_minute", "70003"),
    ("body.one_mebibyte", "60002"),
    ("friend_delete.other_side_only", "deleted"),
    ("friend_import.existing_fields", "replaced"),
    ("friend_get.page_size", "37"),
    (MAY_BE_UNKNOWN, "clock"),
];

/// Starts a sandbox with these deviations, and measures its profile.
fn planted(deviations: &[(&str, &str)]) -> (ProgramOutput, Value) {
    let mut workspace = workspace();
    let values: BTreeMap<&str, &str> = deviations.iter().copied().collect();
    workspace.write("profile.json", json!({ "values": values }).to_string());
    let mut command = Process::new(imbulk_testkit::program());
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--profile", "profile.json"]);
    let sandbox =
        command.env_clear().current_dir(workspace.folder()).stdout(Stdio::piped()).spawn().expect("a sandbox");
    let mut endpoint = String::new();
    let mut sandbox = Killed(sandbox);
    BufReader::new(sandbox.0.stdout.as_mut().expect("a pipe")).read_line(&mut endpoint).expect("a line");
    workspace.set_env("IMBULK_ENDPOINT", endpoint.trim());
    profile_of(&workspace)
}

/// A process that ends with the test, also if the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }
}

#[test]
fn each_planted_code_is_reported() {
    let (output, profile) = planted(&CODES);
    let expected = CODES.map(|(key, code)| (key.to_owned(), code.to_owned())).into();
    assert_eq!(differences(&profile), expected);
    assert_eq!(output.code, 3);
    for (key, code) in differences(&profile) {
        assert!(output.stderr.contains(&format!("differs  {key}: ")), "{key} {code}: {}", output.stderr);
    }
}

#[test]
fn each_planted_behaviour_is_reported() {
    let (_, profile) = planted(&BEHAVIOUR);
    let mut found = differences(&profile);
    // An import that sets the fields of a friend is a success.
    assert_eq!(found.remove("friend_import.existing_friend").as_deref(), Some("0"));
    // The codes of an id that occurs twice are reversed as well.
    assert_eq!(found.remove("account_delete.repeated_id").as_deref(), Some("70107, 0"));
    assert_eq!(found.remove("friend_delete.repeated_id").as_deref(), Some("31704, 0"));
    for (key, measured) in BEHAVIOUR {
        let is_unknown = key == MAY_BE_UNKNOWN && profile["values"][key].is_null();
        assert!(is_unknown || found.remove(key).as_deref() == Some(measured), "{key}: {profile:#}");
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_sandbox_names_what_it_cannot_imitate_and_refuses_what_is_no_profile() {
    let workspace = workspace();
    workspace.write("wrong.json", json!({ "values": { "answer.item_order": "sorted" } }).to_string());
    let refused = workspace.imbulk(&["sandbox", "--listen", "127.0.0.1:0", "--profile", "wrong.json"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("wrong.json: `answer.item_order` cannot be \"sorted\""), "{}", refused.stderr);
    let (output, _) = planted(&[("friend_delete.no_friend", "0"), ("unheard.of", "1")]);
    assert_eq!(output.code, 0, "what it cannot imitate is as the sandbox has it: {output:#?}");
}

#[test]
fn an_app_that_allows_no_deletion_gets_no_account() {
    let workspace = workspace();
    workspace.faults(&["account_delete:code=71000:1"]);
    let output = workspace.imbulk(&["doctor", "job.toml", "--conformance"]);
    assert_eq!(output.code, 4, "{output:#?}");
    assert!(output.stderr.contains("cannot be deleted: code 71000"), "{}", output.stderr);
    assert_eq!(workspace.report().commands[&Command::AccountImport].calls, 0);
}

#[test]
fn an_import_that_fails_half_way_leaves_no_account() {
    for fault in ["multiaccount_import:code=70398:#2", "multiaccount_import:item=70398:#2"] {
        let workspace = workspace();
        workspace.faults(&[fault]);
        let output = workspace.imbulk(&["doctor", "job.toml", "--conformance"]);
        assert_eq!(output.code, 4, "{fault}: {output:#?}");
        assert!(output.stderr.contains("the test accounts cannot be created"), "{fault}: {}", output.stderr);
        assert_eq!(workspace.report().commands[&Command::AccountImport].calls, 2);
        let prefix = output.stderr.split_whitespace().find(|word| word.starts_with("imbulk-check-")).expect("a prefix");
        for short in ["a", "p0", "p104"] {
            let name = format!("{prefix}{short}");
            assert!(!workspace.world(|world| world.account_exists(&name)), "{fault}: {name} is left");
        }
    }
}

/// The checks end early, and the deletions that follow are refused: three came before the checks.
fn after_a_failed_import(refused_deletions: &str) -> (Workspace, ProgramOutput, String) {
    let workspace = workspace();
    let deletion = format!("account_delete:code=60011:#{refused_deletions}");
    workspace.faults(&["multiaccount_import:code=70398:#2", &deletion]);
    let output = workspace.imbulk(&["doctor", "job.toml", "--conformance"]).expect(4);
    assert!(output.stderr.contains("the test accounts cannot be created: code 70398"), "{output:#?}");
    let prefix = output.stderr.split_whitespace().find(|word| word.starts_with("imbulk-check-")).expect("a prefix");
    let first = format!("{prefix}a");
    (workspace, output, first)
}

#[test]
fn a_refused_deletion_of_the_test_accounts_is_repeated() {
    let (workspace, output, first) = after_a_failed_import("4,5");
    assert!(!workspace.world(|world| world.account_exists(&first)), "{first} is left");
    assert!(!output.stderr.contains("cannot be deleted"), "{output:#?}");
}

#[test]
fn test_accounts_that_are_left_are_named_beside_the_first_error() {
    let (workspace, output, first) = after_a_failed_import("4,5,6,7,8");
    assert!(workspace.world(|world| world.account_exists(&first)), "{first} was deleted");
    let left = format!("such as {first}, cannot be deleted: code 60011");
    assert!(output.stderr.contains(&left), "{output:#?}");
}
