//! `[backup] path`: what a run changes is in a backup file before the change is sent.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use imbulk_sandbox::{Command, World};
use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use imbulk_testkit::rows::{InputRow, ResultRow, tally};
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

const ACCOUNTS: usize = 40;
const FRIENDS: usize = 130;

fn account(n: usize) -> String {
    format!("user_{n:03}")
}

/// Everybody has many friends, some of whom have them as a friend as well.
fn pairs() -> Vec<(String, String)> {
    let own = |n: usize| (0..if n == 0 { FRIENDS } else { 7 }).map(move |f| (account(n), format!("friend_{f:03}")));
    let back = (0..ACCOUNTS).flat_map(|n| (0..5).map(move |f| (format!("friend_{f:03}"), account(n))));
    (0..ACCOUNTS).flat_map(own).chain(back).collect()
}

fn world() -> World {
    let pairs = pairs();
    let accounts: BTreeSet<&str> = pairs.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    World::seeded(accounts, pairs)
}

struct Played {
    workspace: Workspace,
    job: String,
}

impl Played {
    fn new(operation: Command, both: bool, rows: &[InputRow]) -> Self {
        Self::with(operation, both, rows, |job| job)
    }

    fn with(operation: Command, both: bool, rows: &[InputRow], more: impl FnOnce(JobFile) -> JobFile) -> Self {
        let job = JobFile::new("job", operation).rows(rows).with("backup", "path", "\"backups\"");
        let job = job.with("retry", "max_attempts", 6).with("retry", "base_delay", "\"1ms\"");
        let job = more(job.with("stop", "failed_share", 1.0));
        let (workspace, job) =
            if both { job.both() } else { job }.on(WorkspaceSetup { world, ..WorkspaceSetup::default() });
        Self { workspace, job }
    }

    fn rows(&self) -> Vec<ResultRow> {
        self.workspace.results("job")
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.workspace.path("backups")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = folder.map(|file| file.expect("a file").path()).collect();
        files.sort();
        files
    }

    /// The lines of all files; of an incomplete frame nothing.
    fn lines(&self) -> Vec<Value> {
        self.files().iter().flat_map(lines_of).collect()
    }

    /// Whether a friendship is in a backup.
    fn kept_pairs(&self) -> BTreeSet<(String, String)> {
        let lines = self.lines();
        let friends = lines.iter().filter(|line| line["kind"] == "friend");
        friends.map(|line| (text(&line["from"]), text(&line["to"]))).collect()
    }

