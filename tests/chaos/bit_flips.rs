//! Bytes of the queue that change without SQLite: a bit, a byte, or a block of zeros, in the file or in its WAL.
//!
//! Each trial damages a copy of a queue, runs it to the end, and asks for results and status. Its result is *detected*
//! (exit 1 or 2, with the name of the file and a hint), *harmless* (everything is as without the damage), or a
//! violation. In no case may an account be changed at the server that no row names.
//!
//! `IMBULK_FLIPS=20000 cargo test --release --test chaos flips` makes more trials. A violation prints the command that
//! repeats it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imbulk_sandbox::{Command, Report, World};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use imbulk_testkit::reseal::change_and_reseal;
use imbulk_testkit::results_check::{Completion, InDoubt, ResultsCheck};
use imbulk_testkit::rows::{self, InputRow, PROTECTED, ResultRow, mixed};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};

/// Trials of an ordinary test run.
const FLIPS: u64 = 400;
/// The number of parallel trials. After a kill, each of them waits for seconds.
const WORKERS: usize = 24;
const IN_FLIGHT: u64 = 4;
const DB: &str = "imbulk.db";
const WAL: &str = "imbulk.db-wal";

/// The progress of the run when its queue was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Planned,
    Stopped,
    Killed,
    Finished,
}

/// A queue that no process uses, and the state of the server at that moment.
pub(super) struct Frozen {
    stage: Stage,
    operation: Command,
    asked: Vec<InputRow>,
    db: Vec<u8>,
    wal: Vec<u8>,
    world: World,
    /// The number of resends that are allowed.
    resends: u64,
}

/// The result of a trial.
#[derive(Debug)]
enum Seen {
    Harmless,
    /// The command that detected it first.
    Detected(&'static str),
    Violation(String),
}

fn job(operation: Command) -> JobFile {
    let most = if operation == Command::AccountDelete { 6 } else { IN_FLIGHT };
    JobFile::new("job", operation).with("limits", "max_in_flight", most).protecting(PROTECTED)
}

impl Frozen {
    fn new(stage: Stage, operation: Command) -> Self {
        let asked = mixed(operation, 120);
        let setup = WorkspaceSetup { latency: Duration::from_millis(2), ..WorkspaceSetup::default() };
        let (workspace, job) = job(operation).rows(&asked).on(setup);
        workspace.faults(&["any:code=30006:0.1", "any:garbage:#7", "any:missing:0.05"]);
        let start = || workspace.start_run(&job);
        match stage {
            Stage::Planned => drop(workspace.imbulk(&["plan", &job])),
            Stage::Finished => drop(start().wait().expect(3)),
            Stage::Stopped | Stage::Killed => {
                let mut running = start();
                workspace.until_calls(20, &mut running);
                if stage == Stage::Killed {
                    running.kill();
                } else {
                    running.signal(Signal::TERM);
                    running.wait();
                }
            }
        }
        let read = |name| std::fs::read(workspace.path(name)).unwrap_or_default();
        let faults: u64 = workspace.report().faults.values().sum();
        let (db, wal, world) = (read(DB), read(WAL), workspace.world(World::clone));
        Self { stage, operation, asked, db, wal, world, resends: (faults + 2 * IN_FLIGHT) * 3 }
    }

