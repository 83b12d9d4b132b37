//! The disk is full: while an input is loaded, during a run, and while the results are written.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imbulk_sandbox::{Caps, Command, World};
use serde_json::{Value, json};

use crate::power::mount_namespace::MountNamespace;
use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{self, InputRow, ResultRow, plain};
use imbulk_testkit::{FAST, JobFile, ProgramOutput, RunningProgram, Workspace, WorkspaceSetup};

const NEEDS: &[Requirement] =
    &[Requirement::Root, Requirement::Tool("unshare"), Requirement::Tool("nsenter"), Requirement::Tool("mount")];
const IN_FLIGHT: u64 = 2;
/// Items per account_delete.
const ITEMS: u64 = 100;

/// A run whose queue is on a small disk.
struct Small {
    workspace: Workspace,
    namespace: MountNamespace,
    job: String,
    asked: Vec<InputRow>,
}

/// No account exists, so every row has an outcome row in the queue.
fn empty_world() -> World {
    World::open_with_missing(7, 1.0, 1.0)
}

impl Small {
    fn new(operation: Command, asked: Vec<InputRow>, size: &str) -> Self {
        let caps = Caps::default().with_app(FAST).with(operation, FAST);
        let setup = WorkspaceSetup { world: empty_world, caps, latency: Duration::from_millis(3), seed: 1 };
        let mut workspace = Workspace::with(setup);
        let mut namespace = MountNamespace::new();
        let disk = workspace.path("disk");
        namespace.sh(&format!("mkdir {0} && mount -t tmpfs -o size={size} none {0}", disk.display()));
        workspace.set_env("IMBULK_QUEUE", &disk.join("imbulk.db").display().to_string());
        let job = JobFile::new("job", operation)
            .rows(&asked)
            .with("limits", "max_in_flight", IN_FLIGHT)
            .with("stop", "failed_share", "1.0")
            .write(&workspace);
        Self { workspace, namespace, job, asked }
    }

    fn disk(&self) -> PathBuf {
        self.workspace.path("disk")
    }

    fn start(&self, args: &[&str]) -> RunningProgram {
        self.start_under(&[], args)
    }

    fn start_under(&self, wrapper: &[&str], args: &[&str]) -> RunningProgram {
        let enter = self.namespace.enter(self.workspace.folder());
        let wrapper: Vec<&str> = enter.iter().map(String::as_str).chain(wrapper.iter().copied()).collect();
        self.workspace.start_under(&wrapper, args, b"")
    }

    fn run(&self) -> ProgramOutput {
        self.start(&["run", &self.job, "--execute", "--yes"]).wait()
    }

    /// Another program uses all free space.
    fn fill(&mut self) {
        let filler = self.disk().join("filler");
        self.namespace.sh(&format!("cat /dev/zero > {} 2>/dev/null || true", filler.display()));
    }

    fn free(&mut self) {
        let filler = self.disk().join("filler");
        self.namespace.sh(&format!("rm {}", filler.display()));
    }

    fn resize(&mut self, size: &str) {
        let disk = self.disk();
        self.namespace.sh(&format!("mount -o remount,size={size} {}", disk.display()));
    }

    fn results(&self) -> Vec<ResultRow> {
        rows::parse(&self.start(&["results", "job"]).wait().expect(0).stdout)
    }

    /// The run is complete, and the sandbox received at most this number of items twice.
    #[track_caller]
    fn check(&self, resends: u64) {
        let results = self.results();
        let case = ResultsCheck::clean(&self.workspace, Command::AccountDelete, &self.asked, &results);
        ResultsCheck { resends, protected: Vec::new(), ..case }.check(&self.workspace);
    }
}

fn accounts(rows: usize, size: &str) -> Small {
    Small::new(Command::AccountDelete, plain(Command::AccountDelete, rows), size)
}

