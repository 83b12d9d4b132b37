//! `imbulk restore`: after a run with a backup and the restored jobs, the tables of the sandbox are as before.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use imbulk_sandbox::{Command, World};
use serde_json::{Value, json};

use imbulk_testkit::rows::InputRow;
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

const USERS: usize = 20;
const FRIENDS: usize = 50;

fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|n| format!("user_{n:03}"))
}

fn friends() -> impl Iterator<Item = String> {
    (0..FRIENDS).map(|n| format!("friend_{n:03}"))
}

fn accounts() -> Vec<String> {
    users().chain(friends()).collect()
}

/// Every account, and no friends.
fn world() -> World {
    World::seeded(accounts().iter().map(String::as_str), [])
}

/// A friendship with the fields that its number decides.
fn row(from: &str, to: &str, number: usize) -> Value {
    let mut row = json!({"From_Account": from, "To_Account": to, "AddSource": "AddSource_Type_Web"});
    if number.is_multiple_of(2) {
        row["Remark"] = json!(format!("{from} \"{to}\", 备注|{number}"));
    }
    if number.is_multiple_of(3) {
        row["GroupName"] = json!(["Work", format!("Group {}", number % 5)]);
    }
    if number.is_multiple_of(4) {
        row["AddTime"] = json!(1_600_000_000 + number);
        row["AddWording"] = json!("hello\nthere");
    }
    if number.is_multiple_of(5) {
        row["Tag_SNS_Custom_Level"] = json!(number);
        row["Tag_SNS_Custom_Note"] = json!(format!("note {number}"));
    }
    row
}

/// Each friendship that the sandbox has, and its fields.
type Tables = BTreeMap<(String, String), Option<BTreeMap<String, Value>>>;

struct Restored {
    workspace: Workspace,
    job: String,
}

impl Restored {
    /// A sandbox in which all users have all friends, and some friends have the users, and a job that deletes.
    fn new(operation: Command, rows: &[InputRow], more: impl FnOnce(JobFile) -> JobFile) -> Self {
        let workspace = Workspace::with(WorkspaceSetup { world, ..WorkspaceSetup::default() });
        let own = users().flat_map(|from| friends().map(move |to| (from.clone(), to)));
        let back = users().flat_map(|to| friends().step_by(3).map(move |from| (from, to.clone())));
        let rows_of = own.chain(back).zip(0..).map(|((from, to), number)| row(&from, &to, number).to_string() + "\n");
        workspace.write("friends.jsonl", rows_of.collect::<String>());
        let seed = JobFile::new("seed", Command::FriendImport).with("input", "path", "\"friends.jsonl\"");
        workspace.run(&seed.write(&workspace)).expect(0);
        let profile = |id: &String| format!("{}\n", json!({"UserID": id, "Nick": format!("{id}, ☺"), "FaceUrl": "x"}));
        workspace.write("accounts.jsonl", accounts().iter().map(profile).collect::<String>());
        let seed = JobFile::new("accounts", Command::AccountImport).with("input", "path", "\"accounts.jsonl\"");
        workspace.run(&seed.write(&workspace)).expect(0);
        let job = more(JobFile::new("job", operation).rows(rows).with("backup", "path", "\"backups\""));
        let job = job.write(&workspace);
        Self { workspace, job }
    }

    fn tables(&self) -> Tables {
        let accounts = accounts();
        let pairs = accounts.iter().flat_map(|from| accounts.iter().map(move |to| (from, to)));
        self.workspace.world(|world| {
            let present = pairs.filter(|(from, to)| world.is_friend(from, to));
            present.map(|(from, to)| ((from.clone(), to.clone()), world.tags(from, to))).collect()
        })
    }

    /// The files of all backups, as they are typed.
    fn backups(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.workspace.path("backups")).expect("a folder");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.sort();
        names.iter().map(|name| format!("backups/{}", name.to_str().expect("a name"))).collect()
    }

    /// The first of them.
    fn backup(&self) -> String {
        self.backups().remove(0)
    }

    /// Restores the backup, and runs its jobs in the sequence that it names.
    fn restore(&self) -> String {
        let output = self.workspace.imbulk(&["restore", &self.backup()]).expect(0);
        let jobs = output.stdout.lines().filter_map(|line| line.strip_prefix("  imbulk run ")?.split(' ').next());
        for job in jobs {
            self.workspace.run(job).expect(0);
        }
        output.stdout
    }
}

