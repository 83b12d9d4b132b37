//! Killed with `kill -9`, at random moments and at named ones: run again, it goes on, and nothing is lost, recorded
//! twice, or sent again without having been in flight.

mod points;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use imbulk::sandbox::{Caps, Command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Evidence, Judgement, Kill, Sending};
use crate::harness::bench::{Bench, FAST, Job, Output, Running, Setup};
use crate::harness::checker::Case;
use crate::harness::rows::{Asked, PROTECTED, csv, mixed};

const IN_FLIGHT: usize = 12;

/// The most calls between two kills in a long run.
const LONG: u64 = 6_000;

/// Kills of each operation. `IMBULK_KILLS=1000 cargo test --locked --test chaos friend_delete_killed -- --nocapture` is a run
/// over more than 200,000 items, in some minutes.
const KILLS: u64 = 13;

/// Faults that leave neither failed rows nor rows in doubt behind.
const FAULTS: &[&str] = &["any:code=30006:0.05", "any:reset-after:0.005", "any:garbage:0.005", "any:missing:0.03"];

/// A job that is killed, and what is known of its kills.
struct Victim {
    bench: Bench,
    operation: Command,
    asked: Vec<Asked>,
    kills: Vec<Kill>,
    /// Requests and attempts that the last kill found in flight.
    found: HashSet<(i64, u32)>,
    /// Codes of which the user wanted another try.
    retried: Vec<u32>,
    /// Ids that were protected beyond those of [`PROTECTED`].
    protected: Vec<String>,
}

impl Victim {
    /// Calls take 5 to 10 ms, so that kills meet some under way; `cap` calls a second are sent, and no more allowed.
    fn new(operation: Command, asked: Vec<Asked>, cap: u32) -> Self {
        let caps = Caps::default().with_app(cap).with(operation, cap);
        let bench = Bench::with(Setup { caps, latency: Duration::from_millis(5), ..Setup::default() });
        bench.write("job.csv", csv(operation, &asked));
        bench.write("keep.txt", PROTECTED);
        Job::new("job", operation)
            .with("limits", "calls_per_second", cap)
            .with("limits", "app_calls_per_second", cap)
            .with("limits", "max_in_flight", IN_FLIGHT)
            .with("retry", "max_attempts", 100)
            .with("guard", "protected", "\"keep.txt\"")
            .write(&bench);
        let (kills, found, retried, protected) = Default::default();
        Self { bench, operation, asked, kills, found, retried, protected }
    }

    fn start(&self) -> Running {
        self.bench.start(&["run", "job.toml", "--execute", "--yes"], b"")
    }

    fn kill(&mut self, running: Running) {
        self.bury(&running.kill());
    }

    /// Notes what a killed process left in flight.
    #[track_caller]
    fn bury(&mut self, output: &Output) {
        assert_eq!(output.code, 128 + 9, "it was not killed:\n{}\n{}", output.stdout, output.stderr);
        let sending = Sending::read(&self.bench.path("imbulk.db"), &mut self.found);
        self.kills.push(Kill { at: self.bench.now(), sending });
    }

    /// Runs to the end, and holds it against everything.
    #[track_caller]
    fn judge(&self) -> (Evidence, Judgement) {
        let mut running = self.start();
        // After a thousand kills there is much to do.
        self.live(&mut running, u64::MAX, Duration::from_mins(15));
        let output = running.wait();
        assert!(matches!(output.code, 0 | 3), "{output:#?}");
        let mut evidence = Evidence::of(&self.bench, "job", self.operation, &self.asked, &self.kills);
        evidence.retried.clone_from(&self.retried);
        evidence.protected.extend_from_slice(&self.protected);
        let judgement = evidence.check();
        assert!(judgement.sent_again <= evidence.in_flight_at_kills(), "{judgement:?}");
        let refusals: Vec<i64> = self.retried.iter().map(|code| i64::from(*code)).collect();
        let case = Case::clean(&self.bench, self.operation, &self.asked, &evidence.results);
        // Whether each had its reason the journal has told.
        let protected = evidence.protected.clone();
        Case { resends: u64::MAX, refusals: &refusals, protected, ..case }.check(&self.bench);
        self.bench.run("job.toml").expect(0).says("this input is finished");
        (evidence, judgement)
    }

    /// Waits until there were so many calls in all, a time has passed, or the process has ended.
    fn live(&self, running: &mut Running, calls: u64, time: Duration) {
        let begun = Instant::now();
        while self.bench.report().calls < calls && begun.elapsed() < time && running.is_alive() {
            self.bench.nap();
        }
    }
}

/// A number from the environment: longer runs than those of CI, or a run once more.
fn told(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "what the person who runs the tests wants")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Kills at random moments, up to `calls` calls apart; `rows` rows make a call, and there are enough of them that the run
/// outlives its kills.
fn killed(operation: Command, rows: usize, calls: u64) {
    let seed = told("IMBULK_SEED").unwrap_or_else(rand::random);
    let kills = told("IMBULK_KILLS").unwrap_or(KILLS);
    eprintln!("{}: IMBULK_SEED={seed} IMBULK_KILLS={kills}", operation.name());
    let mut dice = SmallRng::seed_from_u64(seed);
    let count = usize::try_from(2 * calls * kills).expect("small") * rows;
    let mut victim = Victim::new(operation, mixed(operation, count), FAST);
    victim.bench.faults(FAULTS);
    let mut restarts = Vec::new();
    for kill in 0..kills {
        let before = victim.bench.report().calls;
        let begun = Instant::now();
        let mut running = victim.start();
        match dice.random_range(0..20_u32) {
            // While it starts, loads, and marks what an earlier kill left.
            0..3 => victim.live(&mut running, u64::MAX, Duration::from_micros(dice.random_range(0..300_000))),
            // Long enough for what earlier kills left to go out again, if that leaves enough to do.
            _ if before + LONG < 2 * calls * kill => {
                victim.live(
                    &mut running,
                    before + LONG,
                    Duration::from_micros(dice.random_range(3_000_000..4_500_000)),
                );
            }
            _ => {
                victim.live(&mut running, before + 1, Duration::from_secs(30));
                restarts.push(begun.elapsed());
                victim.live(&mut running, before + dice.random_range(1..=calls), Duration::from_secs(30));
            }
        }
        victim.kill(running);
    }
    let (evidence, judgement) = victim.judge();
    restarts.sort();
    let (median, last) = (restarts.get(restarts.len() / 2), restarts.last());
    eprintln!(
        "{}: {kills} kills over {} rows and {} calls: {} in flight at the kills, {} of them sent again after an answer \
         that was not recorded; first call after a start: median {median:?}, worst {last:?}",
        operation.name(),
        evidence.asked.len(),
        evidence.journal.len(),
        evidence.in_flight_at_kills(),
        judgement.sent_again,
    );
}

#[test]
fn account_delete_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    killed(Command::AccountDelete, 100, 12);
}

#[test]
fn friend_delete_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    killed(Command::FriendDelete, 3, 35);
}

#[test]
fn friend_delete_all_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    killed(Command::FriendDeleteAll, 1, 35);
}

#[test]
fn friend_update_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    killed(Command::FriendUpdate, 3, 35);
}
