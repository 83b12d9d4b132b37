//! Kills with `kill -9`, at random moments and at fail points. The next run continues, and no row is lost, recorded
//! twice, or sent again without having been in flight.

mod first_load;
mod points;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use imbulk_testkit::journal_check::{Evidence, Findings, InFlightRequest, Kill};
use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, Validity, mixed, shuffle};
use imbulk_testkit::{FAST, JobFile, ProgramOutput, RunningProgram, Workspace, WorkspaceSetup};

const IN_FLIGHT: usize = 12;

/// The maximum number of calls between two kills in a long run.
const LONG: u64 = 6_000;

/// Kills per operation. For a run of some minutes over more than 200,000 items:
/// `IMBULK_KILLS=1000 cargo test --locked --test chaos friend_delete_killed -- --nocapture`
const KILLS: u64 = 13;
/// Kills of tests that combine operations, each of which has a test of its own.
const FEWER_KILLS: u64 = 8;

/// Faults after which no row is failed or in doubt at the end.
const FAULTS: &[&str] = &["any:code=30006:0.05", "any:reset-after:0.005", "any:garbage:0.005", "any:missing:0.03"];

/// A job, and its rows.
struct Work {
    name: &'static str,
    operation: Command,
    /// Whether deletes remove both sides.
    both: bool,
    asked: Vec<InputRow>,
}

impl Work {
    fn new(operation: Command, asked: Vec<InputRow>) -> Self {
        Self { name: "job", operation, both: false, asked }
    }

    fn file(&self) -> String {
        format!("{}.toml", self.name)
    }

    /// Items that are sent.
    fn items(&self, protected: &[String]) -> usize {
        let sent =
            self.asked.iter().filter(|asked| asked.validity == Validity::Valid && !asked.names_one_of(protected));
        sent.map(InputRow::item).collect::<HashSet<_>>().len()
    }
}

/// Jobs that are run together and killed, and what is known about their kills.
struct Victim {
    workspace: Workspace,
    works: Vec<Work>,
    kills: Vec<Kill>,
    /// The requests and attempts that were in flight at the last kill.
    found: HashSet<(i64, u32)>,
    /// Codes that the user retried.
    retried: Vec<u32>,
    /// Ids that were protected in addition to those of [`PROTECTED`].
    protected: Vec<String>,
}

impl Victim {
    /// Calls take 5 to 10 ms, so that some are in flight at a kill. `cap` calls per second are sent and allowed.
    fn new(works: Vec<Work>, cap: u32) -> Self {
        let caps = works.iter().fold(Caps::default().with_app(cap), |caps, work| caps.with(work.operation, cap));
        let workspace =
            Workspace::with(WorkspaceSetup { caps, latency: Duration::from_millis(5), ..WorkspaceSetup::default() });
        for work in &works {
            let job = JobFile::new(work.name, work.operation)
                .rows(&work.asked)
                .protecting(PROTECTED)
                .with("limits", "calls_per_second", cap)
                .with("limits", "app_calls_per_second", cap)
                .with("limits", "max_in_flight", IN_FLIGHT)
                .with("retry", "max_attempts", 100);
            let job = if work.both { job.both() } else { job };
            job.write(&workspace);
        }
        let (kills, found, retried, protected) = Default::default();
        Self { workspace, works, kills, found, retried, protected }
    }

    fn start(&self) -> RunningProgram {
        let files: Vec<String> = self.works.iter().map(Work::file).collect();
        let files = files.iter().map(String::as_str);
        self.workspace.start(&["run"].into_iter().chain(files).chain(["--execute", "--yes"]).collect::<Vec<_>>(), b"")
    }

    fn kill(&mut self, running: RunningProgram) {
        self.bury(&running.kill());
    }