    /// The position of the last commit in the log. Damage after it looks like a commit that did not reach the disk
    /// before a power cut.
    fn last_commit(&self) -> usize {
        const HEAD: usize = 32;
        if self.wal.len() < HEAD {
            return 0;
        }
        let number = |at: usize| u32::from_be_bytes(self.wal[at..at + 4].try_into().expect("four bytes"));
        let frame = 24 + number(8) as usize;
        let frames =
            (HEAD..self.wal.len()).step_by(frame).take_while(|at| self.wal[at + 8..at + 16] == self.wal[16..24]);
        let commits: Vec<usize> = frames.filter(|at| number(at + 4) != 0).collect();
        commits.len().checked_sub(2).map_or(HEAD, |before| commits[before] + frame)
    }
}

/// Changes bytes, and describes the change.
fn damage(bytes: &mut [u8], rng: &mut SmallRng) -> String {
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let anywhere = rng.random_bool(0.3);
    let mut spot = || if anywhere { rng.random_range(0..bytes.len()) } else { used[rng.random_range(0..used.len())] };
    let at = spot();
    match rng.random_range(0..20) {
        0..10 => {
            let bit = rng.random_range(0..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        10..16 => {
            bytes[at] = bytes[at].wrapping_add(rng.random_range(1..=255));
            format!("byte {at}")
        }
        16..18 => {
            let end = bytes.len().min(at + rng.random_range(2..16));
            rng.fill(&mut bytes[at..end]);
            format!("bytes {at}..{end}")
        }
        block => {
            let size = if block == 18 { 512 } else { 4096 };
            let at = at / size * size;
            let end = bytes.len().min(at + size);
            bytes[at..end].fill(0);
            format!("zeros at {at}..{end}")
        }
    }
}

/// A trial: a damaged copy, and the reaction of the program.
struct Trial<'a> {
    workspace: &'a Workspace,
    frozen: &'a Frozen,
    before: Report,
    /// Whether commits may be missing in a way that no program can detect.
    tail: bool,
}

impl<'a> Trial<'a> {
    fn new(workspace: &'a Workspace, frozen: &'a Frozen, db: &[u8], wal: &[u8], tail: bool) -> Self {
        for name in [DB, WAL, "imbulk.db-shm"] {
            // Some of these files are missing in some trials.
            let _gone = std::fs::remove_file(workspace.path(name));
        }
        workspace.write(DB, db);
        if !wal.is_empty() {
            workspace.write(WAL, wal);
        }
        workspace.set_world(frozen.world.clone());
        Self { workspace, frozen, before: workspace.report(), tail }
    }

    fn outcome(&self) -> Seen {
        let job = job(self.frozen.operation).rows(&self.frozen.asked).write(self.workspace);
        let outputs = catch_unwind(AssertUnwindSafe(|| {
            let run = self.workspace.run(&job);
            [run, self.workspace.imbulk(&["results", "job"]), self.workspace.imbulk(&["status", "job", "--json"])]
        }));
        let Ok([run, results, status]) = outputs else { return Seen::Violation("it did not end".to_owned()) };
        self.seen(&run, &results, &status).unwrap_or_else(|wrong| {
            Seen::Violation(format!("{wrong}\nrun: {run:#?}\nresults: {}\nstatus: {status:#?}", results.stderr))
        })
    }

    fn seen(&self, run: &ProgramOutput, results: &ProgramOutput, status: &ProgramOutput) -> Result<Seen, String> {
        let done = matches!(run.code, 0 | 3);
        let mut detected = None;
        for (command, output, fine) in
            [("run", run, done), ("results", results, results.code == 0), ("status", status, status.code == 0)]
        {
            if output.stderr.contains("panicked") {
                return Err(format!("{command} panicked"));
            }
            if !fine {
                named(command, output)?;
                detected.get_or_insert(command);
            }
        }
        self.workspace.world(|world| self.case(&[], Completion::Partial).strangers(world)).map_or(Ok(()), Err)?;
        if results.code == 0 {
            let rows = catch_unwind(|| rows::parse(&results.stdout)).map_err(|_| "garbage for results".to_owned())?;
            self.check_rows(&rows, if done { Completion::Complete } else { Completion::Partial })?;
            if status.code == 0 {
                check_status(&rows, status)?;
            }
        }
        Ok(detected.map_or(Seen::Harmless, Seen::Detected))
    }

    fn check_rows(&self, rows: &[ResultRow], end: Completion) -> Result<(), String> {
        let case = self.case(rows, end);
        let wrong = self.workspace.world(|world| if self.tail { case.undone(world) } else { case.complaints(world) });
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{} complaints: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]))
        }
    }

    fn case<'b>(&'b self, results: &'b [ResultRow], end: Completion) -> ResultsCheck<'b> {
        let clean = ResultsCheck::clean(self.workspace, self.frozen.operation, &self.frozen.asked, results);
        let overlaps = clean.report.overlaps - self.before.overlaps;
        let overlaps_with_abandoned = clean.report.overlaps_with_abandoned - self.before.overlaps_with_abandoned;
        let bad_requests = clean.report.bad_requests - self.before.bad_requests;
        let report = Report { overlaps, overlaps_with_abandoned, bad_requests, ..clean.report };
        ResultsCheck { report, completion: end, in_doubt: InDoubt::Never, resends: self.frozen.resends, ..clean }
    }
}

/// A command that stops names the file and says what to do.
fn named(command: &str, output: &ProgramOutput) -> Result<(), String> {
    let is_reported = matches!(output.code, 1 | 2) && output.stderr.contains(DB) && output.stderr.contains("hint: ");
    if is_reported {
        Ok(())
    } else {
        Err(format!("{command} left with {} and no word on the file or what to do", output.code))
    }
}