fn pairs() -> Vec<InputRow> {
    users().flat_map(|from| friends().map(move |to| InputRow::pair(&from, &to))).collect()
}

#[test]
fn deleted_friends_come_back_with_all_their_fields() {
    let some: Vec<InputRow> = pairs().into_iter().step_by(4).collect();
    let lists: Vec<InputRow> = users().take(8).map(|user| InputRow::account(&user)).collect();
    for (operation, both, rows) in [
        (Command::FriendDelete, false, pairs()),
        (Command::FriendDelete, true, some),
        (Command::FriendDeleteAll, false, lists.clone()),
        (Command::FriendDeleteAll, true, lists),
    ] {
        let restored = Restored::new(operation, &rows, |job| if both { job.both() } else { job });
        let before = restored.tables();
        assert_eq!(before.len(), USERS * (FRIENDS + FRIENDS.div_ceil(3)));
        restored.workspace.run(&restored.job).expect(0);
        assert!(restored.tables().len() <= before.len() - rows.len(), "{operation:?} has deleted");
        let text = restored.restore();
        assert!(restored.tables() == before, "{operation:?}, both {both}");
        assert!(text.contains("RemarkTime") && text.contains(", complete\n"), "{text}");
    }
}

#[test]
fn deleted_accounts_come_back_with_profile_and_friends_and_not_on_the_lists_of_others() {
    let rows: Vec<InputRow> = users().map(|user| InputRow::account(&user)).collect();
    let restored = Restored::new(Command::AccountDelete, &rows, |job| job.with("backup", "friends", true));
    let before = restored.tables();
    restored.workspace.run(&restored.job).expect(0);
    let text = restored.restore();
    for said in ["70399", "Groups, conversations and messages", "friend lists of other accounts", "RemarkTime"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // The friends had the users on their lists as well.
    let expected: Tables = before.into_iter().filter(|((from, _), _)| from.starts_with("user_")).collect();
    assert!(restored.tables() == expected);
    let nick = |user: &String| restored.workspace.world(|world| world.profile(user).expect("a profile"));
    assert!(users().all(|user| nick(&user)["Tag_Profile_IM_Nick"] == format!("{user}, ☺")));
}

#[test]
fn updated_friends_get_their_former_fields_back() {
    let update = |row: InputRow| row.field("Tag_SNS_IM_Remark", json!("new")).field("Tag_SNS_IM_Group", json!(["new"]));
    let rows: Vec<InputRow> = pairs().into_iter().map(update).collect();
    let restored = Restored::new(Command::FriendUpdate, &rows, |job| job);
    let before = restored.tables();
    restored.workspace.run(&restored.job).expect(0);
    assert!(restored.tables() != before);
    restored.restore();
    // A field that was never set is empty.
    let without_empty = |tables: Tables| -> Tables {
        let fields = |fields: BTreeMap<String, Value>| {
            fields.into_iter().filter(|(_, value)| *value != json!("") && *value != json!([])).collect()
        };
        tables.into_iter().map(|(pair, tags)| (pair, tags.map(fields))).collect()
    };
    assert!(without_empty(restored.tables()) == before);
}

#[test]
fn a_run_that_was_killed_is_restored_with_its_queue_and_refused_without() {
    let restored = Restored::new(Command::FriendDelete, &pairs(), |job| job.with("limits", "calls_per_second", 100));
    let Restored { workspace, job } = &restored;
    let before = restored.tables();
    let mut calls = workspace.report().calls;
    for _ in 0..2 {
        let mut running = workspace.start_run(job);
        calls += 12;
        workspace.until_calls(calls, &mut running);
        running.kill();
    }
    let output = workspace.imbulk(&["restore", &restored.backup(), "--output", "early"]).expect(0);
    assert!(output.stderr.contains("is not finished"), "{output:?}");
    workspace.run(job).expect(0);
    let backup = restored.backup();
    let output = workspace.imbulk(&["--queue", "other.db", "restore", &backup]).expect(2);
    assert!(output.stderr.contains("--queue") && output.stderr.contains("--incomplete"), "{output:?}");
    assert!(!workspace.path("job-restore").exists() && !workspace.path("other.db").exists());
    let text = restored.restore();
    assert!(text.contains("without an end line; the queue imbulk.db proves it"), "{text}");
    assert!(restored.tables() == before);
    workspace.imbulk(&["--queue", "other.db", "restore", &backup, "--incomplete", "--output", "all"]).expect(0);
    let rows = |folder: &str| {
        let text = std::fs::read_to_string(workspace.path(folder).join("friends.jsonl")).expect("rows");
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert!(rows("all").is_superset(&rows("job-restore")));
    assert_eq!(rows("job-restore").len(), USERS * FRIENDS, "each friendship once");
    let files = restored.backups();
    assert!(files.len() > 1, "one for each session that read something: {files:?}");
    let restore = |output, more: &[&str]| {
        let args = [&["restore", "--output", output], &files.iter().map(String::as_str).collect::<Vec<_>>()[..], more];
        workspace.imbulk(&args.concat())
    };
    restore("named", &[]).expect(0);
    assert_eq!(rows("named"), rows("job-restore"), "the other files are found beside the first one");
    // The queue knows a file that is not there. That of a killed session may belong to no change.
    let complete = text.lines().find(|line| line.ends_with(", complete")).expect("the last session");
    let complete = complete.trim_start_matches("read").trim().split(':').next().expect("a path");
    let named = files.iter().find(|file| *file != complete).expect("a killed session");
    std::fs::rename(workspace.path(complete), workspace.path("away.zst")).expect("a file");
    let output = workspace.imbulk(&["restore", named, "--output", "without"]).expect(2);
    assert!(output.stderr.contains("the queue names this file of the run, and it is not here"), "{output:?}");
    std::fs::rename(workspace.path("away.zst"), workspace.path(complete)).expect("a file");
    workspace.imbulk(&["run", job, "--execute", "--yes", "--again"]).expect(0);
    let other = restored.backups().into_iter().find(|file| !files.contains(file)).expect("a file of another run");
    let output = restore("mixed", &[&other]).expect(2);
    assert!(output.stderr.contains("name files of one run"), "{output:?}");
}

#[test]
fn the_folder_appears_as_a_whole_only_for_its_owner_and_never_replaces_anything() {
    let few: Vec<InputRow> = pairs().into_iter().take(100).collect();
    let mut restored = Restored::new(Command::FriendDelete, &few, |job| job);
    restored.workspace.run(&restored.job).expect(0);
    let backup = restored.backup();
    restored.workspace.set_env("IMBULK_FAIL_POINT", "BeforePlaceFile:1");
    let output = restored.workspace.imbulk(&["restore", &backup]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(!restored.workspace.path("job-restore").exists());
    restored.workspace.unset_env("IMBULK_FAIL_POINT");
    restored.workspace.imbulk(&["restore", &backup]).expect(0);
    let mode = |name: &str| {
        let metadata = std::fs::metadata(restored.workspace.path(name)).expect("a file");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(["backups", "job-restore", "job-restore/friends.jsonl"].map(mode), [0o700, 0o700, 0o600]);
    let rows = std::fs::read(restored.workspace.path("job-restore/friends.jsonl")).expect("rows");
    let output = restored.workspace.imbulk(&["restore", &backup]).expect(2);
    assert!(output.stderr.contains("job-restore exists") && output.stderr.contains("--output"), "{output:?}");
    assert_eq!(std::fs::read(restored.workspace.path("job-restore/friends.jsonl")).expect("rows"), rows);
    // A file that is damaged writes nothing either.
    let bytes = std::fs::read(restored.workspace.path(&backup)).expect("a backup");
    restored.workspace.write(&backup, &bytes[..bytes.len() - 9]);
    let args = ["--queue", "other.db", "restore", &backup, "--output", "half"];
    let output = restored.workspace.imbulk(&args).expect(2);
    assert!(output.stderr.contains("the file was cut off") && !restored.workspace.path("half").exists(), "{output:?}");
}