    /// Stores what a killed process left in flight, and checks `status` and `results`. Every other time it reads a
    /// copy, so that the next process finds the queue as the kill left it.
    #[track_caller]
    fn bury(&mut self, output: &ProgramOutput) {
        assert_eq!(output.code, 128 + 9, "it was not killed:\n{}\n{}", output.stdout, output.stderr);
        let sending = InFlightRequest::read(&self.workspace.path("imbulk.db"), &mut self.found);
        self.kills.push(Kill { at: self.workspace.now(), sending });
        let queue = if self.kills.len().is_multiple_of(2) { "imbulk.db" } else { self.copy() };
        self.ask(queue);
    }

    /// Runs to the end, and checks each job completely.
    #[track_caller]
    fn check(&self) -> Vec<(Evidence, Findings)> {
        let mut running = self.start();
        // After a thousand kills there is much work left.
        self.live(&mut running, u64::MAX, Duration::from_mins(15));
        let output = running.wait();
        assert!(matches!(output.code, 0 | 3), "{output:#?}");
        let checked = self.works.iter().map(|work| self.check_one(work)).collect();
        // It has the exit code of the finished run.
        let mut again = self.start().wait().expect(output.code);
        for work in &self.works {
            again = again.says(&format!("{}: this input is finished", work.name));
        }
        checked
    }

    #[track_caller]
    fn check_one(&self, work: &Work) -> (Evidence, Findings) {
        let mut evidence = Evidence::of(&self.workspace, work.name, work.operation, &work.asked, &self.kills);
        evidence.retried.clone_from(&self.retried);
        evidence.protected.extend_from_slice(&self.protected);
        let judgement = evidence.check();
        assert!(judgement.sent_again <= evidence.in_flight_at_kills(), "{judgement:?}");
        let refusals: Vec<i64> = self.retried.iter().map(|code| i64::from(*code)).collect();
        let case = ResultsCheck::clean(&self.workspace, work.operation, &work.asked, &evidence.results);
        let protected = evidence.protected.clone();
        let others = self.works.iter().filter(|other| other.name != work.name);
        let others = others.map(|other| other.items(&protected)).sum();
        // The check of the journal has verified that each resend has a reason.
        let resends = u64::MAX;
        ResultsCheck { both: work.both, resends, refusals: &refusals, protected, others, ..case }
            .check(&self.workspace);
        (evidence, judgement)
    }

    /// Waits until the total number of calls is reached, a time has passed, or the process has ended.
    fn live(&self, running: &mut RunningProgram, calls: u64, time: Duration) {
        let begun = Instant::now();
        while self.workspace.report().calls < calls && begun.elapsed() < time && running.is_alive() {
            self.workspace.nap();
        }
    }
}

