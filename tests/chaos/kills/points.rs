//! Kills at every fail point of the program (`src/fail_point.rs`): when it is first reached, and at a later time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imbulk::fail_point::FailPoint;
use imbulk_sandbox::Command;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use super::{Victim, Work, variable};
use imbulk_testkit::earlier_queue::{JOBS, fixture_text};
use imbulk_testkit::rows::{InputRow, PROTECTED, csv, mixed, parse};
use imbulk_testkit::{FAST, ProgramOutput};

const OPERATION: Command = Command::FriendDelete;
/// The code with which items fail until the user retries them.
const REFUSED: u32 = 30011;
/// The number of fail points that are tested in parallel, since most of the time is spent waiting for the quarantine
/// after a kill.
const AT_ONCE: usize = 10;

/// What a test does to reach a fail point.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// A job is run from its start to its end, with faults.
    Run,
    /// The same, with enough skipped rows for several transactions.
    LongLoad,
    /// A job that was killed is run again.
    Recover,
    /// A planned job is run, after its list of protected ids has grown.
    Protect,
    /// A planned job is run, after its input has changed.
    NewInput,
    /// A job is run with `--again`, so that it replaces the unfinished run.
    Again,
    /// A run that waits for slots receives a signal to stop.
    Stop,
    /// A person sets the rate of a run.
    Control,
    /// Only a part of a request is to be sent, because of `--limit`.
    Limit,
    /// Failed rows are made pending again.
    Retry,
    /// The results are written to a file that exists already.
    Results,
    /// The rows of a finished run are removed.
    Forget,
    /// The queue of an earlier version is upgraded.
    Upgrade,
    /// A test of its own reaches it: `tests/end_to_end/backups.rs`.
    Elsewhere,
}

/// How to reach a fail point, and how often it is reached at least.
fn way(deed: FailPoint) -> (Way, u32) {
    match deed {
        FailPoint::Mark
        | FailPoint::Migrate
        | FailPoint::DiscardLoads
        | FailPoint::InsertRun
        | FailPoint::FinishLoad
        | FailPoint::Begin
        | FailPoint::StoreHeartbeat
        | FailPoint::StoreTimeSeries
        | FailPoint::Finish
        | FailPoint::Close => (Way::Run, 1),
        FailPoint::Intend | FailPoint::Record => (Way::Run, 5),
        FailPoint::TakeSlots | FailPoint::FreeSlots | FailPoint::Send | FailPoint::Read => (Way::Run, 60),
        FailPoint::LoadChunk => (Way::LongLoad, 2),
        FailPoint::Recover | FailPoint::Reopen => (Way::Recover, 1),
        FailPoint::Protect => (Way::Protect, 1),
        FailPoint::Discard => (Way::NewInput, 1),
        FailPoint::Supersede => (Way::Again, 1),
        FailPoint::Withdraw | FailPoint::StoreEnd => (Way::Stop, 1),
        FailPoint::Control => (Way::Control, 1),
        FailPoint::SplitRequest => (Way::Limit, 1),
        FailPoint::Retry => (Way::Retry, 1),
        FailPoint::PlaceFile => (Way::Results, 1),
        FailPoint::Upgrade => (Way::Upgrade, 1),
        FailPoint::Forget | FailPoint::FreeSpace => (Way::Forget, 1),
        FailPoint::WriteBackup | FailPoint::StoreBackup => (Way::Elsewhere, 1),
    }
}

/// A fail point, and the number of the time at which it kills.
struct Point {
    deed: FailPoint,
    side: &'static str,
    nth: u32,
}

impl Point {
    fn name(&self) -> String {
        format!("{}{:?}:{}", self.side, self.deed, self.nth)
    }

    /// Runs the program up to the fail point. The environment of `victim` kills it there and nowhere else.
    fn killed(&self, victim: &mut Victim, args: &[&str]) {
        let output = self.armed(victim, |victim| victim.workspace.imbulk(args));
        victim.bury(&output);
        victim.ask_all(victim.copy());
    }

    fn armed(&self, victim: &mut Victim, run: impl FnOnce(&Victim) -> ProgramOutput) -> ProgramOutput {
        victim.workspace.set_env("IMBULK_FAIL_POINT", &self.name());
        let output = run(victim);
        victim.workspace.unset_env("IMBULK_FAIL_POINT");
        output
    }