/// The message names the file, the free space, and what to do.
#[track_caller]
fn tells(output: ProgramOutput, code: i32, path: &Path) {
    let output = output.expect(code).says(&path.display().to_string()).says("are free at").says("hint: ");
    assert!(!output.stderr.contains("panicked") && !output.stderr.contains("internal error"), "{output:#?}");
}

#[test]
fn a_disk_that_is_full_while_loading_sends_nothing_and_the_next_run_loads_again() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    let mut small = accounts(60_000, "700k");
    tells(small.run().says("full"), 1, &small.disk().join("imbulk.db"));
    assert_eq!(small.workspace.report().calls, 0);
    small.resize("64m");
    small.run().expect(0);
    small.check(0);
}

#[test]
fn a_disk_that_is_full_while_rows_are_spilled_sends_nothing_and_leaves_no_file() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    // More than is kept in memory.
    let remark = "x".repeat(490);
    let names = ["Tag_SNS_Custom_One", "Tag_SNS_Custom_Two"];
    let fat = |row: InputRow| names.iter().fold(row, |row, name| row.field(name, json!(remark)));
    let rows = plain(Command::FriendUpdate, 50_000).into_iter().map(fat).collect();
    let mut small = Small::new(Command::FriendUpdate, rows, "6m");
    let plan = ["plan", &small.job.clone()];
    tells(small.start(&plan).wait().says("a temporary file"), 1, &small.disk());
    small.start(&["results", "job"]).wait().expect(2);
    small.resize("300m");
    small.start(&plan).wait().expect(0).says("50,000");
    assert_eq!(small.workspace.report().calls, 0);
}

#[test]
fn a_run_stops_before_its_disk_is_full_so_that_nothing_in_flight_is_in_doubt() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    for size in [8, 12] {
        let mut small = accounts(60_000, &format!("{size}m"));
        let queue = small.disk().join("imbulk.db").display().to_string();
        let mut stops: u32 = 0;
        let end = loop {
            let output = small.run();
            if output.code != 4 {
                break output;
            }
            output.says(&queue).says("almost full").says("are free").says("run again");
            stops += 1;
            assert!(stops < 20, "it never comes to its end");
            small.resize(&format!("{}m", size + 4 * stops));
        };
        end.expect(0);
        assert!(stops > 0, "{size} MB were enough");
        small.check(0);
    }
}

#[test]
fn a_disk_that_another_process_fills_costs_no_more_than_repetitions() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    let mut small = accounts(40_000, "32m");
    let mut running = small.start(&["run", &small.job, "--execute", "--yes"]);
    small.workspace.until_calls(20, &mut running);
    small.fill();
    let output = running.wait().says(&small.disk().join("imbulk.db").display().to_string()).says("are free");
    // Either the check of the disk comes first, or a commit that fails.
    assert!([1, 4].contains(&output.code), "{output:#?}");
    let calls = small.workspace.report().calls;
    let again = small.run().says("are free");
    assert!([1, 4].contains(&again.code), "{again:#?}");
    assert_eq!(small.workspace.report().calls, calls, "nothing is sent that can't be recorded");
    small.free();
    small.run().expect(0);
    small.check(IN_FLIGHT * ITEMS);
}

/// The friendships in the backup files of a folder.
fn kept_pairs(folder: &Path) -> BTreeSet<(String, String)> {
    let mut kept = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("a file");
        let mut decoder = zstd::Decoder::new(bytes.as_slice()).expect("zstd");
        let (mut plain, mut block) = (Vec::new(), [0; 4096]);
        // The frame that found no space is incomplete.
        while let Ok(read) = decoder.read(&mut block)
            && read > 0
        {
            plain.extend_from_slice(&block[..read]);
        }
        for line in plain.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            if let (Some(from), Some(to)) = (line["from"].as_str(), line["to"].as_str()) {
                kept.insert((from.to_owned(), to.to_owned()));
            }
        }
    }
    kept
}

fn friendships() -> Vec<(String, String)> {
    plain(Command::FriendDelete, 900).into_iter().map(|row| (row.from.expect("a pair"), row.account)).collect()
}