/// A number from the environment, for longer runs than in CI, or to repeat a run.
fn variable(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "what the person who runs the tests wants")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Kills at random moments, up to `calls` calls apart. The jobs have enough rows for all kills.
fn killed(what: &str, kills: u64, calls: u64, works: impl FnOnce(usize) -> Vec<Work>) {
    let seed = variable("IMBULK_SEED").unwrap_or_else(rand::random);
    let kills = variable("IMBULK_KILLS").unwrap_or(kills);
    eprintln!("{what}: IMBULK_SEED={seed} IMBULK_KILLS={kills}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut victim = Victim::new(works(usize::try_from(2 * calls * kills).expect("small")), FAST);
    victim.workspace.faults(FAULTS);
    let mut restarts = Vec::new();
    for kill in 0..kills {
        let before = victim.workspace.report().calls;
        let begun = Instant::now();
        let mut running = victim.start();
        match rng.random_range(0..20_u32) {
            // The kill comes while the program starts, loads, or marks the requests that an earlier kill left.
            0..3 => victim.live(&mut running, u64::MAX, Duration::from_micros(rng.random_range(0..300_000))),
            // The requests that earlier kills left are sent again in this time, if enough rows are then still left.
            _ if before + LONG < 2 * calls * kill => {
                victim.live(&mut running, before + LONG, Duration::from_micros(rng.random_range(3_000_000..4_500_000)));
            }
            _ => {
                victim.live(&mut running, before + 1, Duration::from_secs(30));
                // Before its first call, it had to load its input.
                if before > 0 {
                    restarts.push(begun.elapsed());
                }
                victim.live(&mut running, before + rng.random_range(1..=calls), Duration::from_secs(30));
            }
        }
        victim.kill(running);
    }
    let checked = victim.check();
    restarts.sort();
    let (median, last) = (restarts.get(restarts.len() / 2), restarts.last());
    let sum = |of: fn(&(Evidence, Findings)) -> usize| checked.iter().map(of).sum::<usize>();
    eprintln!(
        "{what}: {kills} kills over {} rows and {} calls: {} in flight at the kills, {} of them sent again \
         after a response that was not stored; first call after a restart: median {median:?}, worst {last:?}",
        sum(|(evidence, _)| evidence.asked.len()),
        victim.workspace.report().calls,
        sum(|(evidence, _)| evidence.in_flight_at_kills()),
        sum(|(_, judgement)| judgement.sent_again),
    );
}

/// One job, with this number of rows per call.
fn one_killed(operation: Command, rows: usize, calls: u64) {
    let works = |requests| vec![Work::new(operation, mixed(operation, requests * rows))];
    killed(operation.name(), KILLS, calls, works);
}

#[test]
fn account_delete_killed_repeatedly_loses_no_row_and_records_none_twice() {
    one_killed(Command::AccountDelete, 100, 12);
}

#[test]
fn friend_delete_killed_repeatedly_loses_no_row_and_records_none_twice() {
    one_killed(Command::FriendDelete, 3, 35);
}

#[test]
fn friend_delete_all_killed_repeatedly_loses_no_row_and_records_none_twice() {
    one_killed(Command::FriendDeleteAll, 1, 35);
}

#[test]
fn friend_update_killed_repeatedly_loses_no_row_and_records_none_twice() {
    one_killed(Command::FriendUpdate, 3, 35);
}

#[test]
fn two_jobs_over_the_same_accounts_killed_repeatedly_lose_no_row_and_record_none_twice() {
    killed("friend_delete beside friend_update", FEWER_KILLS, 35, |requests| {
        let (delete, update) = (Command::FriendDelete, Command::FriendUpdate);
        let deleted = mixed(delete, requests / 2 * 3);
        // Other friends of the same accounts, because a friend that is deleted cannot be updated.
        let present = |mut row: InputRow| {
            row.account = row.account.replacen("friend_", "present_", 1);
            row
        };
        let updated = mixed(update, requests / 2 * 3).into_iter().map(present).collect();
        vec![
            Work { name: "delete", ..Work::new(delete, deleted) },
            Work { name: "update", ..Work::new(update, updated) },
        ]
    });
}

#[test]
fn a_two_way_friend_delete_killed_repeatedly_loses_no_row_and_records_none_twice() {
    killed("friend_delete, two-way", FEWER_KILLS, 35, |requests| {
        vec![Work { both: true, ..Work::new(Command::FriendDelete, tangled(requests)) }]
    });
}

/// This number of accounts. Each is a friend of some others that must be deleted, some of them from both sides. The
/// rows are shuffled, with duplicates and rows that must not be sent.
fn tangled(accounts: usize) -> Vec<InputRow> {
    let user = |n: usize| format!("user_{:05}", n % accounts);
    let friends = |n: usize| [n + 1, n + accounts - 1, n + 13].map(|to| InputRow::pair(&user(n), &user(to)));
    let mut rows: Vec<InputRow> = (0..accounts).flat_map(friends).collect();
    let again: Vec<InputRow> = rows.iter().step_by(7).cloned().collect();
    rows.extend(again);
    rows.extend(
        (0..accounts / 20).flat_map(|n| [InputRow::pair(&user(n), "vip_1"), InputRow::pair("vip_2", &user(n))]),
    );
    shuffle(&mut rows, 42);
    rows
}