    /// The program is killed at the fail point, then runs to the end and is checked.
    fn hold(&self) {
        let mut victim = self.victim();
        match way(self.deed).0 {
            Way::Run | Way::LongLoad => self.killed(&mut victim, RUN),
            Way::Recover => self.in_recovery(&mut victim),
            Way::Protect => self.while_protecting(&mut victim),
            Way::NewInput => self.after_a_new_input(&mut victim),
            Way::Again => self.in_place_of_another(&mut victim),
            Way::Stop => self.while_stopping(&mut victim),
            Way::Control => self.while_controlled(&mut victim),
            Way::Limit => self.killed(&mut victim, &[RUN, &["--limit", "7"]].concat()),
            Way::Retry => self.in_retry(&mut victim),
            Way::Results => self.while_placing_a_file(&mut victim),
            Way::Upgrade => return self.while_upgrading(&mut victim),
            Way::Forget => return self.while_forgetting(&mut victim),
            Way::Elsewhere => return,
        }
        victim.check();
    }

    fn victim(&self) -> Victim {
        let cap = match way(self.deed).0 {
            Way::Stop | Way::Control => 40,
            _ => FAST,
        };
        let victim = match way(self.deed).0 {
            Way::LongLoad => Victim::new(vec![Work::new(Command::AccountDelete, many_skipped())], cap),
            _ => Victim::new(vec![Work::new(OPERATION, mixed(OPERATION, 240))], cap),
        };
        victim.workspace.faults(&["any:code=30006:0.05", "any:missing:0.03"]);
        victim
    }

    fn in_recovery(&self, victim: &mut Victim) {
        let mut running = victim.start();
        victim.live(&mut running, 20, Duration::from_secs(30));
        victim.kill(running);
        self.killed(victim, RUN);
    }

    fn while_protecting(&self, victim: &mut Victim) {
        victim.workspace.imbulk(&["plan", "job.toml"]).expect(0);
        victim.workspace.write("keep.txt", format!("{PROTECTED}user_00010\n"));
        victim.protected.push("user_00010".to_owned());
        self.killed(victim, RUN);
    }

    fn after_a_new_input(&self, victim: &mut Victim) {
        victim.workspace.imbulk(&["plan", "job.toml"]).expect(0);
        let work = &mut victim.works[0];
        work.asked.truncate(200);
        victim.workspace.write("job.csv", csv(work.operation, &work.asked));
        self.killed(victim, RUN);
    }

    /// No row of the superseded run is sent, before or after the kill.
    fn in_place_of_another(&self, victim: &mut Victim) {
        let begun = Self { deed: FailPoint::Begin, side: "After", nth: 1 };
        begun.killed(victim, RUN);
        self.killed(victim, &["run", "job.toml", "--execute", "--yes", "--again"]);
    }

    fn while_stopping(&self, victim: &mut Victim) {
        let output = self.armed(victim, |victim| {
            let mut running = victim.start();
            victim.live(&mut running, 10, Duration::from_secs(30));
            running.signal(Signal::TERM);
            running.wait()
        });
        victim.bury(&output);
        victim.ask_all(victim.copy());
    }

    /// `imbulk ctl` becomes the owner after the kill, and is killed at the same point.
    fn while_controlled(&self, victim: &mut Victim) {
        let output = self.armed(victim, |victim| {
            let mut running = victim.start();
            victim.live(&mut running, 10, Duration::from_secs(30));
            victim.workspace.imbulk(&["ctl", "job", "rate", "39"]);
            running.wait()
        });
        victim.bury(&output);
        victim.ask_all(victim.copy());
        victim.workspace.imbulk(&["ctl", "job", "rate", "40"]).expect(0);
    }

    fn in_retry(&self, victim: &mut Victim) {
        victim.workspace.faults(&[&format!("any:item={REFUSED}:0.2")]);
        victim.workspace.run("job.toml").expect(3);
        victim.workspace.faults(&[]);
        victim.retried.push(REFUSED);
        let retry = ["retry", "job", "--code", &REFUSED.to_string()];
        self.killed(victim, &retry);
        // If the kill came before, nothing was changed; if it came after, everything was.
        let left = if self.side == "Before" { "rows are pending again" } else { "no rows to send again" };
        victim.workspace.imbulk(&retry).expect(0).says(left);
    }