fn friends() -> World {
    let pairs = friendships();
    let accounts: Vec<&str> = pairs.iter().flat_map(|(from, to)| [&**from, &**to]).collect();
    World::seeded(accounts, pairs.iter().map(|(from, to)| (&**from, &**to)))
}

#[test]
fn a_full_disk_of_the_backup_ends_the_run_before_a_change_without_a_backup_and_status_says_why() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    let workspace = Workspace::with(WorkspaceSetup { world: friends, ..WorkspaceSetup::default() });
    let mut namespace = MountNamespace::new();
    let (disk, kept) = (workspace.path("disk"), workspace.path("kept"));
    namespace.sh(&format!("mkdir {0} {1} && mount -t tmpfs -o size=16k none {0}", disk.display(), kept.display()));
    let job = JobFile::new("job", Command::FriendDelete)
        .rows(&plain(Command::FriendDelete, 900))
        .with("backup", "path", format!("\"{}\"", disk.display()))
        .with("limits", "max_in_flight", IN_FLIGHT)
        .write(&workspace);
    let enter = namespace.enter(workspace.folder());
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let run = || workspace.start_under(&enter, &["run", &job, "--execute", "--yes"], b"").wait();
    run().expect(4).says("the backup cannot be written").says("No space left");
    let calls = workspace.report().calls;
    let status = workspace.imbulk(&["status", "job", "--json"]).expect(0).stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!((&status["state"], status["session"]["calls"].as_u64()), (&"halted".into(), Some(calls)), "{status}");
    assert!(status["stopped"].as_str().is_some_and(|why| why.contains("No space left")), "{status}");
    assert!(workspace.results("job").iter().any(|row| row.outcome == "succeeded"), "nothing was sent before");
    namespace.sh(&format!("cp {}/* {}", disk.display(), kept.display()));
    let is_gone = |(from, to): &(String, String)| !workspace.world(|world| world.is_friend(from, to));
    let backed_up = kept_pairs(&kept);
    let gone: Vec<_> = friendships().into_iter().filter(is_gone).collect();
    assert!(!gone.is_empty() && gone.len() < 900, "{}", gone.len());
    assert!(gone.iter().all(|pair| backed_up.contains(pair)), "a friendship was deleted without its backup");
    // Nothing is in doubt: the calls in flight were recorded.
    namespace.sh(&format!("mount -o remount,size=4m {}", disk.display()));
    run().expect(0);
    assert!(workspace.results("job").iter().all(|row| row.outcome == "succeeded"));
    assert!(workspace.report().calls > calls, "nothing was left to send");
    assert_eq!(workspace.report().overlaps, 0);
}

#[test]
fn results_on_a_full_disk_leave_the_old_file_and_no_partial_one() {
    if !requirements::are_met("full disk", NEEDS) {
        return;
    }
    let mut small = accounts(20_000, "16m");
    small.run().expect(0);
    let file = small.disk().join("results.csv");
    let output = ["results", "job", "--output", &file.display().to_string()].map(str::to_owned);
    let output: Vec<&str> = output.iter().map(String::as_str).collect();
    let at = file.display();
    small.namespace.sh(&format!("echo old > {at}"));
    small.fill();
    tells(small.start(&output).wait(), 1, &file);
    small.namespace.sh(&format!(
        "test \"$(cat {at})\" = old && test -z \"$(ls -A {0}/.imbulk-* 2>/dev/null)\"",
        small.disk().display()
    ));
    let stdout = ["sh", "-c", &format!("exec \"$@\" >> {at}"), "sh"].map(str::to_owned);
    let stdout: Vec<&str> = stdout.iter().map(String::as_str).collect();
    small.start_under(&stdout, &["results", "job"]).wait().expect(1).says("No space left");
    small.free();
    small.start(&output).wait().expect(0);
    small.namespace.sh(&format!("test $(wc -l < {at}) = 20001"));
    small.check(0);
}