/// `status` and `results` agree.
fn check_status(rows: &[ResultRow], status: &ProgramOutput) -> Result<(), String> {
    let json: serde_json::Value = serde_json::from_str(&status.stdout).map_err(|error| error.to_string())?;
    let counts = json["outcomes"].as_object().ok_or("no counts")?;
    let counts: BTreeMap<&str, usize> = counts
        .iter()
        .filter_map(|(name, count)| Some((name.as_str(), usize::try_from(count.as_u64()?).ok()?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let tally = rows::tally(rows);
    if counts == tally { Ok(()) } else { Err(format!("status counts {counts:?}, the results are {tally:?}")) }
}

#[allow(clippy::disallowed_methods, reason = "the environment sets the number of trials, or selects one")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn trial(workspace: &Workspace, frozen: &Frozen, seed: u64) -> (String, Seen) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut db, mut wal) = (frozen.db.clone(), frozen.wal.clone());
    let last_commit = frozen.last_commit();
    let in_log = !wal.is_empty() && rng.random_bool(0.5);
    let untouched = wal.clone();
    let what = damage(if in_log { &mut wal } else { &mut db }, &mut rng);
    let first = wal.iter().zip(&untouched).position(|(now, then)| now != then);
    let tail = first.is_some_and(|first| first >= last_commit);
    let what = format!(
        "{:?} {:?}, {} of {}{}",
        frozen.stage,
        frozen.operation,
        what,
        if in_log { WAL } else { DB },
        if tail { ", in the last commit" } else { "" }
    );
    let seen = Trial::new(workspace, frozen, &db, &wal, tail).outcome();
    if matches!(seen, Seen::Violation(_)) {
        let kept = format!("{}/flip-{seed}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(format!("{kept}.db"), &db).expect("the disk has space");
        std::fs::write(format!("{kept}.db-wal"), &wal).expect("the disk has space");
    }
    (what, seen)
}

fn stock() -> Vec<Frozen> {
    let operations = [Command::FriendDelete, Command::FriendUpdate];
    let stages = [Stage::Planned, Stage::Stopped, Stage::Killed, Stage::Finished];
    operations.into_iter().flat_map(|operation| stages.map(|stage| Frozen::new(stage, operation))).collect()
}

#[test]
fn flipped_bytes_are_detected_or_harmless() {
    let first = from_environment("IMBULK_SEED").unwrap_or(0);
    let flips = from_environment("IMBULK_FLIPS").unwrap_or(FLIPS);
    let stock = stock();
    let (next, counts, violations) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let work = || {
        let workspace = Workspace::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= flips {
                return;
            }
            let seed = first + n;
            let (what, seen) = trial(&workspace, &stock[usize::try_from(seed).expect("small") % stock.len()], seed);
            let class = match &seen {
                Seen::Harmless => "harmless",
                Seen::Detected(by) => by,
                Seen::Violation(_) => "violation",
            };
            *counts.lock().expect("nobody panics here").entry(class).or_insert(0) += 1;
            if let Seen::Violation(wrong) = seen {
                let replay = format!("IMBULK_SEED={seed} IMBULK_FLIPS=1 cargo test --test chaos flipped_bytes");
                violations.lock().expect("nobody panics here").push(format!("{what}: {wrong}\nreplay: {replay}"));
            }
        }
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
    let (counts, violations) = (counts.into_inner().expect("done"), violations.into_inner().expect("done"));
    println!("{flips} flips: {counts:?}");
    for violation in &violations {
        println!("{violation}\n");
    }
    assert!(violations.is_empty(), "{} of {flips} flips got through", violations.len());
}

/// The outcome of a queue that was changed and whose checksums were recomputed.
fn forged(stage: Stage, changes: &[&str]) -> Seen {
    let frozen = Frozen::new(stage, Command::FriendDelete);
    let workspace = Workspace::new();
    let trial = Trial::new(&workspace, &frozen, &frozen.db, &frozen.wal, false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(change_and_reseal(&workspace.path(DB), changes));
    trial.outcome()
}

#[test]
fn with_recomputed_checksums_the_same_damage_gets_through_and_the_test_sees_it() {
    // A queue whose checksums are only recalculated is not damaged.
    let same = forged(Stage::Stopped, &["UPDATE payload SET accounts = accounts"]);
    assert!(matches!(same, Seen::Harmless), "{same:?}");
    let one = "(SELECT min(id) FROM request WHERE state = 'pending' AND row_count = 3 AND attempts = 0)";
    let other_account =
        format!("UPDATE payload SET accounts = replace(accounts, 'friend_', 'fiend_') WHERE request = {one}");
    let other_list = format!("UPDATE payload SET from_account = 'user_x' WHERE request = {one}");
    let settled = format!("UPDATE request SET state = 'settled', finished_at = 1790000000000 WHERE id = {one}");
    let moved = |from, to| {
        format!(
            "UPDATE tally SET rows = rows + CASE outcome WHEN '{to}' THEN 3 ELSE -3 END
             WHERE outcome IN ('{to}', '{from}')"
        )
    };
    let done = [moved("pending", "succeeded"), settled];
    let lost = [
        "DELETE FROM outcome WHERE outcome = 'already_done'".to_owned(),
        "UPDATE tally SET rows = (SELECT sum(rows) FROM tally WHERE outcome IN \
         ('succeeded', 'already_done')) * (outcome = 'succeeded') WHERE outcome IN ('succeeded', 'already_done')"
            .to_owned(),
    ];
    let changed: [(&str, Stage, &[String]); 4] = [
        ("of them from the input", Stage::Planned, &[other_account]),
        ("of them from the input", Stage::Stopped, &[other_list]),
        ("succeeded", Stage::Stopped, &done),
        ("succeeded", Stage::Finished, &lost),
    ];
    for (seen, stage, changes) in changed {
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        match forged(stage, &changes) {
            Seen::Violation(wrong) => assert!(wrong.contains(seen), "{changes:?}: {wrong}"),
            other => panic!("{changes:?}: {other:?}"),
        }
    }
}