    /// Whatever is gone from the tables of the sandbox is in a backup, in both directions.
    #[track_caller]
    fn nothing_is_lost(&self) {
        let kept = self.kept_pairs();
        let mut gone = 0;
        for (from, to) in pairs() {
            if !self.workspace.world(|world| world.is_friend(&from, &to)) {
                assert!(kept.contains(&(from.clone(), to.clone())), "{from} {to} is in no backup");
                gone += 1;
            }
        }
        assert!(gone > 0, "nothing was deleted");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn lines_of(file: &PathBuf) -> Vec<Value> {
    let bytes = std::fs::read(file).expect("a file");
    let mut decoder = zstd::Decoder::new(bytes.as_slice()).expect("zstd");
    let mut plain = Vec::new();
    let mut block = [0; 4096];
    // A kill may leave an incomplete frame at the end.
    while let Ok(read) = decoder.read(&mut block)
        && read > 0
    {
        plain.extend_from_slice(&block[..read]);
    }
    let whole = plain.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    whole.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

/// Each of these accounts with its first friends.
fn some_pairs() -> Vec<InputRow> {
    let of = |n: usize| (0..6).map(move |f| InputRow::pair(&account(n), &format!("friend_{f:03}")));
    (0..ACCOUNTS).flat_map(of).collect()
}

fn accounts() -> Vec<InputRow> {
    (0..ACCOUNTS).map(|n| InputRow::account(&account(n))).collect()
}

#[test]
fn friends_are_in_a_backup_before_they_are_deleted_on_both_sides() {
    let played = Played::new(Command::FriendDelete, true, &some_pairs());
    let plan = played.workspace.imbulk(&["plan", &played.job]).expect(0);
    plan.says("at least 280 calls with friend_get, at most 8,400, without retries: a list takes one call for each 100");
    played.workspace.run(&played.job).expect(0);
    played.nothing_is_lost();
    let lines = played.lines();
    assert_eq!((&lines[0]["kind"], &lines[0]["schema"]), (&"header".into(), &"imbulk-backup-1".into()));
    assert_eq!(lines[0]["options"]["delete_type"], "both");
    let end = lines.last().expect("an end");
    assert_eq!((&end["kind"], end["lines"].as_u64()), (&"end".into(), Some(lines.len() as u64 - 1)));
    // 40 lists of From_Accounts, one of which has two pages, and the list of the friend of each pair.
    assert_eq!(played.workspace.report().commands[&Command::FriendGet].calls, 281);
}

/// The plan of a job.
fn plan_of(workspace: &Workspace, job: &str) -> Value {
    let plan: Value = serde_json::from_str(&workspace.imbulk(&["plan", job, "--json"]).expect(0).stdout).expect("JSON");
    plan[0].clone()
}

#[test]
fn preparations_cost_the_calls_that_the_plan_announces() {
    let with_field = |name: &str, value: &str| {
        some_pairs().into_iter().map(|row| row.field(name, value.into())).collect::<Vec<InputRow>>()
    };
    let cases = [
        (Command::AccountDelete, false, accounts()),
        (Command::AccountImport, false, accounts()),
        (Command::FriendDelete, false, some_pairs()),
        (Command::FriendDelete, true, some_pairs()),
        (Command::FriendDeleteAll, false, accounts()),
        (Command::FriendUpdate, false, with_field("Tag_SNS_IM_Remark", "new")),
        (Command::FriendImport, false, with_field("AddSource", "AddSource_Type_Web")),
    ];
    for (operation, both, rows) in cases {
        // The list of the first account has two pages.
        let rows: Vec<InputRow> = rows.into_iter().filter(|row| row.item().0 != Some("user_000")).collect();
        let deletes_accounts = operation == Command::AccountDelete;
        let played = Played::with(operation, both, &rows[1..], |job| {
            let job = if deletes_accounts { job.with("guard", "unless_online", true) } else { job };
            if deletes_accounts { job.with("backup", "friends", true) } else { job }
        });
        let plan = plan_of(&played.workspace, &played.job);
        let announced = plan["calls_left"].as_u64().unwrap_or_else(|| panic!("{plan}"));
        played.workspace.imbulk(&["run", &played.job, "--execute", "--yes"]);
        let report = played.workspace.report();
        // Friends that are there already are looked up.
        let lookups = report.commands[&Command::FriendGetList].calls;
        assert_eq!(report.calls - lookups, announced, "{operation:?} both {both}");
        assert!(lookups == 0 || operation == Command::FriendImport, "{operation:?}");
    }
}

/// What a case adds to its job file.
type JobChange = Box<dyn Fn(JobFile) -> JobFile>;

#[test]
fn each_command_before_a_change_is_called_as_often_as_the_plan_announces() {
    let updates: Vec<InputRow> =
        some_pairs().into_iter().map(|row| row.field("Tag_SNS_IM_Remark", "new".into())).collect();
    let no_backup = |job: JobFile| job.without("backup", "path");
    let online = |job: JobFile| job.with("guard", "unless_online", true);
    let friends = |job: JobFile| job.with("backup", "friends", true);
    let cases: Vec<(Command, bool, Vec<InputRow>, JobChange)> = vec![
        (Command::AccountDelete, false, accounts(), Box::new(move |job| online(no_backup(job)))),
        (Command::AccountDelete, false, accounts(), Box::new(|job| job)),
        (Command::AccountDelete, false, accounts(), Box::new(friends)),
        (Command::AccountDelete, false, accounts(), Box::new(move |job| online(friends(job)))),
        (Command::FriendDelete, false, some_pairs(), Box::new(|job| job)),
        (Command::FriendDelete, true, some_pairs(), Box::new(|job| job)),
        (Command::FriendDeleteAll, false, accounts(), Box::new(|job| job)),
        (Command::FriendDeleteAll, true, accounts(), Box::new(|job| job)),
        (Command::FriendUpdate, false, updates, Box::new(|job| job)),
    ];
    for (operation, both, rows, more) in cases {
        let played = Played::with(operation, both, &rows, more);
        let plan = plan_of(&played.workspace, &played.job);
        let output = played.workspace.run(&played.job);
        assert!(matches!(output.code, 0 | 3), "{output:?}");
        let report = played.workspace.report();
        let of = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{plan}"));
        // One of the lists has two pages, so what is a minimum is exceeded.
        for planned in plan["preparations"].as_array().expect("preparations") {
            let command = *report.commands.keys().find(|known| planned["command"] == known.name()).expect("a command");
            let sent = report.commands[&command].calls;
            let (least, most) = (of(&planned["calls"]), of(&planned["calls_at_most"]));
            assert!((least..=most).contains(&sent), "{operation:?} both {both}: {sent} of {planned}");
            assert_eq!(least < most, planned["is_minimum"] == true, "{planned}");
        }
        let exact = plan["preparations"].as_array().expect("preparations").iter().all(|it| it["is_minimum"] == false);
        let announced = of(&plan["calls_left"]);
        assert!(if exact { report.calls == announced } else { report.calls > announced }, "{operation:?}: {plan}");
    }
}

#[test]
fn a_whole_list_is_in_a_backup_before_it_is_emptied() {
    for both in [false, true] {
        let played = Played::new(Command::FriendDeleteAll, both, &accounts());
        played.workspace.run(&played.job).expect(0);
        played.nothing_is_lost();
        let gone =
            pairs().iter().filter(|(from, to)| !played.workspace.world(|world| world.is_friend(from, to))).count();
        assert_eq!(played.kept_pairs().len(), gone, "both {both}");
    }
}

#[test]
fn the_hash_of_each_part_is_in_the_queue_and_fits_the_file() {
    let played = Played::new(Command::FriendDelete, false, &some_pairs());
    played.workspace.run(&played.job).expect(0);
    let [file] = &played.files()[..] else { panic!("one file: {:?}", played.files()) };
    let bytes = std::fs::read(file).expect("a file");
    let parts = parts_in(&played.workspace.path("imbulk.db"));
    assert!(!parts.is_empty());
    let mut next = 0;
    for (first, length, hash) in parts {
        assert_eq!(first, next);
        next = first + length;
        let at = |byte: i64| usize::try_from(byte).expect("a place");
        assert_eq!(blake3::hash(&bytes[at(first)..at(next)]).to_hex().as_str(), hash);
    }
}

/// The parts of backups in a queue: first byte, length and hash of each.
fn parts_in(queue: &Path) -> Vec<(i64, i64, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new().filename(queue).connect().await.expect("a queue");
        let parts = sqlx::query_as("SELECT first_byte, bytes, blake3 FROM backup ORDER BY id");
        parts.fetch_all(&mut connection).await.expect("parts")
    })
}

#[test]
fn what_cannot_be_read_is_not_changed() {
    let played = Played::new(Command::FriendDelete, true, &some_pairs());
    played.workspace.faults(&[
        "friend_get:code=40005:0.02",
        "friend_get:code=30006:0.2",
        "friend_get:http=502:0.05",
        "friend_get:reset-after:0.05",
        "friend_delete:partial=31706:0.1",
    ]);
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    played.nothing_is_lost();
    played.workspace.faults(&[]);
    let rows = played.rows();
    // After a change that may have had an effect, a lookup decides.
    let is_left_alone = |row: &&ResultRow| row.reason.contains("could not be read") && !row.reason.contains("lookup");
    for row in rows.iter().filter(is_left_alone) {
        let from = row.from.as_deref().expect("a pair");
        let before = pairs().contains(&(from.to_owned(), row.account.clone()));
        assert_eq!(played.workspace.world(|world| world.is_friend(from, &row.account)), before, "{row:?}");
    }
    let failed = Played::new(Command::FriendDeleteAll, false, &accounts());
    failed.workspace.faults(&["friend_get:code=40005:1"]);
    failed.workspace.run(&failed.job).expect(3);
    assert_eq!(failed.workspace.report().commands[&Command::FriendDeleteAll].calls, 0);
    assert_eq!(tally(&failed.rows())["failed"], ACCOUNTS);
}

#[test]
fn a_run_that_is_killed_again_and_again_loses_nothing() {
    let played = Played::new(Command::FriendDelete, true, &some_pairs());
    for calls in [15, 70, 150, 230] {
        let mut running = played.workspace.start_run(&played.job);
        played.workspace.until_calls(calls, &mut running);
        running.kill();
        played.nothing_is_lost_so_far();
    }
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    played.nothing_is_lost();
    assert!(played.files().len() > 1, "each session has a file of its own");
}

impl Played {
    #[track_caller]
    fn nothing_is_lost_so_far(&self) {
        let kept = self.kept_pairs();
        for (from, to) in pairs() {
            let is_there = self.workspace.world(|world| world.is_friend(&from, &to));
            assert!(is_there || kept.contains(&(from.clone(), to.clone())), "{from} {to} is in no backup");
        }
    }
}

#[test]
fn a_kill_around_each_write_of_a_backup_loses_nothing() {
    for point in ["BeforeWriteBackup", "AfterWriteBackup", "BeforeStoreBackup", "AfterStoreBackup"] {
        let mut played = Played::new(Command::FriendDelete, true, &some_pairs());
        played.workspace.set_env("IMBULK_FAIL_POINT", &format!("{point}:9"));
        let output = played.workspace.run(&played.job);
        assert_ne!(output.code, 0, "{point} was not reached: {output:?}");
        played.nothing_is_lost_so_far();
        played.workspace.unset_env("IMBULK_FAIL_POINT");
        let output = played.workspace.run(&played.job);
        assert!(matches!(output.code, 0 | 3), "{point}: {output:?}");
        played.nothing_is_lost();
    }
}

#[test]
fn accounts_are_in_a_backup_with_their_friends_if_the_job_asks_for_them() {
    for friends in [false, true] {
        let played =
            Played::with(Command::AccountDelete, false, &accounts(), |job| job.with("backup", "friends", friends));
        played.workspace.run(&played.job).expect(0);
        let lines = played.lines();
        let kept: BTreeSet<String> =
            lines.iter().filter(|line| line["kind"] == "profile").map(|line| text(&line["account"])).collect();
        assert_eq!(kept, (0..ACCOUNTS).map(account).collect());
        let own = pairs().into_iter().filter(|(from, _)| from.starts_with("user_"));
        assert_eq!(played.kept_pairs(), own.filter(|_| friends).collect(), "friends {friends}");
    }
}

#[test]
fn the_fields_before_an_update_are_in_a_backup() {
    let rows: Vec<InputRow> =
        some_pairs().into_iter().map(|row| row.field("Tag_SNS_IM_Remark", "new".into())).collect();
    let played = Played::new(Command::FriendUpdate, false, &rows);
    played.workspace.run(&played.job).expect(0);
    let first = played.kept_pairs().len();
    assert_eq!(first, ACCOUNTS * 6);
    played.workspace.imbulk(&["run", &played.job, "--execute", "--yes", "--again"]).expect(0);
    let remarks = played.lines().iter().filter(|line| line["fields"]["Tag_SNS_IM_Remark"] == "new").count();
    assert_eq!(remarks, first, "the second run has kept what the first one wrote");
}

#[test]
fn a_folder_that_cannot_be_used_ends_the_run_before_anything_is_sent() {
    let played = Played::new(Command::FriendDelete, false, &some_pairs());
    played.workspace.write("backups", "a file in the place of the folder");
    let text = std::fs::read_to_string(played.workspace.path(&played.job)).expect("a job file");
    let line = 1 + text.lines().position(|line| line.starts_with("path = \"backups")).expect(&text);
    let place = format!("{}:{line}: backup.path: ", played.job);
    // The plan does not promise what the run refuses.
    for command in [&["run", &played.job, "--execute", "--yes"][..], &["plan", &played.job]] {
        let output = played.workspace.imbulk(command).expect(4).says(&place).says("the backup cannot be written");
        assert!(output.stderr.contains("\nhint: name a folder that can be written"), "{output:?}");
    }
    assert_eq!(played.workspace.report().calls, 0);
}