    fn while_placing_a_file(&self, victim: &mut Victim) {
        victim.workspace.run("job.toml").expect(3);
        victim.workspace.write("results.csv", "old");
        self.killed(victim, &["results", "job", "--output", "results.csv"]);
        let new = victim.workspace.imbulk(&["results", "job"]).expect(0).stdout;
        let due = if self.side == "Before" { "old" } else { new.as_str() };
        assert!(std::fs::read_to_string(victim.workspace.path("results.csv")).expect("a file") == due);
    }

    /// The queue is the earlier one or the upgraded one. Both have the same results.
    fn while_upgrading(&self, victim: &mut Victim) {
        let version = "2026-11-24";
        victim.workspace.restore(version);
        let output = self.armed(victim, |victim| victim.workspace.imbulk(&["status"]));
        assert_eq!(output.code, 128 + 9, "{output:#?}");
        for job in JOBS {
            assert_eq!(victim.workspace.results(job), parse(&fixture_text(&format!("{version}/{job}.csv"))), "{job}");
        }
    }

    /// The run is there with all its rows, or without any. The next command removes what is left.
    fn while_forgetting(&self, victim: &mut Victim) {
        victim.check();
        let before = victim.workspace.imbulk(&["results", "job"]).expect(0).stdout;
        let forget = ["forget", "--run", "job", "--execute", "--yes"];
        let output = self.armed(victim, |victim| victim.workspace.imbulk(&forget));
        assert_eq!(output.code, 128 + 9, "{output:#?}");
        if (self.deed, self.side) == (FailPoint::Forget, "Before") {
            assert!(victim.workspace.imbulk(&["results", "job"]).expect(0).stdout == before);
            victim.workspace.imbulk(&forget).expect(0);
        } else {
            victim.workspace.imbulk(&["results", "job"]).expect(2).says("was forgotten");
            victim.workspace.imbulk(&["forget", "--older-than", "90d", "--execute"]).expect(0);
        }
        let id = victim.works[0].asked[0].account.as_bytes();
        for file in ["imbulk.db", "imbulk.db-wal"] {
            let bytes = std::fs::read(victim.workspace.path(file)).unwrap_or_default();
            assert!(!bytes.windows(id.len()).any(|window| window == id), "an id is still in {file}");
        }
        victim.start().wait().says("job: this input is finished");
    }
}

const RUN: &[&str] = &["run", "job.toml", "--execute", "--yes"];

/// More skipped rows than fit in two transactions, and few rows that are sent.
pub(super) fn many_skipped() -> Vec<InputRow> {
    (0..140_000).map(|n| InputRow::account(&format!("user_{:05}", n % 150))).collect()
}

#[test]
fn a_run_killed_before_or_after_any_commit_or_send_continues() {
    let seed = variable("IMBULK_SEED").unwrap_or_else(rand::random);
    eprintln!("IMBULK_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut points = Vec::new();
    for deed in FailPoint::ALL.iter().copied() {
        for side in ["Before", "After"] {
            points.push(Point { deed, side, nth: 1 });
            let often = way(deed).1;
            if often > 1 {
                points.push(Point { deed, side, nth: rng.random_range(2..=often) });
            }
        }
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| point.hold()));
            if held.is_err() {
                failed.lock().expect("no panic while it is held").push(point.name());
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no panic while it is held");
    assert!(failed.is_empty(), "of {} points these did not hold, see above: {failed:?}", points.len());
}

#[test]
fn a_fail_point_that_is_not_reached_fails_the_test() {
    let mut victim = Victim::new(vec![Work::new(OPERATION, mixed(OPERATION, 30))], FAST);
    let point = Point { deed: FailPoint::Finish, side: "After", nth: 2 };
    let output = point.armed(&mut victim, |victim| victim.workspace.run("job.toml"));
    let missed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| victim.bury(&output)));
    assert!(missed.is_err(), "it ended by itself, and nobody noticed");
}
