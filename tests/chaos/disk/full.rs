//! The disk is full: while an input is loaded, during a run, and while the results are written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use imbulk_sandbox::{Caps, Command, World};
use serde_json::json;

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
    let tags = ["Tag_SNS_Custom_One", "Tag_SNS_Custom_Two"];
    let fat = |row: InputRow| tags.iter().fold(row, |row, tag| row.tag(tag, json!(remark)));
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
