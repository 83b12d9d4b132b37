//! Power cuts while the program writes to a disk.

pub(crate) mod mount_namespace;

mod disk;

use std::collections::HashMap;
use std::time::Duration;

use imbulk_sandbox::{Caps, Command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use disk::Disk;
use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{self, InputRow, PROTECTED, ResultRow, mixed};
use imbulk_testkit::{FAST, JobFile, ProgramOutput, RunningProgram, Workspace, WorkspaceSetup};

const NEEDS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Tool("unshare"),
    Requirement::Tool("nsenter"),
    Requirement::Tool("mount"),
    Requirement::Tool("mkfs.ext4"),
    Requirement::Tool("strace"),
];
const IN_FLIGHT: u64 = 12;
/// Items per call: rows that share an account.
const ITEMS: u64 = 3;
/// Power cuts of one run. After this number, enough rows are left that each cut meets calls in flight.
const CUTS_A_NIGHT: u64 = 8;
/// More rows than are finished before the last cut, unless the machine is very busy.
const ROWS: usize = 4500;
/// The maximum number of calls of a session before the cut.
const CALLS: u64 = 90;
const FAULTS: &[&str] = &["any:code=30006:0.05", "any:reset-after:#9", "any:missing:0.03"];
/// A run on a disk whose power is cut.
struct Night {
    workspace: Workspace,
    disk: Disk,
    job: String,
    asked: Vec<InputRow>,
    rng: SmallRng,
}

/// The effect of power cuts.
#[derive(Debug, Default)]
struct Losses {
    /// Rows that were sent and whose outcome could be read before the cut.
    acknowledged: u64,
    /// Rows with an outcome before the cut, sent or not, that had none or another one after it.
    lost: u64,
}

impl Night {
    fn new(operation: Command, seed: u64) -> Self {
        let caps = Caps::default().with_app(FAST).with(operation, FAST);
        let mut workspace = Workspace::with(WorkspaceSetup {
            caps,
            latency: Duration::from_millis(5),
            seed,
            ..WorkspaceSetup::default()
        });
        let disk = Disk::new(workspace.folder());
        let queue = disk.mountpoint().join("imbulk.db");
        workspace.set_env("IMBULK_QUEUE", &queue.display().to_string());
        let asked = mixed(operation, ROWS);
        let job = JobFile::new("job", operation)
            .rows(&asked)
            .protecting(PROTECTED)
            .with("limits", "max_in_flight", IN_FLIGHT)
            .with("retry", "max_attempts", 40)
            .write(&workspace);
        workspace.faults(FAULTS);
        Self { workspace, disk, job, asked, rng: SmallRng::seed_from_u64(seed) }
    }

    fn start(&self, wrapper: &[&str], args: &[&str]) -> RunningProgram {
        let enter = self.disk.enter();
        let wrapper: Vec<&str> = enter.iter().map(String::as_str).chain(wrapper.iter().copied()).collect();
        self.workspace.start_under(&wrapper, args, b"")
    }

    fn run(&self) -> ProgramOutput {
        self.start(&[], &["run", &self.job, "--execute", "--yes"]).wait()
    }

    /// Every row and its outcome, as `imbulk results` reads it beside the runner. Empty before the input is loaded.
    fn results(&self) -> Vec<ResultRow> {
        let output = self.start(&[], &["results", "job"]).wait();
        if output.code == 0 { rows::parse(&output.stdout) } else { Vec::new() }
    }

    /// Runs up to a random moment, reads the outcomes, and cuts the power.
    fn cut(&mut self, wrapper: &[&str], calls: u64) -> Losses {
        let mut running = self.start(wrapper, &["run", &self.job, "--execute", "--yes"]);
        self.workspace.until_calls(self.workspace.report().calls + calls, &mut running);
        for _ in 0..self.rng.random_range(0..20) {
            self.workspace.nap();
        }
        let before = self.results();
        kill(running);
        self.disk.cut();
        losses(&before, &self.results())
    }
}

/// `kill -9` also for the traced process, which a killed tracer would leave running.
fn kill(running: RunningProgram) {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
        // It may have ended by itself.
        let _over = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
    running.kill();
}

/// Rows that had an outcome before and do not have the same one now.
fn losses(before: &[ResultRow], after: &[ResultRow]) -> Losses {
    let after: HashMap<u64, &ResultRow> = after.iter().map(|row| (row.line, row)).collect();
    let ended = before.iter().filter(|row| row.outcome != "pending");
    let mut losses = Losses::default();
    for row in ended {
        losses.acknowledged += u64::from(row.attempts > 0);
        losses.lost += u64::from(after.get(&row.line) != Some(&row));
    }
    losses
}

/// A run with this number of power cuts, which is then checked.
fn night(operation: Command, cuts: u64, seed: u64) -> Losses {
    let mut night = Night::new(operation, seed);
    let mut all = Losses::default();
    for _ in 0..cuts {
        let calls = night.rng.random_range(0..CALLS);
        let Losses { acknowledged, lost } = night.cut(&[], calls);
        all.acknowledged += acknowledged;
        all.lost += lost;
    }
    assert_eq!(all.lost, 0, "seed {seed}, {operation:?}: {all:?}");
    // 0: the run had ended before the last cut.
    let end = night.run();
    assert!([0, 3].contains(&end.code), "{end:#?}");
    let (workspace, results) = (&night.workspace, night.results());
    let faults: u64 = workspace.report().faults.values().sum();
    let case = ResultsCheck::clean(workspace, operation, &night.asked, &results);
    ResultsCheck { resends: (cuts * IN_FLIGHT + faults) * ITEMS, ..case }.check(workspace);
    all
}

/// The number of power cuts: 8, or the value of `IMBULK_CUTS`.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is asked of the environment")]
fn cuts() -> u64 {
    std::env::var("IMBULK_CUTS").map_or(CUTS_A_NIGHT, |cuts| cuts.parse().expect("IMBULK_CUTS is a number"))
}

#[test]
fn reported_outcomes_survive_a_power_cut() {
    if !requirements::are_met("power cut", NEEDS) {
        return;
    }
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut left = cuts();
    let mut acknowledged = 0;
    for (nth, operation) in (0..).zip([Command::FriendDelete, Command::FriendUpdate].into_iter().cycle()) {
        let cuts = left.min(CUTS_A_NIGHT);
        if cuts == 0 {
            break;
        }
        acknowledged += night(operation, cuts, seed.wrapping_add(nth)).acknowledged;
        left -= cuts;
    }
    eprintln!("{} cuts, {acknowledged} outcomes said to be there, 0 lost", cuts());
    assert!(acknowledged > 100 * cuts(), "too few to prove anything: {acknowledged}");
}

/// The same, but a sync of the log reports success without writing: the effect of `synchronous = NORMAL` before the
/// first checkpoint.
#[test]
fn without_a_sync_at_each_commit_outcomes_are_lost_and_the_test_sees_it() {
    if !requirements::are_met("power cut", NEEDS) {
        return;
    }
    let mut night = Night::new(Command::FriendDelete, 7);
    // The input is loaded without faults and the log is checkpointed and removed, so that only outcomes can be lost.
    night.start(&[], &["plan", &night.job]).wait().expect(0);
    let log = night.disk.mountpoint().join("imbulk.db-wal").display().to_string();
    let no_sync = ["strace", "-f", "-qq", "-o/dev/null", "-P", &log, "-e", "inject=fdatasync,fsync:retval=0"];
    let losses = night.cut(&no_sync, 60);
    assert!(losses.acknowledged > 0 && losses.lost > 0, "{losses:?}");
}
